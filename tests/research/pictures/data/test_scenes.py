"""Emoji are placed on white, on backgrounds and in scenes."""

from random import Random

import numpy as np
import pytest

from research.pictures.data import scenes

RED, BLUE = (230, 20, 20), (20, 20, 230)


def block(colour: tuple[int, int, int], columns: slice = slice(None)) -> np.ndarray:
    """Some columns of one colour; the rest is transparent, with a green that must never become visible."""
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[..., 1] = 255
    picture[:, columns] = (*colour, 255)
    return picture


def find_pixels(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """The rows and columns of the pixels that have about this colour."""
    return np.argwhere(np.abs(picture[..., :3].astype(int) - colour).sum(axis=2) < 60)


def test_an_emoji_is_shifted_and_scaled_a_little() -> None:
    random = Random(1)
    corners, edges = set(), set()
    for _ in range(40):
        pixels = find_pixels(scenes.place(block(RED), random, flip=False), RED)
        corners.add(tuple(pixels.min(axis=0)))
        edges.add(int(np.ptp(pixels[:, 0])) + 1)
    assert len(corners) > 10
    assert {min(edges), max(edges)} <= set(range(51, 64))
    assert len(edges) > 4


@pytest.mark.parametrize("seed", range(20))
def test_a_distorted_emoji_is_narrower_or_lower_and_whole(seed: int) -> None:
    square = np.zeros((64, 64, 4), np.uint8)
    square[1:63, 1:63] = (200, 0, 0, 255)
    opaque = scenes.distort(square, Random(seed))[..., 3] > 128
    assert 0.6 < opaque.sum() / (62 * 62) < 1
    assert not (opaque[0].any())
    assert not (opaque[-1].any())
    assert not (opaque[:, 0].any())
    assert not (opaque[:, -1].any())


@pytest.mark.parametrize(("flip", "left"), [(False, True), (True, False)])
def test_flip_mirrors_the_emoji(flip: bool, left: bool) -> None:
    picture = scenes.place(block(RED, slice(0, 20)), Random(1), flip=flip)
    assert (find_pixels(picture, RED)[:, 1].mean() < 32) == left


def test_the_colour_of_invisible_pixels_does_not_bleed() -> None:
    picture = scenes.place(block(RED, slice(16, 48)), Random(1), flip=False).astype(int)
    # Between white and red there is always much red.
    assert picture[..., 0].min() > 210


def test_a_pair_is_placed_side_by_side() -> None:
    picture = scenes.place_pair(block(RED), block(BLUE), Random(1))
    red, blue = find_pixels(picture, RED), find_pixels(picture, BLUE)
    assert len(red) > 600
    assert len(blue) > 600
    assert red[:, 1].max() < blue[:, 1].min() + 3


@pytest.mark.parametrize(("colour", "channel"), [("red", 0), ("green", 1), ("blue", 2)])
def test_an_emoji_is_placed_on_a_background_of_one_colour(colour: str, channel: int) -> None:
    picture = scenes.place_on_colour(block((250, 250, 250)), colour, Random(1), flip=False)
    assert np.argmax(picture[0, 0]) == channel
    assert (picture[:4] == picture[0, 0]).all()
    assert len(find_pixels(picture, (250, 250, 250))) > 1500


@pytest.mark.parametrize(("place", "top", "bottom"), [("eyes", 5, 56), ("head", 0, 32)])
def test_worn_things_cover_the_face_only_partly(place: str, top: int, bottom: int) -> None:
    dressed = scenes.put_on(block(RED), block(BLUE), position=place)
    rows = find_pixels(dressed, BLUE)[:, 0]
    assert (rows.min(), rows.max()) >= (top, 25)
    assert rows.max() <= bottom
    assert len(find_pixels(dressed, RED)) > 500
    assert dressed.shape == (64, 64, 4)


def test_every_scene_has_captions() -> None:
    assert scenes.SCENES.keys() == scenes.SCENE_WORDS.keys()


@pytest.mark.parametrize("scene", scenes.SCENES)
def test_scenes_vary_and_are_reproducible_from_the_seed(scene: str) -> None:
    first, again, other = (scenes.place_in_scene(block(RED), scene, Random(seed), flip=False) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first[0].std() + np.abs(first[0].astype(int) - 255).mean() > 5


@pytest.mark.parametrize("count", [2, 3, 4])
def test_copies_lie_apart(count: int) -> None:
    picture = scenes.place_copies(block(RED, slice(10, 54)), count, Random(1))
    is_red = np.zeros((64, 64), bool)
    is_red[tuple(find_pixels(picture, RED).T)] = True
    rows, columns = (is_red.any(axis) for axis in (1, 0))
    # Each run of rows or columns with red in it is one row or column of copies.
    across, down = (int((np.diff(np.r_[0, line.astype(int)]) == 1).sum()) for line in (columns, rows))
    assert (across, down) == {2: (2, 1), 3: (3, 2), 4: (2, 2)}[count] or (count == 3 and down == 2)


def test_a_thing_on_another_one_is_above_it() -> None:
    picture = scenes.place_on(block(RED), block(BLUE), Random(1))
    red, blue = find_pixels(picture, RED), find_pixels(picture, BLUE)
    assert red[:, 0].min() < 3
    assert blue[:, 0].max() == 63
    assert abs(red[:, 1].mean() - blue[:, 1].mean()) < 5


def test_a_thing_with_another_one_is_the_bigger_one() -> None:
    picture = scenes.place_with(block(RED), block(BLUE), Random(1))
    red, blue = find_pixels(picture, RED), find_pixels(picture, BLUE)
    assert len(red) > 2 * len(blue) > 1000
    assert blue[:, 1].max() == 63


def test_a_thing_behind_another_one_is_partly_hidden() -> None:
    alone = scenes.place_behind(block(RED), np.zeros((64, 64, 4), np.uint8), Random(1))
    both = scenes.place_behind(block(RED), block(BLUE), Random(1))
    assert 0.3 * len(find_pixels(alone, RED)) < len(find_pixels(both, RED)) < 0.95 * len(find_pixels(alone, RED))


def test_the_features_of_a_face_are_put_on_another_thing() -> None:
    face = block((255, 204, 77))
    face[24:30, 20:28, :3] = (60, 40, 20)
    features = scenes.cut_out_features(face)
    assert np.count_nonzero(features[..., 3]) == 6 * 8
    made = scenes.put_features(block(BLUE), features, Random(1))
    dark = find_pixels(made, (60, 40, 20))
    assert 8 < len(dark) < 48
    assert np.abs(dark.mean(axis=0) - 32).max() < 12
    assert len(find_pixels(made, (255, 204, 77))) == 0
