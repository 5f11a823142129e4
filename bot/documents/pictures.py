"""Makes pictures from anybody fit for a model: of a sensible size, the right way up, and without their metadata."""

from __future__ import annotations

import io

from bot.core.errors import UserError
from bot.provenance.examination import DAMAGED, open_picture

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
    from PIL import Image, ImageOps

    picture = open_picture(data, MAX_PIXELS)
    try:
        # A photograph is decoded at a fraction of its size.
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
        seen = ImageOps.exif_transpose(whole).convert("RGBA")
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
