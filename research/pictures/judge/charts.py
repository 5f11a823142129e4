"""Draws the chart and the picture sheets of the evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from research.pictures.judge.evaluation import GuidanceScore

WIDTH, HEIGHT, MARGIN = 480, 300, 50
COLUMNS, GAP = 20, 4
FONT = 'font-family="sans-serif" font-size="12"'


def make_guidance_chart(scores: Sequence[GuidanceScore]) -> str:
    """Return an SVG chart of the judge's score and the diversity over guidance, each with its own axis."""
    guidances = [score.guidance for score in scores]
    lines = (
        ("the judge’s score", "#1f77b4", "start", 6, [score.score for score in scores]),
        ("diversity", "#d9541e", "end", WIDTH - 6, [score.diversity for score in scores]),
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {FONT}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    both = [_points(guidances, values) for *_, values in lines]
    for (name, colour, anchor, text_x, values), points, other_points in zip(lines, both, both[::-1], strict=True):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (x, y), (_, other), value in zip(points, other_points, values, strict=True):
            # On the side away from the other line, so that the numbers of the two lines do not overlap.
            label_y = y - 8 if y <= other else y + 18
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
                f'<text x="{x:.1f}" y="{label_y:.1f}" text-anchor="middle" fill="{colour}">{value:.2f}</text>'
            )
        parts.append(f'<text x="{text_x}" y="20" text-anchor="{anchor}" fill="{colour}">{name}</text>')
    parts += [
        f'<text x="{_rescale(x, guidances[0], guidances[-1], MARGIN, WIDTH - MARGIN):.1f}" y="{HEIGHT - 28}" '
        f'text-anchor="middle">{x:g}</text>'
        for x in guidances
    ]
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">guidance</text></svg>')
    return "\n".join(parts) + "\n"


def _points(guidances: Sequence[float], values: Sequence[float]) -> list[tuple[float, float]]:
    """Return the points of a line, on an axis from 0 to a little more than its highest value."""
    top = 1.1 * max(values) or 1.0
    return [
        (_rescale(x, guidances[0], guidances[-1], MARGIN, WIDTH - MARGIN), _rescale(y, 0, top, HEIGHT - MARGIN, MARGIN))
        for x, y in zip(guidances, values, strict=True)
    ]


def make_sheet(*rows: np.ndarray, columns: int = COLUMNS) -> Image.Image:
    """Arrange pictures in lines; each of `rows` is N × H × W × 3 and is placed below the one before it."""
    count, height, width = rows[0].shape[:3]
    line_height = len(rows) * height + GAP
    canvas = Image.new("RGB", (columns * width, -(-count // columns) * line_height), "white")
    for row, pictures in enumerate(rows):
        for number, picture in enumerate(pictures):
            corner = (number % columns * width, number // columns * line_height + row * height)
            canvas.paste(Image.fromarray(picture), corner)
    return canvas


def _rescale(value: float, low: float, high: float, start: float, end: float) -> float:
    return start + (end - start) * (value - low) / ((high - low) or 1)
