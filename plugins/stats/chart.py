"""Answers by day and command as a picture, to be read on a phone and on backgrounds of any colour.

Matplotlib takes a while to load and to draw, and is not made for several threads: `draw` is for one thread of its own.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT, DPI = 4.0, 3.2, 200
"""Inches and dots: 800 pixels, of which a phone shows half as many, so that 10 points are 14 pixels there."""
LEFT, ROOM = 0.12, 0.82
"""Where the bars begin, and how much room they have, of the width."""
LEGEND_ROW = 0.24
"""Inches of a row of the legend."""
INK, FAINT, LINE, PAPER = "#1c2430", "#5b6675", "#d8dee8", "#ffffff"
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8a93a3")
"""Okabe and Ito's, which people who see few colours tell apart; the last one is for all others."""
FEW, LABELS = 10, 6
"""Up to FEW days each bar has its number; of more, LABELS days or so have their date."""


@dataclass(frozen=True, slots=True)
class UsageChart:
    """A picture's words and numbers: a `title`, the days, and for each kind of bar a name and a number for each day."""

    title: str
    days: Sequence[str]
    kinds: Sequence[tuple[str, Sequence[int]]]


def draw(chart: UsageChart) -> bytes:
    """The picture as a PNG, 800 pixels wide. It has room for as many kinds as there are COLOURS."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-len(chart.kinds) // 2)
    height = HEIGHT + LEGEND_ROW * rows
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)
    bottom = 0.42 + LEGEND_ROW * rows
    axes = figure.add_axes((LEFT, bottom / height, ROOM, (height - bottom - 0.42) / height))
    words: dict[str, Any] = {"color": INK, "parse_math": False, "va": "center"}
    figure.text(0.03, 1 - 0.2 / height, chart.title, size=12, weight="bold", **words)
    for number, (name, _) in enumerate(chart.kinds):
        left, down = 0.05 + 0.48 * (number % 2), bottom - 0.44 - LEGEND_ROW * (number // 2)
        figure.text(left, down / height, "■", size=12, color=COLOURS[number], va="center")
        figure.text(left + 0.05, down / height, name, size=10, **words)
    _bars(axes, chart)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _bars(axes: Axes, chart: UsageChart) -> None:
    from matplotlib.ticker import MaxNLocator

    tops = [0] * len(chart.days)
    places = range(len(chart.days))
    for (_, numbers), colour in zip(chart.kinds, COLOURS, strict=False):
        axes.bar(places, numbers, bottom=tops, width=0.8, color=colour)
        tops = [top + number for top, number in zip(tops, numbers, strict=True)]
    highest = max(*tops, 1)
    if len(chart.days) <= FEW:
        for place, top in zip(places, tops, strict=True):
            if top:
                axes.text(place, top + 0.02 * highest, str(top), size=9, color=INK, ha="center", va="bottom")
    step = max(1, -(-len(chart.days) // LABELS)) if len(chart.days) > FEW else 1
    # Counted from the last one, so that today always has its date.
    dated = [place for place in places if (len(chart.days) - 1 - place) % step == 0]
    axes.set_xticks(dated, [chart.days[place][5:] for place in dated])
    axes.set_xlim(-0.6, len(chart.days) - 0.4)
    axes.set_ylim(0, 1.12 * highest)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value >= 10_000 else f"{value:g}")
    axes.tick_params(labelsize=9, colors=FAINT, length=0)
    axes.grid(visible=True, axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
