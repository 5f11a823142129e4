"""What was trained, as files that others open."""

import dataclasses
import functools
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fakes.programs.deployment import READY_SECONDS

from model_server.assembly import MAX_TOKENS, assemble
from model_server.catalogue import StoreError
from model_server.training import stages
from model_server.training.images import samples
from model_server.training.images.collection import Collection
from model_server.training.images.dataset import ThingWords, TrainingSet
from model_server.training.images.denoiser import DenoiserTask
from model_server.training.images.networks import Sizes, make_autoencoder, make_unet
from model_server.training.images.recogniser import RecogniserTask, make_recogniser
from model_server.training.images.words import TextEncoder
from model_server.training.loop import Plan, TrainingRun

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
    stages.export(make_unet(sizes, 1), make_autoencoder(sizes, 1), folder)
    return folder


@pytest.mark.processes
def test_plain_diffusers_opens_and_draws_what_was_exported(tmp_path: Path, sizes: Sizes, text_encoder: Path) -> None:
    assemble(export(tmp_path / "weights", sizes), text_encoder, tmp_path / "whole")
    command = [sys.executable, "-c", DRAW, str(tmp_path / "whole")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=READY_SECONDS)
    assert done.stdout.strip() == f"StableDiffusionPipeline (64, 64, 3) {MAX_TOKENS}", done.stderr


def test_the_pipeline_reads_prompts_as_the_training_did(tmp_path: Path, sizes: Sizes, text_encoder: Path) -> None:
    from diffusers import DiffusionPipeline

    assemble(export(tmp_path / "weights", sizes), text_encoder, tmp_path / "whole")
    pipeline = DiffusionPipeline.from_pretrained(tmp_path / "whole")
    texts = ["a red apple", "", "cat"]
    served = torch.cat([pipeline.encode_prompt(text, "cpu", 1, do_classifier_free_guidance=False)[0] for text in texts])
    trained = TextEncoder(text_encoder, "cpu").encode(texts)
    assert torch.allclose(served, trained, atol=0.05)
    assert not torch.allclose(trained[0], trained[2], atol=0.05)


def test_exported_weights_are_halves_and_come_back(tmp_path: Path, sizes: Sizes) -> None:
    folder = export(tmp_path / "weights", sizes)
    unet = make_unet(sizes, 1)
    kept = stages.load_part(type(unet), folder / "unet")
    assert all(
        torch.equal(one.half().float(), other)
        for one, other in zip(unet.state_dict().values(), kept.state_dict().values(), strict=True)
    )
    assert all(value.dtype == torch.float32 for value in unet.state_dict().values())


def test_the_real_sizes_fit_into_forty_megabytes() -> None:
    parts = (make_unet(Sizes(), 0), make_autoencoder(Sizes(), 0))
    assert sum(value.numel() for part in parts for value in part.parameters()) * 2 < 39_500_000


def test_stages_lead_to_a_run_that_is_taken_up_again(
    tmp_path: Path,
    sizes: Sizes,
    squares: "stages.np.ndarray",
    text_encoder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(samples, "STEPS", 1)

    def collection() -> Collection:
        made = Collection()
        for number, picture in enumerate(squares):
            made.add("plain", picture, 1.0, ["a red apple", f"cat {number}"])
        return made

    def prepared() -> tuple[object, list[str]]:
        told: list[str] = []
        encoder = TextEncoder(text_encoder, "cpu")
        lesson = stages.prepare(tmp_path, collection(), make_autoencoder(sizes, 1), encoder, told.append)
        plan = Plan(2, 1, tmp_path, "unet")
        run = stages.denoising(tmp_path, plan, lesson, make_autoencoder(sizes, 1), encoder, make_unet(sizes, 1))
        run.task.batch = 2
        return run, told

    run, told = prepared()
    assert "encoding the pictures" in told
    run.train(print)
    run.task.show(run.averaged, 2)
    assert (tmp_path / "samples" / "000002.png").is_file()
    again, told = prepared()
    assert again.step == 2
    assert told == []


def test_a_run_that_stops_around_the_descriptions_goes_on_as_if_it_had_not(
    lesson: TrainingSet, sizes: Sizes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "RECOGNISER_STEPS", 2)
    monkeypatch.setattr(stages, "make_recogniser", functools.partial(make_recogniser, widths=(8, 8)))
    monkeypatch.setattr(RecogniserTask, "batch", 4)
    described = dataclasses.replace(
        lesson, wordings=[ThingWords(1, torch.tensor([2, 3]), torch.tensor([0, 1]), torch.ones(2))]
    )

    def run(name: str, known: TrainingSet = described) -> TrainingRun[DenoiserTask]:
        task = DenoiserTask(make_unet(sizes, 1), known, None, None, tmp_path)  # type: ignore[arg-type]
        task.batch, task.described = 4, 2
        taken_up = TrainingRun(task, Plan(5, 1, tmp_path / name, "unet"))
        taken_up.resume()
        return taken_up

    def weights(done: TrainingRun[DenoiserTask]) -> torch.Tensor:
        return torch.cat([value.flatten() for value in done.averaged.state_dict().values()])

    whole, undescribed = run("whole"), run("undescribed", lesson)
    stages.learn(whole, described, 3, print)
    stages.learn(undescribed, lesson, 3, print)
    assert whole.step == undescribed.step == 5
    assert not torch.equal(weights(undescribed), weights(whole))
    for stopped_at in (2, 3, 4):
        name = f"stopped at {stopped_at}"
        before = run(name)
        if stopped_at > 3:
            before.train(print, until=3)
            before.task.teacher = before.averaged
            before.task.recogniser = stages.learn_to_recognise(before, described, print)
        before.train(print, until=stopped_at)
        after = run(name)
        stages.learn(after, described, 3, print)
        assert torch.equal(weights(after), weights(whole)), name


def test_there_is_nothing_to_export_before_training(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="Nothing was trained yet"):
        stages.learnt_unet(tmp_path, "unet", None)
