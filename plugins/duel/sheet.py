"""Draws the truth into a sheet of faces: a green tick on what is real, a red cross on what is forged."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, PngImagePlugin

GREEN, RED, PAPER = "#1a7f37", "#c62828", "#ffffff"
TICK, CROSS = (((0.15, 0.55), (0.4, 0.8), (0.85, 0.2)),), (((0.2, 0.2), (0.8, 0.8)), ((0.8, 0.2), (0.2, 0.8)))
"""The lines of the two signs, in a square of edge 1."""


def mark_truth(sheet: bytes, real: Sequence[bool]) -> bytes:
    """Return the sheet, a PNG, with a frame and a sign on each face, and with the same label. Blocks."""
    with Image.open(io.BytesIO(sheet), formats=("PNG",)) as picture:
        label = PngImagePlugin.PngInfo()
        for name, text in picture.text.items():  # type: ignore[attr-defined]
            label.add_itxt(name, text)
        marked = Image.new("RGB", picture.size, PAPER)
        # The gaps between the faces are transparent.
        marked.paste(picture, mask=picture.convert("RGBA").getchannel("A"))
    columns = count_columns(len(real))
    width, height = marked.width / columns, marked.height / math.ceil(len(real) / columns)
    draw = ImageDraw.Draw(marked)
    for number, is_real in enumerate(real):
        row, column = divmod(number, columns)
        _mark(draw, (column * width, row * height, width, height), is_real=is_real)
    file = io.BytesIO()
    marked.save(file, "PNG", pnginfo=label)
    return file.getvalue()


def count_columns(count: int) -> int:
    """Return in how many columns the model server lays out so many faces: as nearly square as their number allows."""
    return math.ceil(math.sqrt(count))


def _mark(draw: ImageDraw.ImageDraw, cell: tuple[float, float, float, float], *, is_real: bool) -> None:
    left, top, width, height = cell
    colour, line = GREEN if is_real else RED, max(1, round(width / 32))
    inset = line / 2
    frame = (left + inset, top + inset, left + width - inset - 1, top + height - inset - 1)
    draw.rectangle(frame, outline=colour, width=line)
    edge = width / 4
    x, y = left + width - edge - 2 * line, top + 2 * line
    draw.rectangle((x, y, x + edge, y + edge), fill=PAPER)
    for points in TICK if is_real else CROSS:
        draw.line([(x + edge * across, y + edge * down) for across, down in points], fill=colour, width=2 * line)
