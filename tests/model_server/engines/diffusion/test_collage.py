"""Pictures of single things on white become one picture."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from model_server.engines.diffusion.collage import cut_parts, find_cells, make_collage, make_tiles

SIZE = (128, 128)
RED, BLUE = (220, 30, 30), (30, 30, 220)


def disc(colour: tuple[int, int, int], box: tuple[int, int, int, int] = (32, 32, 96, 96)) -> Image.Image:
    """A disc on white with a white dot inside it."""
    picture = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(picture)
    draw.ellipse(box, fill=colour)
    across, down, radius = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, (box[2] - box[0]) / 8
    draw.ellipse((across - radius, down - radius, across + radius, down + radius), fill="white")
    return picture


def find(picture: Image.Image, colour: tuple[int, int, int]) -> tuple[float, float, float]:
    """The middle of a colour, across and down, and the share of the picture that it has."""
    near = np.abs(np.asarray(picture).astype(int) - colour).max(axis=2) < 40
    down, across = np.nonzero(near)
    assert len(down)
    return float(across.mean()), float(down.mean()), float(near.mean())


def test_the_seed_decides_where_exactly_each_thing_lies() -> None:
    first, again, other = (make_collage("row", [disc(RED), disc(BLUE)], seed) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_things_in_a_row_lie_side_by_side_as_large_as_they_fit() -> None:
    picture = make_collage("row", [disc(RED), disc(BLUE, (4, 4, 36, 36))], 1)
    assert picture.size == SIZE
    red, blue = find(picture, RED), find(picture, BLUE)
    assert red[0] == pytest.approx(32, abs=6)
    assert blue[0] == pytest.approx(96, abs=6)
    # Small things are enlarged.
    assert 0.5 < blue[2] / red[2] < 2


@pytest.mark.parametrize("count", range(1, 7))
def test_cells_of_a_row_lie_in_the_picture_and_apart(count: int) -> None:
    cells = [cell.to_pixels(SIZE) for cell in find_cells("row", count)]
    assert len(cells) == count
    covered = np.zeros(SIZE, int)
    for left, top, right, bottom in cells:
        assert 0 <= left < right <= SIZE[0]
        assert 0 <= top < bottom <= SIZE[1]
        covered[top:bottom, left:right] += 1
    assert covered.max() == 1


def test_one_thing_stands_on_another_and_hides_no_more_than_its_edge() -> None:
    picture = make_collage("on", [disc(RED), disc(BLUE)], 1)
    red, blue = find(picture, RED), find(picture, BLUE)
    assert red[1] < blue[1] - 20
    assert min(red[2], blue[2]) > 0.1
    hat = make_collage("hat", [disc(RED), disc(BLUE)], 1)
    assert find(hat, BLUE)[1] < find(hat, RED)[1] - 20


def test_what_is_in_front_hides_what_is_behind_and_white_inside_a_thing_stays_white() -> None:
    square = Image.new("RGB", SIZE, "white")
    square.paste(RED, (10, 10, 118, 118))
    picture = make_collage("behind", [square, disc(BLUE)], 1)
    left, top, right, bottom = find_cells("behind", 2)[1].to_pixels(SIZE)
    middle = picture.getpixel(((left + right) // 2, (top + bottom) // 2))
    assert min(middle) > 240  # type: ignore[type-var, arg-type]
    under = make_collage("under", [disc(BLUE), square], 1)
    assert find(under, BLUE)[2] > 0.05


def test_a_thing_lies_in_front_of_its_place() -> None:
    picture = make_collage("place", [Image.new("RGB", SIZE, BLUE), disc(RED)], 1)
    assert find(picture, RED)[2] > 0.2
    assert [picture.getpixel(corner) for corner in ((0, 0), (127, 127))] == [BLUE, BLUE]


def test_a_picture_of_nothing_leaves_its_place_white() -> None:
    picture = make_collage("row", [Image.new("RGB", SIZE, "white"), disc(RED)], 1)
    assert np.asarray(picture)[:, : SIZE[0] // 2].min() > 240


def test_noisy_parts_are_shown_where_their_things_will_lie() -> None:
    picture = make_tiles("row", [Image.new("RGB", SIZE, RED), Image.new("RGB", SIZE, BLUE)])
    assert picture.getpixel((5, 64)) == RED
    assert picture.getpixel((122, 64)) == BLUE


def test_parts_are_cut_from_where_they_were_put() -> None:
    [left, right] = cut_parts("row", 2, make_collage("row", [disc(RED), disc(BLUE)], 1))
    assert left.size == right.size == SIZE
    assert find(left, RED)[2] > 0.2
    assert find(right, BLUE)[2] > 0.2
