"""Makes pictures from anybody fit for a model: of a sensible size, the right way up, and without their metadata."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import TYPE_CHECKING

from bot.core.errors import UserError
from bot.provenance.examination import DAMAGED, open_picture

if TYPE_CHECKING:
    from PIL.Image import Image, Transpose

ORIENTATION = 0x0112
"""The field of EXIF that says how a photograph was held."""
MAX_PIXELS = 50_000_000
"""The largest picture that is read: photographs of phones have up to so many pixels."""
MAX_EDGE = 1024
"""The longer side of what a model gets. More detail would cost it thousands of tokens."""
JPEG_QUALITY = 90
SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF")


def is_picture(data: bytes) -> bool:
    """Return whether a file begins like a picture in a format that can be read."""
    return data.startswith(SIGNATURES)


def shrink_picture(data: bytes) -> bytes:
    """Return a picture as JPEG that has no metadata, such as where it was taken. Blocks.

    Of a film it is the first frame. It reads what strangers send, so it belongs into a process that may take only so
    much memory and time. Raises UserError if the file is no picture, too large or damaged.
    """
    from PIL import Image

    picture = open_picture(data, MAX_PIXELS)
    try:
        # A photograph is decoded at a fraction of its size.
        turn = _find_turn(picture)
        picture.draft(None, (MAX_EDGE, MAX_EDGE))
        if isinstance(picture.info.get("transparency"), str):
            # A text field of this name, which Pillow would take for the transparent colour.
            del picture.info["transparency"]
        if picture.mode.startswith("I"):
            # Pillow would clip 16-bit values at 255.
            whole = picture.point(lambda value: value * (1 / 257)).convert("L")
        else:
            whole = picture if picture.mode in ("RGB", "CMYK") else picture.convert("RGBA")
        whole.thumbnail((MAX_EDGE, MAX_EDGE))
        seen = (whole if turn is None else whole.transpose(turn)).convert("RGBA")
        # Pasted into a new image, which has none of the comments that would be saved with the old one.
        clean = Image.new("RGB", seen.size, "white")
        clean.paste(seen, mask=seen.getchannel("A"))
        saved = io.BytesIO()
        clean.save(saved, "JPEG", quality=JPEG_QUALITY)
    except Exception as error:
        if isinstance(error, MemoryError):
            raise
        raise UserError(DAMAGED) from None
    return saved.getvalue()


def _find_turn(picture: Image) -> Transpose | None:
    """Return what turns a photograph upright, None if it is. What cannot be read says nothing.

    Pillow's function for that writes what it has read, and so fails where another field is odd.
    """
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    with suppress(Exception):
        return turns.get(picture.getexif().get(ORIENTATION, 1))
    return None
