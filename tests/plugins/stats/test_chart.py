import io
from typing import Any

import pytest
from PIL import Image

from plugins.stats.chart import COLOURS, LEFT, PAPER, ROOM, UsageChart, draw

WEEK = tuple(f"2026-03-{day}" for day in range(25, 32))


def picture(*kinds: tuple[str, tuple[int, ...]], days: tuple[str, ...] = WEEK, title: str = "Answers by day") -> Any:
    return Image.open(io.BytesIO(draw(UsageChart(title, days, kinds)))).convert("RGB")


def tall(image: Any, colour: str, share: float) -> int:
    """How many pixels of a colour stand above each other at this share of the width."""
    wanted = tuple(bytes.fromhex(colour[1:]))
    x = round(image.width * share)
    return sum(image.getpixel((x, y)) == wanted for y in range(image.height))


LAST = LEFT + ROOM * (6.6 / 7.2)
"""Where the middle of the last of seven bars is."""


def test_a_phone_can_show_it_at_half_its_width() -> None:
    image = picture(*[(f"/command{number}", (number,) * 7) for number in range(len(COLOURS))])
    assert image.width == 800
    assert image.height < 900
    assert image.getpixel((0, 0)) == tuple(bytes.fromhex(PAPER[1:]))


def test_each_part_of_a_bar_is_as_tall_as_its_number() -> None:
    nothing = (0,) * 6
    image = picture(("/ask", (*nothing, 40)), ("/face", (*nothing, 20)))
    ask, face = tall(image, COLOURS[0], LAST), tall(image, COLOURS[1], LAST)
    assert ask > 200
    assert ask == pytest.approx(2 * face, abs=4)
    assert tall(image, COLOURS[0], LAST - ROOM / 7.2) == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("days", [1, 7, 10, 11, 30])
def test_nothing_leaves_its_place_however_many_days_there_are(days: int) -> None:
    span = tuple(f"2026-03-{day:02}" for day in range(1, days + 1))
    image = picture(("/ask", (99_999,) * days), ("/face", (0,) * days), days=span, title="$x_1$ Antworten nach Tagen")
    paper = tuple(bytes.fromhex(PAPER[1:]))
    assert {image.getpixel((x, y)) for x in (0, 3, 796, 799) for y in range(image.height)} == {paper}


def test_days_without_anything_are_drawn_too() -> None:
    assert picture().width == 800
    assert picture(("/ask", (0,) * 7)).width == 800
