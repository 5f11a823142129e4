"""Grids, enlargements, and the stamp of what made a picture."""

import io

import pytest
from PIL import Image

from model_server.pictures import encode, enlarge, grid

RED, BLUE = (255, 0, 0), (0, 0, 255)


def square(colour: tuple[int, int, int] = RED, width: int = 10, height: int = 10) -> Image.Image:
    return Image.new("RGB", (width, height), colour)


@pytest.mark.parametrize(
    ("count", "columns", "rows"),
    [(1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 2, 2), (5, 3, 2), (7, 3, 3), (12, 4, 3), (16, 4, 4)],
)
def test_a_grid_is_as_nearly_square_as_can_be(count: int, columns: int, rows: int) -> None:
    whole = grid([square()] * count, gap=3)
    assert whole.size == (columns * 10 + (columns - 1) * 3, rows * 10 + (rows - 1) * 3)


def test_pictures_lie_in_rows_with_gaps_of_the_background() -> None:
    whole = grid([square(RED), square(BLUE), square(BLUE)], gap=2, background=(1, 2, 3))
    assert whole.getpixel((9, 9)) == RED
    assert whole.getpixel((12, 0)) == BLUE
    assert whole.getpixel((0, 12)) == BLUE
    assert {whole.getpixel(place) for place in ((10, 0), (11, 9), (0, 10), (15, 15))} == {(1, 2, 3)}


def test_a_grid_of_nothing_or_of_different_sizes_is_an_error() -> None:
    with pytest.raises(ValueError, match="these have 0"):
        grid([])
    with pytest.raises(ValueError, match="these have 2"):
        grid([square(), square(width=11)])


def test_enlarging_keeps_the_shape_and_blends_smoothly() -> None:
    assert enlarge(square(width=10, height=5), 40).size == (40, 20)
    edge = Image.new("RGB", (2, 1), RED)
    edge.putpixel((1, 0), BLUE)
    row = [enlarge(edge, 16).getpixel((x, 0)) for x in range(16)]
    assert len(set(row)) > 4
    same = square()
    assert enlarge(same, 10) is same


def test_a_png_says_what_made_it_in_the_same_bytes_each_time() -> None:
    made_by = {"model": "größe-模型", "seed": "7"}
    png = encode(square(), made_by)
    assert png == encode(square(), made_by)
    read = Image.open(io.BytesIO(png))
    assert read.format == "PNG"
    assert read.text == {"Software": "Tempera", **made_by}
    assert read.getpixel((0, 0)) == RED
