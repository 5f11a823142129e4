"""The canvas of all charts: its size, its colours, and how a figure becomes a PNG.

Matplotlib takes a while to load, so it is imported when the first chart is drawn. It is not thread-safe: each plugin
draws its charts in one thread of its own.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH_INCHES, DPI = 4.0, 200
"""800 pixels in all, of which a phone shows half as many, so that a font of 10 points is 14 pixels high there."""
INK, FAINT, PAPER = "#1c2430", "#5b6675", "#ffffff"


def create_figure(height_inches: float) -> Figure:
    """Return an empty figure, 800 pixels wide."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_INCHES, height_inches), dpi=DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)
    return figure


def encode_png(figure: Figure) -> bytes:
    """Return the figure as a PNG."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
