"""The judge learns from the right pictures, augments them and recognises things."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from research.pictures.data.emoji import TONES, Emoji
from research.pictures.data.scenes import centre
from research.pictures.data.things import Thing
from research.pictures.judge import classifier
from research.pictures.judge.augmentation import augment, rotate_hues

RED, GREEN, BLUE = (220, 30, 30), (30, 180, 30), (40, 60, 220)


def emoji(code: str, tone: str = "") -> Emoji:
    return Emoji(code, code, (), (), "Objects", tone)


def shape(colour: tuple[int, int, int], *, tall: bool) -> np.ndarray:
    """A tall or a wide bar on a transparent background."""
    picture = np.zeros((64, 64, 4), np.uint8)
    rows, columns = (slice(6, 58), slice(24, 40)) if tall else (slice(24, 40), slice(6, 58))
    picture[rows, columns] = (*colour, 255)
    return picture


def test_classes_are_the_things_in_their_order_and_nothing_else() -> None:
    things = [Thing("1f34e", "apple"), Thing("2764", "heart"), Thing("1f44b", "hand")]
    emoji_list = [
        emoji("1f600"),
        emoji("2764-fe0f"),
        emoji("1f44b"),
        emoji("1f44b-1f3ff", TONES["1F3FF"]),
        emoji("1f34e"),
    ]
    assert classifier.map_classes(emoji_list, things) == {"1f34e": 0, "2764-fe0f": 1, "1f44b": 2}


def test_pictures_of_all_sets_are_stacked_and_others_are_left_out() -> None:
    sets = [{"a": shape(RED, tall=True), "b": shape(RED, tall=False)}, {"a": shape(BLUE, tall=True)}]
    pictures, numbers = classifier.stack_pictures(sets, {"a": 4})
    assert numbers == [4, 4]
    assert [tuple(picture[32, 32, :3]) for picture in pictures] == [RED, BLUE]


def test_augmented_pictures_differ_and_are_reproducible_from_the_seed() -> None:
    picture = torch.from_numpy(shape(RED, tall=True).transpose(2, 0, 1)).float()[None] / 255
    many = (picture * picture[:, 3:]).expand(40, 4, 64, 64)
    first, again = (augment(many, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == (40, 3, 64, 64)
    assert first.min() >= 0
    assert first.max() <= 1
    assert min((one - other).abs().mean() for one, other in pairwise(first)) > 0.02
    corners = first[:, :, :3, :3].mean(dim=(1, 2, 3))
    assert 0.4 < (corners > 0.9).float().mean() < 1


def test_hues_are_rotated_and_greys_stay() -> None:
    colours = torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0.5]]).T[None, :, :, None]
    third = torch.tensor([2 * torch.pi / 3])
    rotated = rotate_hues(colours, third, torch.ones(1))[0, :, :, 0].T
    assert torch.allclose(rotated, torch.tensor([[0, 1.0, 0], [0.5, 0.5, 0.5]]), atol=1e-6)
    paler = rotate_hues(colours, torch.zeros(1), torch.tensor([0.25]))[0, :, 0, 0]
    assert torch.allclose(paler, torch.tensor([0.5, 0.25, 0.25]), atol=1e-6)


def coarse_colours(pictures: torch.Tensor) -> torch.Tensor:
    """A stand-in for the deep network: coarse colours by position."""
    return torch.nn.functional.avg_pool2d(pictures, 16).flatten(1)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "RANDOM_FEATURES", 64)
    monkeypatch.setattr(classifier, "BATCH", 5)


@pytest.mark.usefixtures("quick")
def test_the_judge_recognises_shapes_in_a_new_colour() -> None:
    pictures = np.stack([shape(colour, tall=tall) for colour in (RED, BLUE) for tall in (True, False)])
    judge = classifier.PictureClassifier(pictures, [0, 1, 0, 1], 2, seed=1, vision=coarse_colours)
    pictures_on_white = np.stack([centre(shape(GREEN, tall=tall)) for tall in (True, False)] * 3)
    scores = judge.scores(pictures_on_white)
    assert scores.shape == (6, 2)
    assert classifier.rank_right_things(scores, [0, 1] * 3).tolist() == [0] * 6
    assert classifier.rank_right_things(scores, [1, 0] * 3).tolist() == [1] * 6


@pytest.mark.usefixtures("quick")
def test_the_judge_recognises_shifted_and_mirrored_pictures() -> None:
    half = shape(RED, tall=False)
    half[:, 32:] = 0
    judge = classifier.PictureClassifier(
        np.stack([half, shape(RED, tall=True)]), [0, 1], 2, seed=1, vision=coarse_colours
    )
    aside = np.roll(centre(half), (3, 4), axis=(0, 1))[:, ::-1]
    scores = judge.scores(np.stack([aside, centre(shape(RED, tall=True))]))
    assert classifier.rank_right_things(scores, [0, 1]).tolist() == [0, 0]
    assert scores[1, 1] > 0.6 > 0.4 > scores[1, 0]


@pytest.mark.usefixtures("quick")
def test_the_same_seed_makes_the_same_judge() -> None:
    pictures = np.stack([shape(RED, tall=True), shape(RED, tall=False)])
    pictures_on_white = centre(pictures[0])[None]
    first, again, other = (
        classifier.PictureClassifier(pictures, [0, 1], 2, seed=seed, vision=coarse_colours).scores(pictures_on_white)
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_ranks_count_from_the_highest_score_and_ties_come_first() -> None:
    scores = np.asarray([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.25, 0.5, 0.25]])
    assert classifier.rank_right_things(scores, [0, 0, 0]).tolist() == [0, 2, 2]


def test_emoji_on_white_have_the_size_that_the_generator_draws() -> None:
    pixels = centre(np.full((64, 64, 4), (220, 30, 30, 255), np.uint8))
    rows = np.flatnonzero(pixels[:, 32, 1] < 100)
    assert (rows.min(), rows.max()) == (4, 59)
    assert (pixels[0] == 255).all()
