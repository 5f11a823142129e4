"""The perceptual hash of a picture: bits that stay nearly the same when the picture is scaled or compressed.

A bit says whether one of the lowest frequencies of its brightness (discrete cosine transform) is stronger than most of
them. The usual 64 bits are too few: pictures of one model of the same thing on a white ground differ in so little that
some have the same ones.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from bot.provenance.metadata import read_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

EDGE = 32
"""The edge in pixels to which a picture is scaled, whatever its shape."""
FREQUENCIES = 16
"""How many of the lowest frequencies count in each direction. The very lowest, the mean, has no bit."""
HASH_BYTES = FREQUENCIES**2 // 8
MAX_DISTANCE = 20
"""The largest number of bits in which a copy differs. Copies as JPEG and of half the size were measured to differ in up
to 14, and other pictures in 30 or more.
"""
FORMATS = ("PNG", "GIF", "JPEG", "WEBP")


def hash_picture(data: bytes) -> bytes | None:
    """Return the hash of a picture with a label, of a film that of its last frame; None for any other file. Blocks."""
    from PIL import Image

    if read_label(data) is None:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            picture.seek(getattr(picture, "n_frames", 1) - 1)
            return hash_image(picture)
    except Exception:  # noqa: BLE001 - Pillow raises many types for damaged files
        return None


def hash_image(picture: Image) -> bytes:
    """Return the HASH_BYTES of a picture, which is taken as white where it is transparent."""
    import numpy as np
    from PIL import Image

    opaque = picture.convert("RGBA")
    whole = Image.new("RGBA", opaque.size, "white")
    whole.alpha_composite(opaque)
    brightness = np.asarray(whole.convert("L").resize((EDGE, EDGE), Image.Resampling.BOX), dtype=np.float64)
    places = 2 * np.arange(EDGE) + 1
    waves = np.cos(np.pi * np.outer(np.arange(FREQUENCIES), places) / (2 * EDGE))
    strengths = (waves @ brightness @ waves.T).ravel()[1:]
    return np.packbits(strengths > np.median(strengths)).tobytes()


def find_nearest(wanted: bytes, known: Sequence[bytes]) -> bytes | None:
    """Return the `known` hash that is nearest to `wanted`; None if none is near."""
    import numpy as np

    if not known:
        return None
    table = np.frombuffer(b"".join(known), np.uint8).reshape(len(known), HASH_BYTES)
    distances = np.bitwise_count(table ^ np.frombuffer(wanted, np.uint8)).sum(axis=1)
    place = int(distances.argmin())
    return known[place] if distances[place] <= MAX_DISTANCE else None
