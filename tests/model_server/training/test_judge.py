"""A judge that can be trusted: what it is asked, what it learns from, and that it learns."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from model_server.training import judge
from model_server.training.emoji import TONES, Emoji
from model_server.training.loop import Plan, Run

WIDTHS = (8, 8, 16, 16)
RED, GREEN, BLUE = (220, 30, 30), (30, 180, 30), (40, 60, 220)


def emoji(code: str, tone: str = "") -> Emoji:
    return Emoji(code, code, (), (), "Objects", tone)


def shape(colour: tuple[int, int, int], *, tall: bool) -> np.ndarray:
    """A tall or a wide bar on nothing."""
    picture = np.zeros((64, 64, 4), np.uint8)
    rows, columns = (slice(6, 58), slice(24, 40)) if tall else (slice(24, 40), slice(6, 58))
    picture[rows, columns] = (*colour, 255)
    return picture


def test_two_hundred_things_half_of_them_in_other_words() -> None:
    things = judge.read_things()
    assert len({thing.code for thing in things}) == len({thing.prompt for thing in things}) == 200
    assert sum(bool(thing.paraphrase) for thing in things) == 100
    assert not [thing for thing in things if thing.name in thing.paraphrase.split(" ")]


def test_a_thing_is_an_emoji_a_name_and_perhaps_other_words(tmp_path: Path) -> None:
    (tmp_path / "things.txt").write_text("🍎 apple: the fruit that fell on Newton\n❤️ heart\n", "utf-8")
    apple, heart = judge.read_things(tmp_path / "things.txt")
    assert (apple.code, apple.name, apple.prompt) == ("1f34e", "apple", "the fruit that fell on Newton")
    assert (heart.code, heart.prompt) == ("2764", "heart")


def test_classes_are_the_things_in_their_order_and_then_all_others_without_tones() -> None:
    things = [judge.Thing("1f34e", "apple"), judge.Thing("2764", "heart")]
    listed = [emoji("1f600"), emoji("2764-fe0f"), emoji("1f44b"), emoji("1f44b-1f3ff", TONES["1F3FF"]), emoji("1f34e")]
    classes = judge.classes_of(listed, things)
    assert (classes["1f34e"], classes["2764-fe0f"]) == (0, 1)
    assert sorted(classes.values()) == [0, 1, 2, 3]
    assert "1f44b-1f3ff" not in classes


def test_all_sets_are_learnt_from_and_what_has_no_class_is_left_out() -> None:
    sets = [{"a": shape(RED, tall=True), "b": shape(RED, tall=False)}, {"a": shape(BLUE, tall=True)}]
    pictures, numbers = judge.gather(sets, {"a": 4})
    assert numbers == [4, 4]
    assert [tuple(picture[32, 32, :3]) for picture in pictures] == [RED, BLUE]


def test_disturbed_pictures_are_all_different_and_follow_from_the_seed() -> None:
    picture = torch.from_numpy(shape(RED, tall=True).transpose(2, 0, 1)).float()[None] / 255
    many = (picture * picture[:, 3:]).expand(40, 4, 64, 64)
    first, again = (judge.disturb(many, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == (40, 3, 64, 64)
    assert first.min() >= -1
    assert first.max() <= 1
    assert min((one - other).abs().mean() for one, other in pairwise(first)) > 0.05
    corners = first[:, :, :3, :3].mean(dim=(1, 2, 3))
    assert 0.4 < (corners > 0.5).float().mean() < 1


def test_hues_are_turned_and_greys_stay() -> None:
    colours = torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0.5]]).T[None, :, :, None]
    third = torch.tensor([2 * torch.pi / 3])
    turned = judge._turn_hues(colours, third, torch.ones(1))[0, :, :, 0].T
    assert torch.allclose(turned, torch.tensor([[0, 1.0, 0], [0.5, 0.5, 0.5]]), atol=1e-6)
    paler = judge._turn_hues(colours, torch.zeros(1), torch.tensor([0.25]))[0, :, 0, 0]
    assert torch.allclose(paler, torch.tensor([0.5, 0.25, 0.25]), atol=1e-6)


def test_it_learns_shapes_and_knows_them_in_a_colour_that_it_never_saw(tmp_path: Path) -> None:
    pictures = np.stack([shape(colour, tall=tall) for colour in (RED, BLUE) for tall in (True, False)])
    task = judge.JudgeTask(judge.Classifier(3, 1, WIDTHS), pictures, [0, 1, 0, 1], 2)
    # So few pictures need no turning, and few steps no long average.
    task.rate, task.decay, task.batch = 3e-2, 0.9, 16
    run = Run(task, Plan(60, 1, tmp_path, "judge"))
    seen = np.stack([judge.on_white(shape(GREEN, tall=tall)) for tall in (True, False)])
    shown = np.concatenate([seen, seen])
    run.train(lambda _: None)
    likely = judge.probabilities(run.averaged, shown, 2)
    assert likely.shape == (4, 2)
    assert np.allclose(likely.sum(axis=1), 1, atol=1e-5)
    assert judge.ranks(likely, [0, 1, 0, 1]).tolist() == [0, 0, 0, 0]
    assert judge.ranks(likely, [1, 0, 1, 0]).tolist() == [1, 1, 1, 1]


def test_half_of_what_is_learnt_are_things_however_few_they_are() -> None:
    pictures = np.stack([shape(RED, tall=True)] * 10)
    task = judge.JudgeTask(judge.Classifier(10, 1, WIDTHS), pictures, list(range(10)), 2)
    assert task._draw[:2].sum() == pytest.approx(judge.THINGS_SHARE)
    assert task._draw[2:].sum() == pytest.approx(1 - judge.THINGS_SHARE)


def test_a_thing_is_only_told_from_other_things() -> None:
    class Certain(torch.nn.Module):
        """Holds everything for the third class, which is no thing, and else for the first."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.tensor([-9.0, -27.0, 99.0]).expand(len(images), 3)

    pictures = shape(RED, tall=True)[None]
    task = judge.JudgeTask(Certain(), pictures, [0], 2)
    # The right one has nearly all; the smoothed target also wants the other, 18 below it, for a twentieth.
    assert float(task.loss(torch.Generator().manual_seed(1))) == pytest.approx(0.05 * 18, abs=1e-3)


def test_places_count_from_the_most_likely_and_ties_do_not_help() -> None:
    likely = np.asarray([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.25, 0.5, 0.25]])
    assert judge.ranks(likely, [0, 0, 0]).tolist() == [0, 2, 2]


def test_what_is_judged_lies_as_the_generator_draws_it() -> None:
    seen = judge.on_white(np.full((64, 64, 4), (220, 30, 30, 255), np.uint8))
    rows = np.flatnonzero(seen[:, 32, 1] < 100)
    assert (rows.min(), rows.max()) == (4, 59)
    assert (seen[0] == 255).all()
