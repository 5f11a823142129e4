"""The chart of the losses of forger and detective, to be read on a phone and on backgrounds of any colour."""

from __future__ import annotations

from typing import Any, NamedTuple

from bot import FaceTraining
from plugins.shared.figures import FAINT, INK, create_figure, encode_png

HEIGHT_INCHES = 2.6
FORGER, DETECTIVE = "#e69f00", "#0072b2"
"""Two colours of the palette of Okabe and Ito, which colour-blind people can tell apart."""
GRID_LINES = "#d8dee8"


class CurveNames(NamedTuple):
    """What the title, the two curves and the axis below them are called."""

    title: str
    forger: str
    detective: str
    pictures: str


def draw_losses(training: FaceTraining, names: CurveNames) -> bytes:
    """Return the losses over the number of real pictures as a PNG, 800 pixels wide, with a mark at each snapshot."""
    figure = create_figure(HEIGHT_INCHES)
    axes = figure.add_axes((0.1, 0.2, 0.84, 0.52))
    words: dict[str, Any] = {"color": INK, "parse_math": False, "va": "center"}
    figure.text(0.03, 0.93, names.title, size=12, weight="bold", **words)
    shown = [point.pictures for point in training.losses]
    curves = (
        (names.forger, FORGER, [point.forger for point in training.losses]),
        (names.detective, DETECTIVE, [point.detective for point in training.losses]),
    )
    for number, (name, colour, losses) in enumerate(curves):
        axes.plot(shown, losses, color=colour, linewidth=1.6)
        figure.text(0.05 + 0.48 * number, 0.82, "■", size=12, color=colour, va="center")
        figure.text(0.1 + 0.48 * number, 0.82, name, size=10, **words)
    for pictures in training.pictures:
        axes.axvline(pictures, color=GRID_LINES, linewidth=0.6, zorder=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}")
    axes.tick_params(labelsize=9, colors=FAINT, length=0)
    axes.set_xlabel(names.pictures, size=9, color=FAINT)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(GRID_LINES)
    return encode_png(figure)
