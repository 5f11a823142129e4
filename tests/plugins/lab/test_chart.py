import io
from itertools import groupby
from typing import Any

import pytest
from PIL import Image

from plugins.lab.chart import AFTER, BEFORE, Bar, OddsChart, draw_chart, format_percent, replace_undrawable
from plugins.shared.figures import PAPER

UNUSUAL_LABELS = (
    "$x_1$",
    "$\\frac$",
    "猫が座る",
    "😀",
    "\u0600",
    "F0 9F 98",
    "␣" + "i" * 300,
    "a\u0301",
    "\U000f0000",
    "",
)


def draw_picture(*bars: Bar, title: str = "The cat sat on the") -> Any:
    chart = OddsChart(title, "the model’s own odds", "at temperature 0.7", bars)
    return Image.open(io.BytesIO(draw_chart(chart))).convert("RGB")


def find_longest_run(image: Any, colour: str, top: float) -> int:
    """Return the width of the widest bar of a colour below `top`, in pixels."""
    wanted = tuple(bytes.fromhex(colour[1:]))
    lines = ([image.getpixel((x, y)) == wanted for x in range(image.width)] for y in range(int(top), image.height, 3))
    return max((len(list(run)) for line in lines for filled, run in groupby(line) if filled), default=0)


def test_the_picture_is_800_pixels_wide_and_not_too_high_for_a_phone() -> None:
    image = draw_picture(*[Bar(f"␣word{number}", 0.1, 0.05) for number in range(11)])
    assert image.width == 800
    assert image.height < 1200
    assert image.getpixel((0, 0)) == tuple(bytes.fromhex(PAPER[1:]))


def test_a_bar_is_as_long_as_its_probability() -> None:
    image = draw_picture(Bar("␣a", 0.25, 0.5))
    before, after = (find_longest_run(image, colour, 225) for colour in (BEFORE, AFTER))
    assert after == pytest.approx(400, abs=3)
    assert before == pytest.approx(200, abs=3)


def test_a_token_without_odds_has_no_bar() -> None:
    assert find_longest_run(draw_picture(Bar("␣a", 0.25, 0.0)), AFTER, 225) < 10


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("label", UNUSUAL_LABELS)
def test_unusual_labels_stay_inside_the_picture(label: str) -> None:
    image = draw_picture(Bar(label, 0.25, 0.5), title=label)
    paper = tuple(bytes.fromhex(PAPER[1:]))
    assert {image.getpixel((x, y)) for x in (0, 4, 796, 799) for y in range(image.height)} == {paper}


def test_characters_without_a_font_are_shown_as_code_points() -> None:
    assert replace_undrawable("é␣↵") == "é␣↵"
    assert replace_undrawable("a\U000f0000") == "a U+F0000"


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1e-5, "< 0.1 %"), (0.001, "0.1 %"), (0.3006, "30.1 %"), (0.9994, "99.9 %"), (0.9996, "100 %")],
)
def test_probabilities_are_rounded_for_people(share: float, text: str) -> None:
    assert format_percent(share) == text
