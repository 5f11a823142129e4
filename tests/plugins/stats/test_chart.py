import io
from typing import Any

import pytest
from PIL import Image

from plugins.shared.figures import PAPER
from plugins.stats.chart import BARS_LEFT, BARS_WIDTH, COLOURS, UsageChart, draw_chart

WEEK = tuple(f"2026-03-{day}" for day in range(25, 32))


def draw_picture(
    *kinds: tuple[str, tuple[int, ...]], days: tuple[str, ...] = WEEK, title: str = "Answers by day"
) -> Any:
    return Image.open(io.BytesIO(draw_chart(UsageChart(title, days, kinds)))).convert("RGB")


def count_pixels(image: Any, colour: str, share: float) -> int:
    """Return the number of pixels of a colour in the column at this share of the width."""
    wanted = tuple(bytes.fromhex(colour[1:]))
    x = round(image.width * share)
    return sum(image.getpixel((x, y)) == wanted for y in range(image.height))


LAST_BAR = BARS_LEFT + BARS_WIDTH * (6.6 / 7.2)
"""The middle of the last of seven bars, as a share of the width."""


def test_the_picture_is_800_pixels_wide_and_not_too_high_for_a_phone() -> None:
    image = draw_picture(*[(f"/command{number}", (number,) * 7) for number in range(len(COLOURS))])
    assert image.width == 800
    assert image.height < 900
    assert image.getpixel((0, 0)) == tuple(bytes.fromhex(PAPER[1:]))


def test_each_part_of_a_bar_is_as_tall_as_its_number() -> None:
    nothing = (0,) * 6
    image = draw_picture(("/ask", (*nothing, 40)), ("/face", (*nothing, 20)))
    ask, face = count_pixels(image, COLOURS[0], LAST_BAR), count_pixels(image, COLOURS[1], LAST_BAR)
    assert ask > 200
    assert ask == pytest.approx(2 * face, abs=4)
    assert count_pixels(image, COLOURS[0], LAST_BAR - BARS_WIDTH / 7.2) == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("days", [1, 7, 10, 11, 30])
def test_everything_stays_inside_the_picture_for_any_number_of_days(days: int) -> None:
    span = tuple(f"2026-03-{day:02}" for day in range(1, days + 1))
    image = draw_picture(
        ("/ask", (99_999,) * days), ("/face", (0,) * days), days=span, title="$x_1$ Antworten nach Tagen"
    )
    paper = tuple(bytes.fromhex(PAPER[1:]))
    assert {image.getpixel((x, y)) for x in (0, 3, 796, 799) for y in range(image.height)} == {paper}


def test_days_without_answers_are_drawn_too() -> None:
    assert draw_picture().width == 800
    assert draw_picture(("/ask", (0,) * 7)).width == 800
