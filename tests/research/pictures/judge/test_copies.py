"""A copy is recognised however it is mirrored, shifted or recoloured; another drawing is none."""

import numpy as np
import pytest

from research.pictures.judge.copies import COPY_DISTANCE, MAX_SHIFT, find_nearest, measure_distance, measure_looked_at


def draw(*corners: int, colour: tuple[int, int, int] = (220, 40, 40)) -> np.ndarray:
    """A wedge on white, which is no mirror image of itself."""
    picture = np.full((64, 64, 3), 255, np.uint8)
    top, left, side = corners
    for row in range(side):
        picture[top + row, left : left + 1 + row] = colour
    return picture


WEDGE = draw(16, 16, 30)
BAR = draw(30, 8, 12, colour=(40, 40, 220))
GREEN = draw(16, 16, 30, colour=(41, 220, 41))


@pytest.mark.parametrize(
    "copy",
    [
        WEDGE,
        WEDGE[:, ::-1],
        draw(16 + MAX_SHIFT, 16 - MAX_SHIFT, 30),
        GREEN,
        np.roll(GREEN[:, ::-1], (-MAX_SHIFT, 2), (0, 1)),
    ],
)
def test_a_changed_copy_is_near(copy: np.ndarray) -> None:
    assert measure_distance(copy, WEDGE) < 0.2 * COPY_DISTANCE


@pytest.mark.parametrize("other", [BAR, draw(16 + MAX_SHIFT + 6, 16, 30), draw(10, 10, 44)])
def test_another_drawing_is_far(other: np.ndarray) -> None:
    assert measure_distance(other, WEDGE) > COPY_DISTANCE


def test_the_distance_is_the_root_mean_square_of_the_difference() -> None:
    darker = draw(16, 16, 30, colour=(169, 40, 40))
    share = 30 * 31 / 2 / 64**2
    assert measure_distance(darker, WEDGE) == pytest.approx((share * 0.2**2 / 3) ** 0.5, rel=0.05)


def test_the_nearest_of_many_is_found() -> None:
    numbers, distances = find_nearest(np.stack([BAR[:, ::-1], WEDGE]), np.stack([WEDGE, BAR]))
    assert numbers.tolist() == [1, 0]
    assert distances.max() < 0.01


def test_pictures_that_looked_at_nothing_have_no_distance() -> None:
    assert measure_looked_at(np.stack([WEDGE, BAR]), [[BAR, WEDGE[:, ::-1]], []]) == pytest.approx([0], abs=0.01)
