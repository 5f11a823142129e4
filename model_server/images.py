"""Processes images after the model: enlarges, lays out, captions and encodes them, with metadata; and reads images.

The same input gives the same bytes. Gaps and edges are in pixels.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SOFTWARE = "Tempera"
BACKGROUND = (24, 24, 27)
TRANSPARENT = (0, 0, 0, 0)
TEXT_COLOUR = (228, 228, 231)
MIN_TEXT_PIXELS = 9
CAPTION_RATIO, NUMBER_RATIO = 8, 4
"""The least ratio of an image's width to the height of its caption, for a few words and for a number."""
GAP = 4
MAX_PER_ROW = 4
"""More images in a row would be too small to recognise in a chat."""
FRAME_MS, LAST_FRAME_MS = 120, 2500
"""The time for which an animation shows each frame, and the last one, which is the finished image."""
MAX_PIXELS = 16_000_000
"""Limit for an image from a user, because a small file may decode to a huge image."""
Size = tuple[int, int]


def enlarge(picture: Image.Image, edge: int) -> Image.Image:
    """Return the picture scaled (Lanczos) so that its longer side has `edge` pixels."""
    scale = edge / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)


def make_grid(pictures: Sequence[Image.Image], background: tuple[int, ...] = TRANSPARENT) -> Image.Image:
    """Lay pictures of one size out in rows, as nearly square as their number allows and never higher than wide.

    The gaps are transparent. Raises ValueError if there are none or their sizes differ.
    """
    return _lay_out(pictures, math.ceil(math.sqrt(len(pictures))), background)


def make_strip(pictures: Sequence[Image.Image]) -> Image.Image:
    """Lay pictures of one size out in a single row. Raises ValueError as `make_grid` does."""
    return _lay_out(pictures, len(pictures), BACKGROUND)


def make_column(pictures: Sequence[Image.Image]) -> Image.Image:
    """Lay pictures of one size out one below the other. Raises ValueError as `make_grid` does."""
    return _lay_out(pictures, 1, BACKGROUND)


def make_rows(pictures: Sequence[Image.Image]) -> Image.Image:
    """Lay pictures of one size out in rows of at most MAX_PER_ROW. Raises ValueError as `make_grid` does."""
    count = math.ceil(len(pictures) / MAX_PER_ROW)
    return _lay_out(pictures, math.ceil(len(pictures) / max(1, count)), BACKGROUND)


def add_captions(
    pictures: Sequence[Image.Image], texts: Sequence[str], ratio: int = CAPTION_RATIO
) -> list[Image.Image]:
    """Return the pictures, which have the same width, each with a line of text below it.

    All texts have the largest font size at which the longest one fits, at most the width divided by `ratio`.
    """
    width = pictures[0].width
    size = max(MIN_TEXT_PIXELS, width // ratio)
    while size > MIN_TEXT_PIXELS and max(map(ImageFont.load_default(size).getlength, texts)) > width:
        size -= 1
    return [_add_caption(picture, text, size) for picture, text in zip(pictures, texts, strict=True)]


def encode(picture: Image.Image, made_by: Mapping[str, str]) -> bytes:
    """Return a PNG with the text fields `Software` and each of `made_by` under its own name."""
    stamp = PngInfo()
    for name, value in {"Software": SOFTWARE, **made_by}.items():
        stamp.add_text(name, value)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=stamp)
    return buffer.getvalue()


def animate(frames: Sequence[Image.Image], made_by: Mapping[str, str]) -> bytes:
    """Return a GIF that repeats for ever and rests at its last frame; its comment holds `made_by` as JSON.

    Each frame has its own 256 colours, because noise and the finished image have few in common. The last frame gets the
    better and slower quantiser, which would take most of a second for a frame of noise.
    """
    *passing, last = [frame.convert("RGB") for frame in frames]
    colours = [frame.quantize(256, Image.Quantize.FASTOCTREE) for frame in passing]
    colours.append(last.quantize(256, Image.Quantize.MEDIANCUT))
    buffer = io.BytesIO()
    colours[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=colours[1:],
        duration=[FRAME_MS] * (len(colours) - 1) + [LAST_FRAME_MS],
        loop=0,
        comment=json.dumps({"Software": SOFTWARE, **made_by}),
    )
    return buffer.getvalue()


def identify(data: bytes) -> tuple[Size, dict[str, str]]:
    """Return width and height of an encoded picture, and its text fields, such as those that `encode` wrote.

    A PNG may have text fields after its pixels, so the whole file is read. Raises ValueError, with a sentence for the
    user, if it is not an image, has too many pixels, or is found to be damaged.
    """
    with _open_checked(data) as picture:
        # For an animation Pillow would draw every frame to find the fields after the last one, which may take minutes.
        fields = {} if getattr(picture, "is_animated", False) else getattr(picture, "text", {})
        return picture.size, {str(name): str(value) for name, value in fields.items()}


def read_stamp(data: bytes) -> dict[str, str]:
    """Return the text fields of a picture if `encode` wrote it, else none. Raises ValueError as `identify` does."""
    _, fields = identify(data)
    return fields if fields.get("Software") == SOFTWARE else {}


def measure_size(data: bytes) -> Size:
    """Return width and height of a picture or an animation that was encoded here."""
    with Image.open(io.BytesIO(data), formats=("PNG", "GIF")) as picture:
        return picture.size


def decode(data: bytes) -> Image.Image:
    """Decode a picture to RGB, upright, and white where it is transparent. Raises ValueError as `identify` does."""
    with _open_checked(data) as picture:
        picture.load()
        # Pillow mixes up a text field of this name with the transparent colour.
        if isinstance(picture.info.get("transparency"), str):
            del picture.info["transparency"]
        upright = _turn_upright(picture)
        # Pillow would clip 16-bit values at 255.
        deep = upright.mode.startswith("I")
        whole = (upright.point(lambda value: value * (1 / 257)).convert("L") if deep else upright).convert("RGBA")
    white = Image.new("RGBA", whole.size, "white")
    return Image.alpha_composite(white, whole).convert("RGB")


def _turn_upright(picture: Image.Image) -> Image.Image:
    """Rotate a picture by the camera orientation in its EXIF data, if it has any."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # noqa: BLE001 - broken EXIF data does not make the picture unusable
        return picture


@contextlib.contextmanager
def _open_checked(data: bytes) -> Iterator[Image.Image]:
    """Open a picture; an error while its pixels are read becomes a ValueError."""
    opened = _open_image(data)
    try:
        with opened as picture:
            yield picture
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises many types for damaged files
        raise ValueError("The picture is damaged; send another copy of it.") from error


def _open_image(data: bytes) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("This is no picture that can be read; send a PNG, JPEG or WebP file.") from error
    if picture.width * picture.height > MAX_PIXELS:
        size = f"{picture.width}×{picture.height}"
        raise ValueError(f"The picture has {size} pixels; it may have up to {MAX_PIXELS // 10**6} million.")
    return picture


def _add_caption(picture: Image.Image, text: str, size: int) -> Image.Image:
    width, height = picture.size
    whole = Image.new("RGB", (width, height + 3 * size // 2), BACKGROUND)
    whole.paste(picture)
    middle = (width / 2, height + 3 * size / 4)
    ImageDraw.Draw(whole).text(middle, text, TEXT_COLOUR, ImageFont.load_default(size), anchor="mm")
    return whole


def _lay_out(pictures: Sequence[Image.Image], columns: int, background: tuple[int, ...]) -> Image.Image:
    sizes = {picture.size for picture in pictures}
    if len(sizes) != 1:
        raise ValueError(f"Pictures that lie side by side need one size; these have {len(sizes)}.")
    width, height = sizes.pop()
    rows = math.ceil(len(pictures) / columns)
    whole = Image.new(
        "RGB" if len(background) == 3 else "RGBA",
        (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP),
        background,
    )
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        whole.paste(picture, (column * (width + GAP), row * (height + GAP)))
    return whole
