"""The chart of /odds: the odds of the next token, to be read on a phone and on backgrounds of any colour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from plugins.shared.figures import DPI, FAINT, INK, create_figure, encode_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

LABEL_INCHES, TITLE_INCHES = 1.16, 3.68
"""The widths that a label and the title may have."""
ROW_INCHES, HEAD_INCHES = 0.36, 1.12
BEFORE, AFTER = "#b9c6d8", "#c2410c"
"""Colours of the bars before and after temperature and top-p."""
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
"""Font families in the order in which a character is looked up; the first comes with matplotlib."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A token with its probabilities before and after temperature and top-p."""

    label: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class OddsChart:
    """The data of a chart: the end of the text as `title`, the names of the two kinds of bars, and the bars."""

    title: str
    before: str
    after: str
    bars: tuple[Bar, ...]


def draw_chart(chart: OddsChart) -> bytes:
    """Return the chart as a PNG, 800 pixels wide."""
    height = HEAD_INCHES + ROW_INCHES * len(chart.bars)
    figure = create_figure(height)
    axes = figure.add_axes((0.31, 0.05 / height, 0.5, 1 - HEAD_INCHES / height))
    _draw_head(figure, chart, height)
    _draw_bars(axes, chart)
    return encode_png(figure)


def _draw_head(figure: Figure, chart: OddsChart, height: float) -> None:
    """Draw the end of the text as title, and the legend of the two colours."""
    words: dict[str, Any] = {"family": list(_find_fonts()), "parse_math": False, "va": "center"}
    ending = f"{replace_undrawable(chart.title)} …"
    title = figure.text(0.04, 1 - 0.24 / height, ending, size=12, weight="bold", color=INK, **words)
    _cut_to_fit(title, TITLE_INCHES, from_start=True)
    for line, (colour, name) in enumerate(((BEFORE, chart.before), (AFTER, chart.after))):
        top = 1 - (0.56 + 0.25 * line) / height
        figure.text(0.04, top, "■", size=12, color=colour, **words)
        figure.text(0.1, top, name, size=10, color=INK, **words)


def _draw_bars(axes: Axes, chart: OddsChart) -> None:
    words: dict[str, Any] = {"family": list(_find_fonts()), "parse_math": False, "va": "center"}
    longest = max(max(bar.before, bar.after) for bar in chart.bars)
    for place, bar in enumerate(chart.bars):
        axes.barh(place - 0.19, bar.before, height=0.36, color=BEFORE)
        axes.barh(place + 0.19, bar.after, height=0.36, color=AFTER)
        colour = INK if bar.after else FAINT
        gap = 0.02 * longest
        label = axes.text(-gap, place, replace_undrawable(bar.label), size=10, color=colour, ha="right", **words)
        _cut_to_fit(label, LABEL_INCHES)
        axes.text(bar.before + gap, place - 0.21, format_percent(bar.before), size=8, color=FAINT, **words)
        after_colour = AFTER if bar.after else FAINT
        axes.text(bar.after + gap, place + 0.23, format_percent(bar.after), size=8, color=after_colour, **words)
    axes.set_xlim(0, longest)
    axes.set_ylim(len(chart.bars) - 0.4, -0.6)
    axes.set_axis_off()


def format_percent(share: float) -> str:
    """Return a probability as people read it."""
    if share <= 0:
        return "0 %"
    return "< 0.1 %" if share < 0.001 else "100 %" if share >= 0.9995 else f"{100 * share:.1f} %"


def _cut_to_fit(text: Text, max_inches: float, *, from_start: bool = False) -> None:
    """Cut characters from the end of a text, or from its start, until it is at most `max_inches` wide."""
    letters = text.get_text()
    while letters and text.get_window_extent().width > max_inches * DPI:
        letters = letters[1:] if from_start else letters[:-1]
        text.set_text(f"…{letters.lstrip()}" if from_start else f"{letters.rstrip()}…")


def replace_undrawable(text: str) -> str:
    """Return `text` with the code point in place of each character that no installed font has."""
    known = frozenset().union(*_find_fonts().values())
    return "".join(one if ord(one) in known or one.isspace() else f" U+{ord(one):X} " for one in text).strip()


@cache
def _find_fonts() -> dict[str, frozenset[int]]:
    """Return the installed families, each with the code points that it can draw."""
    from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

    installed = {entry.name for entry in fontManager.ttflist}
    paths = {family: findfont(FontProperties(family=family)) for family in FAMILIES if family in installed}
    return {family: frozenset(get_font(path).get_charmap()) for family, path in paths.items()}
