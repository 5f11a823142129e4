"""Draws the chart of how often the discriminator is right."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 300, 50, 20, 62, 50
FONT = 'font-family="sans-serif" font-size="12"'


class Line(NamedTuple):
    """One line of a chart: shares from 0 to 1."""

    name: str
    colour: str
    shares: Sequence[float]


def make_chart(counts: Sequence[int], lines: Sequence[Line], what: str) -> str:
    """Return an SVG chart of shares. The points are equally far apart, with the count of `what` below each."""
    columns = [LEFT + place * (WIDTH - LEFT - RIGHT) / max(len(counts) - 1, 1) for place in range(len(counts))]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {FONT}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _height(share)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    for number, line in enumerate(lines):
        path = " ".join(f"{x:.1f},{_height(share):.1f}" for x, share in zip(columns, line.shares, strict=True))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{line.colour}" stroke-width="2"/>')
        parts.append(f'<text x="{LEFT}" y="{16 + 16 * number}" fill="{line.colour}">{line.name}</text>')
    for x, count in zip(columns, counts, strict=True):
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 28}" text-anchor="middle">{count / 1000:.3g} k</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">{what}</text></svg>')
    return "\n".join(parts) + "\n"


def _height(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
