"""The chart of /stats: answers by day and command, to be read on a phone and on backgrounds of any colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plugins.shared.figures import FAINT, INK, create_figure, encode_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT_INCHES, LEGEND_ROW_INCHES = 3.2, 0.24
BARS_LEFT, BARS_WIDTH = 0.12, 0.82
"""Left edge and width of the area of the bars, as shares of the width of the picture."""
GRID_LINES = "#d8dee8"
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8a93a3")
"""The palette of Okabe and Ito, whose colours colour-blind people can tell apart; the last one is for all others."""
MAX_NUMBERED_DAYS, DATE_LABELS = 10, 6
"""Up to this many days, each bar has its number and its date; of more days, about six have their date."""


@dataclass(frozen=True, slots=True)
class UsageChart:
    """The data of a chart: its title, its days, and the kinds of bars, each with a name and a number for every day."""

    title: str
    days: Sequence[str]
    kinds: Sequence[tuple[str, Sequence[int]]]


def draw_chart(chart: UsageChart) -> bytes:
    """Return the chart as a PNG, 800 pixels wide. There may be as many kinds as COLOURS."""
    rows = -(-len(chart.kinds) // 2)
    height = HEIGHT_INCHES + LEGEND_ROW_INCHES * rows
    figure = create_figure(height)
    bottom = 0.42 + LEGEND_ROW_INCHES * rows
    axes = figure.add_axes((BARS_LEFT, bottom / height, BARS_WIDTH, (height - bottom - 0.42) / height))
    words: dict[str, Any] = {"color": INK, "parse_math": False, "va": "center"}
    figure.text(0.03, 1 - 0.2 / height, chart.title, size=12, weight="bold", **words)
    for number, (name, _) in enumerate(chart.kinds):
        left, down = 0.05 + 0.48 * (number % 2), bottom - 0.44 - LEGEND_ROW_INCHES * (number // 2)
        figure.text(left, down / height, "■", size=12, color=COLOURS[number], va="center")
        figure.text(left + 0.05, down / height, name, size=10, **words)
    _draw_bars(axes, chart)
    return encode_png(figure)


def _draw_bars(axes: Axes, chart: UsageChart) -> None:
    from matplotlib.ticker import MaxNLocator

    tops = [0] * len(chart.days)
    places = range(len(chart.days))
    for (_, numbers), colour in zip(chart.kinds, COLOURS, strict=False):
        axes.bar(places, numbers, bottom=tops, width=0.8, color=colour)
        tops = [top + number for top, number in zip(tops, numbers, strict=True)]
    highest = max(*tops, 1)
    if len(chart.days) <= MAX_NUMBERED_DAYS:
        for place, top in zip(places, tops, strict=True):
            if top:
                axes.text(place, top + 0.02 * highest, str(top), size=9, color=INK, ha="center", va="bottom")
    step = max(1, -(-len(chart.days) // DATE_LABELS)) if len(chart.days) > MAX_NUMBERED_DAYS else 1
    # Counted from the last day, so that today always has its date.
    dated = [place for place in places if (len(chart.days) - 1 - place) % step == 0]
    axes.set_xticks(dated, [chart.days[place][5:] for place in dated])
    axes.set_xlim(-0.6, len(chart.days) - 0.4)
    axes.set_ylim(0, 1.12 * highest)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value >= 10_000 else f"{value:g}")
    axes.tick_params(labelsize=9, colors=FAINT, length=0)
    axes.grid(visible=True, axis="y", color=GRID_LINES, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID_LINES)
