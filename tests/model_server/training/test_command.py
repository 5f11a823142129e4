"""`tempera-models train` with networks and a collection that are tiny, and everything else as it is."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from filelock import FileLock

from model_server.__main__ import main
from model_server.training import command, stages
from model_server.training.images.collection import Collection
from model_server.training.images.denoiser import DenoiserTask
from model_server.training.images.networks import Sizes, make_autoencoder, make_unet

MODEL = "emoji-diffusion"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: Sizes, squares: np.ndarray, encoder: Path) -> Path:
    """The folder of the training, in which nothing is yet."""

    def build_collection(folder: Path, seed: int, tell: object) -> Collection:
        folder.mkdir(parents=True, exist_ok=True)
        made = Collection()
        for number, picture in enumerate(squares):
            made.add("plain", picture, 1.0, ["a red apple", f"cat {number}"])
        return made

    monkeypatch.setenv("TEMPERA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stages, "build_collection", build_collection)
    monkeypatch.setattr(DenoiserTask, "batch", 8)
    monkeypatch.setattr(DenoiserTask, "descriptions_per_batch", 2)
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


def furthest(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    return max(float((left - right).abs().max()) for left, right in zip(one, other, strict=True))


def test_it_starts_from_weights_and_exports_what_became_of_them(home: Path, tmp_path: Path, sizes: Sizes) -> None:
    start, out = tmp_path / "start", tmp_path / "out"
    stages.export_weights(make_unet(sizes, 5), make_autoencoder(sizes, 5), start)
    from_start = ["train", MODEL, "--from", str(start)]
    assert main([*from_start, "--pictures", "16", "--threads", "1"]) == 0
    assert main([*from_start, "--export", str(out)]) == 0
    # Two steps, at the beginning of a rising rate, lead a little away from there and from nowhere else.
    assert 0 < furthest(weights(start), weights(out)) < 0.01
    stages.export_weights(make_unet(sizes, 7), make_autoencoder(sizes, 7), tmp_path / "other")
    assert furthest(weights(tmp_path / "other"), weights(out)) > 0.1
    assert furthest(weights(start, AutoencoderKL), weights(out, AutoencoderKL)) == 0
    assert (out / "scheduler" / "scheduler_config.json").is_file()
    digest = hashlib.sha256((start / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()).hexdigest()[:8]
    assert [path.name for path in home.glob("unet*.pt")] == [f"unet-from-{digest}.pt"]


def test_weights_keep_the_shape_that_they_were_made_in(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: Sizes
) -> None:
    start, out = tmp_path / "start", tmp_path / "out"
    stages.export_weights(make_unet(sizes, 5), make_autoencoder(sizes, 5), start)
    wider = Sizes(sizes.autoencoder, (16, 16, 16), sizes.groups, sizes.head)
    for module in (stages, command):
        monkeypatch.setattr(module, "Sizes", lambda: wider)
    assert main(["train", MODEL, "--from", str(start), "--pictures", "8", "--threads", "1"]) == 0
    assert main(["train", MODEL, "--from", str(start), "--export", str(out)]) == 0
    assert furthest(weights(start), weights(out)) < 0.01


def test_two_do_not_train_it_at_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stages, "AUTOENCODER_STEPS", 2)
    home.mkdir(parents=True)
    with FileLock(home / "training.lock"):
        assert main(["train", MODEL, "--pictures", "8"]) == 1
    assert "is being trained by another process" in capsys.readouterr().err
    assert not list(home.glob("*.pt"))


def test_from_nothing_to_weights_and_further_when_asked_again(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stages, "AUTOENCODER_STEPS", 2)
    assert main(["train", MODEL, "--pictures", "8", "--threads", "1"]) == 0
    told = capsys.readouterr().out
    plan = next(line for line in told.splitlines() if line.startswith("the plan: "))
    assert re.fullmatch(
        r"the plan: the autoencoder 16 pictures at [0-9.]+ ms, 0 min; "
        r"the UNet 8 pictures with descriptions, too, at [0-9.]+ ms, 0 min; about 0 min in all",
        plan,
    )
    assert told.index(plan) < told.index("autoencoder: decoded pictures have a PSNR of")
    assert "Done: 1 steps." in told
    assert main(["train", MODEL, "--pictures", "24", "--threads", "1"]) == 0
    told = capsys.readouterr().out
    assert "autoencoder" not in told
    assert "the plan" not in told
    assert "Done: 3 steps." in told
    assert main(["train", MODEL, "--export", str(tmp_path / "out")]) == 0
    kept = torch.load(home / "unet.pt", weights_only=True)["averaged"].values()
    assert furthest(weights(tmp_path / "out"), [value.half().float() for value in kept]) == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--export", "out"], "Nothing was trained yet: run tempera-models train emoji-diffusion first."),
        (["--from", "nowhere"], "nowhere should hold weights of this model: the folders unet and vae."),
        (["--device", "abacus"], "abacus"),
    ],
)
def test_mistakes_end_it_with_a_sentence(
    home: Path, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", MODEL, *options]) == 1
    assert sentence in capsys.readouterr().err
    assert not home.exists()


@pytest.mark.parametrize("number", ["0", "-3", "many"])
def test_there_is_something_to_be_shown(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", MODEL, f"--pictures={number}"])
    assert f"{number!r} should be a whole number, at least 1" in capsys.readouterr().err
