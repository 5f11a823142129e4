"""Figures and pictures as files that people look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from model_server.training.judge.evaluation import GuidanceScore

WIDTH, HEIGHT, MARGIN = 480, 300, 50
COLUMNS, GAP = 20, 4
FONT = 'font-family="sans-serif" font-size="12"'


def guidance_chart(knobs: Sequence[GuidanceScore]) -> str:
    """The judge's score and the diversity over guidance, each on an axis of its own, as SVG."""
    across = [knob.guidance for knob in knobs]
    lines = (
        ("the judge’s score", "#1f77b4", "start", 6, [knob.score for knob in knobs]),
        ("diversity", "#d9541e", "end", WIDTH - 6, [knob.diversity for knob in knobs]),
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {FONT}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    drawn = [_points(across, values) for *_, values in lines]
    for (name, colour, anchor, left, values), points, others in zip(lines, drawn, drawn[::-1], strict=True):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (x, y), (_, other), value in zip(points, others, values, strict=True):
            # On the side that the other line is not on, whose numbers would lie over these.
            beside = y - 8 if y <= other else y + 18
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
                f'<text x="{x:.1f}" y="{beside:.1f}" text-anchor="middle" fill="{colour}">{value:.2f}</text>'
            )
        parts.append(f'<text x="{left}" y="20" text-anchor="{anchor}" fill="{colour}">{name}</text>')
    parts += [
        f'<text x="{_scale(x, across[0], across[-1], MARGIN, WIDTH - MARGIN):.1f}" y="{HEIGHT - 28}" '
        f'text-anchor="middle">{x:g}</text>'
        for x in across
    ]
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">guidance</text></svg>')
    return "\n".join(parts) + "\n"


def _points(across: Sequence[float], values: Sequence[float]) -> list[tuple[float, float]]:
    """Where a line goes along, from 0 at the bottom to a little more than its highest value."""
    top = 1.1 * max(values) or 1.0
    return [
        (_scale(x, across[0], across[-1], MARGIN, WIDTH - MARGIN), _scale(y, 0, top, HEIGHT - MARGIN, MARGIN))
        for x, y in zip(across, values, strict=True)
    ]


def sheet(*rows: np.ndarray, columns: int = COLUMNS) -> Image.Image:
    """Pictures (each of `rows` N × H × W × 3) in lines; the second of `rows` stands under the first, and so on."""
    count, height, width = rows[0].shape[:3]
    line = len(rows) * height + GAP
    canvas = Image.new("RGB", (columns * width, -(-count // columns) * line), "white")
    for depth, pictures in enumerate(rows):
        for number, picture in enumerate(pictures):
            corner = (number % columns * width, number // columns * line + depth * height)
            canvas.paste(Image.fromarray(picture), corner)
    return canvas


def _scale(value: float, low: float, high: float, start: float, end: float) -> float:
    return start + (end - start) * (value - low) / ((high - low) or 1)
