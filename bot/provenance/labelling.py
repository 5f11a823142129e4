"""Labels the pictures that come from a model server, whatever engine drew them and in whatever format."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from bot.provenance.metadata import write_label

if TYPE_CHECKING:
    from collections.abc import Mapping


def label_picture(data: bytes, facts: Mapping[str, str]) -> bytes:
    """Return a picture with a label of `facts`: a GIF or, from any other format, a PNG. Blocks.

    What is no picture that can be read stays as it is.
    """
    try:
        return write_label(data, facts)
    except ValueError:
        converted = _convert_to_png(data)
    return data if converted is None else write_label(converted, facts)


def _convert_to_png(data: bytes) -> bytes | None:
    from PIL import Image

    buffer = io.BytesIO()
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "WEBP")) as picture:
            picture.save(buffer, "PNG")
    except Exception:  # noqa: BLE001 - Pillow raises many types for damaged files
        return None
    return buffer.getvalue()
