"""Descriptions come to do what the names of their things do, and nothing else changes much."""

import copy
import dataclasses
from pathlib import Path

import pytest
import torch

from model_server.training import stages, wordings
from model_server.training.denoiser import DenoiserTask, Lesson, Wording
from model_server.training.loop import Plan, Run
from model_server.training.networks import Sizes, make_unet
from model_server.training.wordings import learn_wordings

NAME, DESCRIPTIONS, OTHER = 1, (2, 3), 20


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RECORDED": 40, "BATCH": 8, "KEPT": 8, "TELL_STEPS": 20}.items():
        monkeypatch.setattr(wordings, name, value)


@pytest.fixture
def described(lesson: Lesson) -> Lesson:
    """The lesson, with one thing that has descriptions."""
    thing = Wording(NAME, torch.tensor(DESCRIPTIONS), torch.tensor([0, 1]))
    return dataclasses.replace(lesson, wordings=[thing])


@torch.no_grad()
def made(unet: torch.nn.Module, lesson: Lesson, caption: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(3)
    noisy = torch.randn(8, 4, 16, 16, generator=random)
    found: torch.Tensor = unet(noisy, torch.full((8,), 950), lesson.words(torch.tensor([caption] * 8))).sample
    return found


def test_a_description_does_what_the_name_did_and_others_what_they_did(described: Lesson, sizes: Sizes) -> None:
    unet = make_unet(sizes, 1)
    before = copy.deepcopy(unet)
    told: list[str] = []
    learn_wordings(unet, described, 5, told.append, steps=60)

    def apart(caption: int, meant: int, pupil: torch.nn.Module = unet) -> float:
        return float((made(pupil, described, caption) - made(before, described, meant)).square().mean())

    for description in DESCRIPTIONS:
        assert apart(description, NAME) < 0.5 * apart(description, NAME, before)
    assert apart(OTHER, OTHER) < 0.5 * apart(OTHER, NAME, before)
    assert [line.split(",")[0] for line in told] == [f"wordings: {steps} of 60 steps" for steps in (20, 40, 60)]


def test_only_layers_that_read_the_text_change_and_the_seed_says_how(described: Lesson, sizes: Sizes) -> None:
    before, one, again, other = (make_unet(sizes, 1) for _ in range(4))
    for unet, seed in ((one, 5), (again, 5), (other, 6)):
        learn_wordings(unet, described, seed, lambda line: None, steps=2)
    for name, value in before.state_dict().items():
        assert torch.equal(one.state_dict()[name], value) == ("attn2" not in name), name
        assert torch.equal(one.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(
        one.mid_block.attentions[0].transformer_blocks[0].attn2.to_v.weight,
        other.mid_block.attentions[0].transformer_blocks[0].attn2.to_v.weight,
    )


def test_a_run_that_stops_around_the_descriptions_goes_on_as_if_it_had_not(
    described: Lesson, sizes: Sizes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "WORDING_STEPS", 2)

    def run(name: str) -> Run:
        task = DenoiserTask(make_unet(sizes, 1), described, None, None, tmp_path)  # type: ignore[arg-type]
        task.batch = 4
        taken_up = Run(task, Plan(5, 1, tmp_path / name, "unet"))
        taken_up.resume()
        return taken_up

    whole = run("whole")
    stages.learn(whole, described, 3, print)
    assert whole.step == 5
    run("before").train(print, until=3)
    after = run("after")
    after.train(print, until=3)
    learn_wordings(after.averaged, described, 1, print, steps=2)
    after.go_on_from_average()
    for name in ("before", "after"):
        broken = run(name)
        stages.learn(broken, described, 3, print)
        assert broken.step == 5
        for key, value in whole.averaged.state_dict().items():
            assert torch.equal(broken.averaged.state_dict()[key], value), (name, key)
