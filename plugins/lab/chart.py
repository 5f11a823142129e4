"""The odds of the next token as a picture, to be read on a phone and on backgrounds of any colour.

Matplotlib takes a while to load and to draw, and is not made for several threads: `draw` is for one thread of its own.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

WIDTH, DPI = 4.0, 200
"""Inches and dots: 800 pixels, of which a phone shows half as many, so that 10 points are 14 pixels there."""
LABEL, TITLE = 1.16, 3.68
"""Inches that a label and the title have."""
ROW, HEAD = 0.36, 1.12
BEFORE, AFTER, INK, FAINT, PAPER = "#b9c6d8", "#c2410c", "#1c2430", "#5b6675", "#ffffff"
FAMILIES = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Noto Sans JP",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Noto Sans Devanagari",
    "Noto Sans Arabic",
    "Noto Emoji",
    "Symbola",
)
"""Fonts in the order they are asked for a character; the first comes with matplotlib."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One token with its probability before and after temperature and top-p."""

    label: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class OddsChart:
    """A picture's words and numbers: the end of the text as `title`, the names of the two kinds of bars, and these."""

    title: str
    before: str
    after: str
    bars: tuple[Bar, ...]


def draw(chart: OddsChart) -> bytes:
    """The picture as a PNG, 800 pixels wide."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = HEAD + ROW * len(chart.bars)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.31, 0.05 / height, 0.5, 1 - HEAD / height))
    _head(figure, chart, height)
    _bars(axes, chart)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _head(figure: Figure, chart: OddsChart, height: float) -> None:
    """The text's end, and what the two colours mean."""
    words: dict[str, Any] = {"family": list(_fonts()), "parse_math": False, "va": "center"}
    ending = f"{drawable(chart.title)} …"
    title = figure.text(0.04, 1 - 0.24 / height, ending, size=12, weight="bold", color=INK, **words)
    _fit(title, TITLE, from_start=True)
    for line, (colour, name) in enumerate(((BEFORE, chart.before), (AFTER, chart.after))):
        top = 1 - (0.56 + 0.25 * line) / height
        figure.text(0.04, top, "■", size=12, color=colour, **words)
        figure.text(0.1, top, name, size=10, color=INK, **words)


def _bars(axes: Axes, chart: OddsChart) -> None:
    words: dict[str, Any] = {"family": list(_fonts()), "parse_math": False, "va": "center"}
    longest = max(max(bar.before, bar.after) for bar in chart.bars)
    for place, bar in enumerate(chart.bars):
        axes.barh(place - 0.19, bar.before, height=0.36, color=BEFORE)
        axes.barh(place + 0.19, bar.after, height=0.36, color=AFTER)
        colour = INK if bar.after else FAINT
        gap = 0.02 * longest
        label = axes.text(-gap, place, drawable(bar.label), size=10, color=colour, ha="right", **words)
        _fit(label, LABEL)
        axes.text(bar.before + gap, place - 0.21, percent(bar.before), size=8, color=FAINT, **words)
        axes.text(
            bar.after + gap, place + 0.23, percent(bar.after), size=8, color=AFTER if bar.after else FAINT, **words
        )
    axes.set_xlim(0, longest)
    axes.set_ylim(len(chart.bars) - 0.4, -0.6)
    axes.set_axis_off()


def percent(share: float) -> str:
    """A probability as people read it."""
    if share <= 0:
        return "0 %"
    return "< 0.1 %" if share < 0.001 else "100 %" if share >= 0.9995 else f"{100 * share:.1f} %"


def _fit(shown: Text, room: float, *, from_start: bool = False) -> None:
    """Cut a text until it is at most `room` inches wide, from its start or else from its end."""
    letters = shown.get_text()
    while letters and shown.get_window_extent().width > room * DPI:
        letters = letters[1:] if from_start else letters[:-1]
        shown.set_text(f"…{letters.lstrip()}" if from_start else f"{letters.rstrip()}…")


def drawable(text: str) -> str:
    """`text` with characters that no font here has as their numbers, since an empty box says nothing."""
    known = frozenset().union(*_fonts().values())
    return "".join(one if ord(one) in known or one.isspace() else f" U+{ord(one):X} " for one in text).strip()


@cache
def _fonts() -> dict[str, frozenset[int]]:
    """The families that are installed here, each with the characters that it has."""
    from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

    there = {entry.name for entry in fontManager.ttflist}
    paths = {family: findfont(FontProperties(family=family)) for family in FAMILIES if family in there}
    return {family: frozenset(get_font(path).get_charmap()) for family, path in paths.items()}
