"""What becomes of a picture after the model: enlarged, put into a grid, stamped with what made it, encoded.

The same input gives the same bytes. Gaps and edges are in pixels.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

from PIL import Image
from PIL.PngImagePlugin import PngInfo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SOFTWARE = "Tempera"
BACKGROUND = (24, 24, 27)


def enlarge(picture: Image.Image, edge: int) -> Image.Image:
    """The picture with its longer side `edge` pixels long, smoothly interpolated (Lanczos)."""
    scale = edge / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)


def grid(pictures: Sequence[Image.Image], gap: int = 4, background: tuple[int, int, int] = BACKGROUND) -> Image.Image:
    """Pictures of one size in rows from the top left, as nearly square as their number allows, never higher than wide.

    Raises ValueError when there are none or their sizes differ.
    """
    sizes = {picture.size for picture in pictures}
    if len(sizes) != 1:
        raise ValueError(f"A grid needs pictures of one size; these have {len(sizes)}.")
    width, height = sizes.pop()
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    whole = Image.new("RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), background)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        whole.paste(picture, (column * (width + gap), row * (height + gap)))
    return whole


def encode(picture: Image.Image, made_by: Mapping[str, str]) -> bytes:
    """A PNG that carries what made it as text fields: `Software`, and each of `made_by` under its own name."""
    stamp = PngInfo()
    for name, value in {"Software": SOFTWARE, **made_by}.items():
        stamp.add_text(name, value)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=stamp)
    return buffer.getvalue()
