"""The visible mark of a picture that a model made: two small letters in its corner."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from bot.provenance.metadata import GIF

if TYPE_CHECKING:
    from PIL.Image import Image

TEXT = "AI"
LEAST_EDGE_PIXELS = 160
"""A picture with a shorter edge gets no mark, which would cover too much of it or could not be read."""
EDGE_RATIO, MIN_TEXT_PIXELS = 24, 9
"""The ratio of a picture's shorter edge to the height of the letters, and their least height."""
BOX_COLOUR, TEXT_COLOUR = (24, 24, 27, 150), (255, 255, 255, 230)


def draw_mark(data: bytes, media_type: str) -> bytes | None:
    """Return a PNG or a GIF with the mark, and without metadata; None if it is too small for one. Blocks."""
    from PIL import Image, ImageSequence

    with Image.open(io.BytesIO(data), formats=("PNG", "GIF")) as picture:
        if min(picture.size) < LEAST_EDGE_PIXELS:
            return None
        if media_type == GIF:
            return _encode_frames([_mark(frame) for frame in ImageSequence.Iterator(picture)])
        buffer = io.BytesIO()
        _mark(picture).save(buffer, "PNG")
        return buffer.getvalue()


def _mark(picture: Image) -> Image:
    """Return a picture with the mark in its lower right corner."""
    from PIL import Image, ImageDraw, ImageFont

    whole = picture.convert("RGBA")
    size = max(MIN_TEXT_PIXELS, min(whole.size) // EDGE_RATIO)
    font = ImageFont.load_default(size)
    padding, margin = max(2, size // 4), max(2, size // 3)
    width, height = round(font.getlength(TEXT)) + 2 * padding, size + padding
    layer = Image.new("RGBA", (width, height))
    draw = ImageDraw.Draw(layer)
    draw.rounded_rectangle((0, 0, width - 1, height - 1), padding, BOX_COLOUR)
    draw.text((width / 2, height / 2), TEXT, TEXT_COLOUR, font, anchor="mm")
    whole.alpha_composite(layer, (whole.width - width - margin, whole.height - height - margin))
    return whole if "A" in picture.getbands() or "transparency" in picture.info else whole.convert("RGB")


def _encode_frames(frames: list[Image]) -> bytes:
    """Return a GIF whose last frame, which rests, has the better of Pillow's two choices of colours.

    How long each frame is shown, and how often the film, is in their `info`.
    """
    from PIL import Image

    *passing, last = [frame.convert("RGB") for frame in frames]
    colours = [frame.quantize(256, Image.Quantize.FASTOCTREE) for frame in passing]
    colours.append(last.quantize(256, Image.Quantize.MEDIANCUT))
    buffer = io.BytesIO()
    colours[0].save(buffer, "GIF", save_all=True, append_images=colours[1:])
    return buffer.getvalue()
