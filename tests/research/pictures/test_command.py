"""`python -m research.train` works with tiny networks and a tiny collection."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from filelock import FileLock

from model_server.engines.diffusion.references import TABLE_FILE, TENSORS_FILE
from research.packages import EMOJI_SETS
from research.pictures import command
from research.pictures.data.collection import Collection
from research.pictures.data.emoji import Emoji
from research.pictures.training import stages
from research.pictures.training.denoiser import DenoiserTask
from research.pictures.training.networks import Sizes, make_autoencoder, make_unet, widen
from research.train import main as run_train

MODEL = "emoji-diffusion"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: Sizes, squares: np.ndarray, encoder: Path) -> Path:
    """The training folder, which does not exist yet."""

    def build_collection(folder: Path, seed: int, tell: object) -> Collection:
        folder.mkdir(parents=True, exist_ok=True)
        collection = Collection()
        large = np.repeat(np.repeat(squares, 2, axis=1), 2, axis=2)
        for number, picture in enumerate(large):
            collection.add("plain", picture, 1.0, ["a red apple", f"cat {number}"], ["1f34e"], str(number))
        return collection

    monkeypatch.setenv("TEMPERA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stages, "build_collection", build_collection)
    apple = Emoji("1f34e", "red apple", ("apple",), (), "Food & Drink")
    drawing = np.full((128, 128, 4), 255, np.uint8)
    monkeypatch.setattr(stages, "read_sets", lambda *_: ([apple], {EMOJI_SETS[0]: {apple.code: drawing}}, []))
    monkeypatch.setattr(stages, "ENLARGEMENT_STEPS", 1)
    monkeypatch.setattr(DenoiserTask, "batch", 8)
    for module in (stages, command):
        monkeypatch.setattr(module, "Sizes", lambda: sizes)
    monkeypatch.setattr(command, "CATALOGUE", encoder)
    return tmp_path / "cache" / "training" / MODEL


@pytest.fixture
def encoder(tmp_path: Path, text_encoder: Path) -> Path:
    """A catalogue whose text encoder is tiny."""
    path = tmp_path / "models.toml"
    path.write_text(
        f'[models.{command.TEXT_ENCODER}]\nengine = "embedding"\ndescription = "Reads"\nlicence = "MIT"\n'
        f'folder = "{text_encoder}"\n'
    )
    return path


def weights(folder: Path, kind: type = UNet2DConditionModel) -> list[torch.Tensor]:
    part = "unet" if kind is UNet2DConditionModel else "vae"
    return list(stages.load_network(kind, folder / part).state_dict().values())


def max_difference(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    return max(float((left - right).abs().max()) for left, right in zip(one, other, strict=True))


def test_training_from_weights_exports_the_changed_weights(home: Path, tmp_path: Path, sizes: Sizes) -> None:
    start, out = tmp_path / "start", tmp_path / "out"
    stages.export_weights(make_unet(sizes, 5), make_autoencoder(sizes, 5), start)
    wide_start = tmp_path / "wide"
    stages.export_weights(widen(make_unet(sizes, 5)), make_autoencoder(sizes, 5), wide_start)
    from_start = [MODEL, "--from", str(start)]
    assert run_train([*from_start, "--pictures", "16", "--threads", "1"]) == 0
    assert run_train([*from_start, "--export", str(out)]) == 0
    # Two steps, at the beginning of a rising rate, lead a little away from there and from nowhere else.
    assert 0 < max_difference(weights(wide_start), weights(out)) < 0.01
    stages.export_weights(widen(make_unet(sizes, 7)), make_autoencoder(sizes, 7), tmp_path / "other")
    assert max_difference(weights(tmp_path / "other"), weights(out)) > 0.1
    enlarged = stages.load_network(AutoencoderKL, out / "vae")
    assert (enlarged.config.sample_size, len(enlarged.config.block_out_channels)) == (128, 4)
    assert (out / "scheduler" / "scheduler_config.json").is_file()
    assert json.loads((out / TABLE_FILE).read_text("utf-8"))["origins"][0]["set"] == "noto"
    assert (out / TENSORS_FILE).is_file()
    digest = hashlib.sha256((start / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()).hexdigest()[:8]
    assert [path.name for path in sorted(home.glob("unet*.pt"))] == [
        f"unet-from-{digest}-vae.pt",
        f"unet-from-{digest}.pt",
    ]


def test_continued_weights_keep_their_shape(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: Sizes
) -> None:
    start, out = tmp_path / "start", tmp_path / "out"
    stages.export_weights(widen(make_unet(sizes, 5)), make_autoencoder(sizes, 5), start)
    wider = Sizes(sizes.autoencoder, (16, 16, 16), sizes.groups, sizes.head)
    for module in (stages, command):
        monkeypatch.setattr(module, "Sizes", lambda: wider)
    assert run_train([MODEL, "--from", str(start), "--pictures", "8", "--threads", "1"]) == 0
    assert run_train([MODEL, "--from", str(start), "--export", str(out)]) == 0
    assert max_difference(weights(start), weights(out)) < 0.01


def test_only_one_process_trains_a_model_at_a_time(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stages, "AUTOENCODER_STEPS", 2)
    home.mkdir(parents=True)
    with FileLock(home / "training.lock"):
        assert run_train([MODEL, "--pictures", "8"]) == 1
    assert "is being trained by another process" in capsys.readouterr().err
    assert not list(home.glob("*.pt"))


def test_training_from_the_start_can_be_continued(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stages, "AUTOENCODER_STEPS", 2)
    assert run_train([MODEL, "--pictures", "8", "--threads", "1"]) == 0
    output = capsys.readouterr().out
    assert "encoding the pictures" in output
    assert "Done: 1 steps." in output
    assert run_train([MODEL, "--pictures", "24", "--threads", "1"]) == 0
    output = capsys.readouterr().out
    assert "autoencoder" not in output
    assert "encoding the pictures" not in output
    assert "Done: 3 steps." in output
    assert run_train([MODEL, "--export", str(tmp_path / "out")]) == 0
    averaged = torch.load(home / "unet.pt", weights_only=True)["averaged"].values()
    assert max_difference(weights(tmp_path / "out"), [value.half().float() for value in averaged]) == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--export", "out"], "Nothing was trained yet: run python -m research.train emoji-diffusion first."),
        (["--from", "nowhere"], "nowhere should hold weights of this model: the folders unet and vae."),
        (["--device", "abacus"], "abacus"),
    ],
)
def test_mistakes_end_the_command_with_a_sentence(
    home: Path, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_train([MODEL, *options]) == 1
    assert sentence in capsys.readouterr().err
    assert not home.exists()


@pytest.mark.parametrize("number", ["0", "-3", "many"])
def test_the_number_of_pictures_must_be_positive(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_train([MODEL, f"--pictures={number}"])
    assert f"{number!r} should be a whole number, at least 1" in capsys.readouterr().err
