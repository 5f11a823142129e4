"""The main colour of a picture is named, and pictures are recoloured."""

import numpy as np
import pytest

from research.pictures.data.colours import BACKGROUNDS, COLOURS, find_main_hue, name_colour, recolour, tint


def bands_picture(*bands: tuple[int, int, int]) -> np.ndarray:
    """An opaque picture with bands of these colours from top to bottom."""
    picture = np.full((64, 64, 4), 255, np.uint8)
    for number, colour in enumerate(bands):
        picture[number * 64 // len(bands) : (number + 1) * 64 // len(bands), :, :3] = colour
    return picture


@pytest.mark.parametrize(
    ("bands", "hue", "share"),
    [
        ([(0, 0, 255)], 240, 1.0),
        ([(0, 255, 0), (0, 255, 0), (0, 255, 0), (255, 0, 255)], 120, 0.75),
        # Around zero the wheel begins anew.
        ([(255, 0, 20), (255, 20, 0)], 0, 1.0),
        ([(10, 10, 10), (250, 250, 250)], 0, 0.0),
    ],
)
def test_the_main_hue_and_its_share(bands: list[tuple[int, int, int]], hue: float, share: float) -> None:
    found, part = find_main_hue(bands_picture(*bands))
    assert abs((found - hue + 180) % 360 - 180) < 6
    assert part == pytest.approx(share, abs=0.01)


def test_invisible_pixels_have_no_colour() -> None:
    picture = bands_picture((255, 0, 0), (0, 0, 255))
    picture[:32, :, 3] = 0
    assert name_colour(picture) == "blue"


def test_a_colour_without_a_common_name_has_none() -> None:
    assert name_colour(bands_picture((0, 210, 200))) is None


@pytest.mark.parametrize("colour", COLOURS)
def test_only_the_main_hue_changes(colour: str) -> None:
    picture = bands_picture((230, 30, 30), (230, 30, 30), (30, 60, 230), (10, 10, 10))
    picture[:8, :, 3] = 40
    changed = recolour(picture, colour)
    assert np.abs(changed[34:].astype(int) - picture[34:]).max() <= 3
    assert np.array_equal(changed[..., 3], picture[..., 3])
    if colour != "red":
        assert np.abs(changed[:30, :, :3].astype(int) - picture[:30, :, :3]).max() > 40


@pytest.mark.parametrize("colour", ["red", "orange", "yellow", "green", "blue", "purple", "pink"])
def test_white_and_grey_are_dyed_and_outlines_stay(colour: str) -> None:
    dyed = recolour(bands_picture((240, 240, 240), (120, 130, 135), (20, 20, 20), (200, 40, 40)), colour)
    assert name_colour(dyed) == colour
    assert dyed[40, 32, :3].tolist() == pytest.approx([20, 20, 20], abs=3)
    assert dyed[4, 32, :3].sum() > dyed[20, 32, :3].sum()


def test_white_on_a_thing_of_one_colour_is_not_dyed() -> None:
    assert recolour(bands_picture((230, 30, 30), (230, 30, 30), (250, 250, 250)), "blue")[60, 32, :3].min() > 245


def test_a_colourless_picture_is_not_turned_grey() -> None:
    drawing = bands_picture((240, 240, 240), (120, 130, 135))
    assert np.abs(recolour(drawing, "black").astype(int) - drawing).max() <= 3


@pytest.mark.parametrize(("colour", "max_brightness"), [("black", 80), ("grey", 190), ("white", 245)])
def test_greys_have_no_hue(colour: str, max_brightness: int) -> None:
    changed = recolour(bands_picture((230, 30, 30)), colour)[32, 32, :3].astype(int)
    assert np.ptp(changed) <= 20
    assert max_brightness - 70 < changed.mean() <= max_brightness


def test_brown_is_dark_orange() -> None:
    red, green, blue = recolour(bands_picture((230, 30, 30)), "brown")[32, 32, :3].astype(int)
    assert red > green > blue
    assert red < 150


@pytest.mark.parametrize("colour", BACKGROUNDS)
def test_a_tint_is_lighter_or_darker(colour: str) -> None:
    darker, same, lighter = (sum(tint(colour, amount)) for amount in (-1, 0, 1))
    assert darker < same < lighter
    assert same == pytest.approx(sum(BACKGROUNDS[colour]), abs=3)
