"""The stages of the training save, resume and export."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fakes.programs.deployment import READY_SECONDS

from model_server.assembly import MAX_TOKENS, assemble
from model_server.errors import OperatorError
from research.loop import Plan, TrainingRun
from research.pictures.data.collection import Collection
from research.pictures.data.emoji import Emoji
from research.pictures.data.things import read_things
from research.pictures.training import samples, stages
from research.pictures.training.denoiser import DenoiserTask
from research.pictures.training.networks import Sizes, make_autoencoder, make_unet, widen
from research.pictures.training.text_encoder import TextEncoder

DRAW = """
import sys, torch
from diffusers import DiffusionPipeline
pipeline = DiffusionPipeline.from_pretrained(sys.argv[1])
pipeline.set_progress_bar_config(disable=True)
seed = torch.Generator().manual_seed(1)
picture = pipeline("a red apple", num_inference_steps=2, generator=seed, output_type="np").images[0]
assert not [name for name in sys.modules if name.startswith("model_server")]
print(type(pipeline).__name__, picture.shape, pipeline.tokenizer.model_max_length)
"""


def export(folder: Path, sizes: Sizes) -> Path:
    stages.export_weights(make_unet(sizes, 1), make_autoencoder(sizes, 1), folder)
    return folder


@pytest.mark.processes
def test_plain_diffusers_draws_with_exported_weights(tmp_path: Path, sizes: Sizes, text_encoder: Path) -> None:
    assemble(export(tmp_path / "weights", sizes), text_encoder, tmp_path / "whole")
    command = [sys.executable, "-c", DRAW, str(tmp_path / "whole")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=READY_SECONDS)
    assert done.stdout.strip() == f"StableDiffusionPipeline (64, 64, 3) {MAX_TOKENS}", done.stderr


def test_the_pipeline_encodes_prompts_as_the_training_did(tmp_path: Path, sizes: Sizes, text_encoder: Path) -> None:
    from diffusers import DiffusionPipeline

    assemble(export(tmp_path / "weights", sizes), text_encoder, tmp_path / "whole")
    pipeline = DiffusionPipeline.from_pretrained(tmp_path / "whole")
    texts = ["a red apple", "", "cat"]
    served = torch.cat([pipeline.encode_prompt(text, "cpu", 1, do_classifier_free_guidance=False)[0] for text in texts])
    trained = TextEncoder(text_encoder, "cpu").encode(texts)
    assert torch.allclose(served, trained, atol=0.05)
    assert not torch.allclose(trained[0], trained[2], atol=0.05)


def test_exported_weights_are_in_half_precision_and_load_again(tmp_path: Path, sizes: Sizes) -> None:
    folder = export(tmp_path / "weights", sizes)
    unet = make_unet(sizes, 1)
    loaded = stages.load_network(type(unet), folder / "unet")
    assert all(
        torch.equal(one.half().float(), other)
        for one, other in zip(unet.state_dict().values(), loaded.state_dict().values(), strict=True)
    )
    assert all(value.dtype == torch.float32 for value in unet.state_dict().values())


def test_the_real_networks_fit_into_forty_megabytes() -> None:
    parts = (make_unet(Sizes(), 0), make_autoencoder(Sizes(), 0))
    assert sum(value.numel() for part in parts for value in part.parameters()) * 2 < 39_500_000


def test_the_run_of_the_unet_can_be_resumed(
    tmp_path: Path,
    sizes: Sizes,
    squares: "stages.np.ndarray",
    text_encoder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(samples, "STEPS", 1)

    def collection() -> Collection:
        collection = Collection()
        for number, picture in enumerate(squares):
            collection.add("plain", picture, 1.0, ["a red apple", f"cat {number}"], ["1f34e"], str(number))
        return collection

    def prepared() -> tuple[object, list[str]]:
        log: list[str] = []
        encoder = TextEncoder(text_encoder, "cpu")
        training_set = stages.build_training_set(
            tmp_path, collection(), make_autoencoder(sizes, 1), encoder, log.append
        )
        plan = Plan(2, 1, tmp_path, "unet")
        task = DenoiserTask(widen(make_unet(sizes, 1)), training_set, make_autoencoder(sizes, 1), tmp_path / "samples")
        run = TrainingRun(task, plan)
        run.resume()
        run.task.batch = 2
        return run, log

    run, log = prepared()
    assert "encoding the pictures" in log
    run.train(print)
    run.task.show(run.averaged, 2)
    assert (tmp_path / "samples" / "000002.png").is_file()
    again, log = prepared()
    assert again.step == 2
    assert log == []


def test_there_is_nothing_to_export_before_training(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="Nothing was trained yet"):
        stages.load_trained_unet(tmp_path, "unet", None)


def test_further_drawings_may_show_what_symbols_are_named_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = next(thing for thing in read_things() if thing.name == "fir tree")
    pine = Emoji(tree.code, "evergreen tree", (), (), "Animals & Nature")
    atom = Emoji("269b", "atom symbol", (), (), "Symbols")
    names: dict[str, tuple[str, ...]] = {}
    monkeypatch.setattr(stages, "fetch", lambda *_: None)
    monkeypatch.setattr(stages, "read_emoji", lambda _: [atom, pine])
    monkeypatch.setattr(stages, "read_pictures", lambda *_: {})
    monkeypatch.setattr(stages, "read_pictures_by_any_name", lambda *_: {})
    monkeypatch.setattr(
        stages, "read_drawings", lambda emoji, _: names.update({one.code: (one.name, *one.synonyms) for one in emoji})
    )
    emoji, *_ = stages.read_sets(tmp_path, print)
    assert emoji == [pine]
    assert names == {"269b": ("atom symbol",), tree.code: ("evergreen tree", "fir tree")}
