"""Lays pictures out as one PNG with lines of text below each. All functions block."""

from __future__ import annotations

import io
import math
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

EDGE, GAP, PADDING = 208, 16, 8
TEXT_PIXELS, LINE_PIXELS = 17, 22
MAX_LINES_EACH, MAX_CHARACTERS = 2, 100
PAPER, TITLE, TEXT = (24, 24, 27), (250, 250, 250), (212, 212, 216)
SPELT_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "ø": "oe"})
"""Pillow's font has the letters of ASCII alone; the description of a sheet has the names as they are written."""
MAX_PIXELS = 1 << 20
"""More than a drawing has, and little enough to be decoded."""


class Cell(NamedTuple):
    """An encoded picture and the texts below it, the first of which is its title."""

    picture: bytes
    texts: Sequence[str]


def compose_sheet(cells: Sequence[Cell], labelled: bytes | None = None) -> bytes:
    """Return a PNG of the cells in rows, as nearly square as their number allows, with the label of a `labelled` PNG.

    Raises ValueError for a picture that cannot be read.
    """
    font = ImageFont.load_default(TEXT_PIXELS)
    wrapped = [[line for text in cell.texts for line in _wrap(text, font)] for cell in cells]
    columns = math.ceil(math.sqrt(len(cells)))
    height = EDGE + 2 * PADDING + LINE_PIXELS * max(map(len, wrapped))
    rows = math.ceil(len(cells) / columns)
    size = (columns * (EDGE + GAP) + GAP, rows * (height + GAP) + GAP)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (cell, lines) in enumerate(zip(cells, wrapped, strict=True)):
        row, column = divmod(number, columns)
        left, top = GAP + column * (EDGE + GAP), GAP + row * (height + GAP)
        picture = _open(cell.picture)
        sheet.paste(picture, (left + (EDGE - picture.width) // 2, top + (EDGE - picture.height) // 2))
        for place, line in enumerate(lines):
            y = top + EDGE + PADDING + place * LINE_PIXELS
            draw.text((left, y), line, TEXT if place else TITLE, font)
    file = io.BytesIO()
    sheet.save(file, "PNG", pnginfo=None if labelled is None else _copy_label(labelled))
    return file.getvalue()


def cut_last_frame(strip: bytes, width: int, height: int, edge: int) -> bytes:
    """Return the last frame of a strip as a PNG. Frames are `width` to `height`, and their longer side is `edge`."""
    scale = edge / max(width, height)
    with Image.open(io.BytesIO(strip), formats=("PNG",)) as whole:
        frame = whole.crop((whole.width - round(width * scale), 0, whole.width, round(height * scale)))
    file = io.BytesIO()
    frame.save(file, "PNG")
    return file.getvalue()


def _open(data: bytes) -> Image.Image:
    """Decode a picture to RGB, in the size of a cell."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
        if picture.width * picture.height > MAX_PIXELS:
            raise ValueError("a picture of a sheet is too large")
        scale = EDGE / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _copy_label(labelled: bytes) -> PngImagePlugin.PngInfo:
    label = PngImagePlugin.PngInfo()
    with Image.open(io.BytesIO(labelled), formats=("PNG",)) as picture:
        for name, text in picture.text.items():  # type: ignore[attr-defined]
            label.add_itxt(name, text)
    return label


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> Iterator[str]:
    """Yield the text in lines that fit a cell, the last of which is cut if there would be too many."""
    spelt = unicodedata.normalize("NFKD", text[:MAX_CHARACTERS].translate(SPELT_OUT))
    words = spelt.encode("ascii", "ignore").decode().split()
    for number in range(1, MAX_LINES_EACH + 1):
        line = ""
        while words and font.getlength(f"{line} {words[0]}".strip()) <= EDGE:
            line = f"{line} {words.pop(0)}".strip()
        if words and (not line or number == MAX_LINES_EACH):
            line = f"{line} {' '.join(words)}".strip()
            words = []
            while font.getlength(f"{line}…") > EDGE:
                line = line[:-1]
            line = f"{line.rstrip()}…"
        yield line
        if not words:
            return
