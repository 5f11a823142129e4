"""What becomes of a picture after the model: enlarged, put beside others, stamped with what made it, encoded.

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
TEXT_COLOUR = (228, 228, 231)
SMALLEST_TEXT = 9
CAPTION, NUMBER = 8, 4
"""How many times as wide as its text is high a picture is at least, above a few words and above a number alone."""
GAP = 4
MOST_IN_ROW = 4
"""More would be too small to read where a chat shows them."""
FRAME_MS, LAST_FRAME_MS = 120, 2500
"""How long an animation shows each frame, and the last one, which is what it is about."""
MOST_PIXELS = 16_000_000
"""In a picture from outside: a small file may hold a great many."""
Size = tuple[int, int]


def enlarge(picture: Image.Image, edge: int) -> Image.Image:
    """The picture with its longer side `edge` pixels long, smoothly interpolated (Lanczos)."""
    scale = edge / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)


def grid(pictures: Sequence[Image.Image], gap: int = GAP, background: tuple[int, int, int] = BACKGROUND) -> Image.Image:
    """Pictures of one size in rows from the top left, as nearly square as their number allows, never higher than wide.

    Raises ValueError when there are none or their sizes differ.
    """
    return _laid_out(pictures, math.ceil(math.sqrt(len(pictures))), gap, background)


def strip(
    pictures: Sequence[Image.Image], gap: int = GAP, background: tuple[int, int, int] = BACKGROUND
) -> Image.Image:
    """Pictures of one size in a single row. Raises ValueError as `grid` does."""
    return _laid_out(pictures, len(pictures), gap, background)


def rows(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size in as few rows of at most MOST_IN_ROW as there can be. Raises ValueError as `grid` does."""
    count = math.ceil(len(pictures) / MOST_IN_ROW)
    return _laid_out(pictures, math.ceil(len(pictures) / max(1, count)), GAP, BACKGROUND)


def captions(pictures: Sequence[Image.Image], texts: Sequence[str], part: int = CAPTION) -> list[Image.Image]:
    """Pictures of one width, each with a line of text under it, all as large as the width allows the longest one.

    They are at most one `part`th of the width high.
    """
    width = pictures[0].width
    size = max(SMALLEST_TEXT, width // part)
    while size > SMALLEST_TEXT and max(map(ImageFont.load_default(size).getlength, texts)) > width:
        size -= 1
    return [_captioned(picture, text, size) for picture, text in zip(pictures, texts, strict=True)]


def encode(picture: Image.Image, made_by: Mapping[str, str]) -> bytes:
    """A PNG that carries what made it as text fields: `Software`, and each of `made_by` under its own name."""
    stamp = PngInfo()
    for name, value in {"Software": SOFTWARE, **made_by}.items():
        stamp.add_text(name, value)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=stamp)
    return buffer.getvalue()


def animate(frames: Sequence[Image.Image], made_by: Mapping[str, str]) -> bytes:
    """A GIF that repeats for ever and rests at its last frame; its comment holds `made_by` as JSON.

    Each frame has its own 256 colours, since those of static and of the picture have little in common. The last one's
    are chosen with care; for a frame of static alone that would take most of a second.
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
    """Width and height of an encoded picture, and its text fields: what made it, if `encode` wrote it.

    A PNG may have such fields behind its pixels, so that these are read, too. Raises ValueError, with a sentence for
    the user, when it is none, has too many pixels, or is seen to be damaged.
    """
    with _reading(data) as picture:
        # Of an animation Pillow would draw every frame to find those behind the last one, which may take minutes.
        fields = {} if getattr(picture, "is_animated", False) else getattr(picture, "text", {})
        return picture.size, {str(name): str(value) for name, value in fields.items()}


def stamped(data: bytes) -> dict[str, str]:
    """The text fields of a picture that `encode` wrote; none of any other's. Raises ValueError as `identify` does."""
    _, fields = identify(data)
    return fields if fields.get("Software") == SOFTWARE else {}


def measure(data: bytes) -> Size:
    """Width and height of a picture or an animation that was encoded here."""
    with Image.open(io.BytesIO(data), formats=("PNG", "GIF")) as picture:
        return picture.size


def decode(data: bytes) -> Image.Image:
    """The RGB picture in `data`, upright, on white where it is transparent. Raises ValueError as `identify` does."""
    with _reading(data) as picture:
        picture.load()
        # Pillow keeps a text field of that name in the same place as the colour that is transparent.
        if isinstance(picture.info.get("transparency"), str):
            del picture.info["transparency"]
        upright = _upright(picture)
        # Pillow would cut off what is above 255.
        deep = upright.mode.startswith("I")
        whole = (upright.point(lambda value: value * (1 / 257)).convert("L") if deep else upright).convert("RGBA")
    white = Image.new("RGBA", whole.size, "white")
    return Image.alpha_composite(white, whole).convert("RGB")


def _upright(picture: Image.Image) -> Image.Image:
    """Turned as it says that its camera was held, if it does."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # noqa: BLE001 - whatever its camera wrote there, the picture can be seen without it
        return picture


@contextlib.contextmanager
def _reading(data: bytes) -> Iterator[Image.Image]:
    """The opened picture, whose pixels may turn out to be damaged."""
    opened = _opened(data)
    try:
        with opened as picture:
            yield picture
    except MemoryError:
        raise
    except Exception as error:  # whatever Pillow stumbles over in a file, only its sender may come to harm
        raise ValueError("The picture is damaged; send another copy of it.") from error


def _opened(data: bytes) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("This is no picture that can be read; send a PNG, JPEG or WebP file.") from error
    if picture.width * picture.height > MOST_PIXELS:
        size = f"{picture.width}×{picture.height}"
        raise ValueError(f"The picture has {size} pixels; it may have up to {MOST_PIXELS // 10**6} million.")
    return picture


def _captioned(picture: Image.Image, text: str, size: int) -> Image.Image:
    width, height = picture.size
    whole = Image.new("RGB", (width, height + 3 * size // 2), BACKGROUND)
    whole.paste(picture)
    middle = (width / 2, height + 3 * size / 4)
    ImageDraw.Draw(whole).text(middle, text, TEXT_COLOUR, ImageFont.load_default(size), anchor="mm")
    return whole


def _laid_out(pictures: Sequence[Image.Image], columns: int, gap: int, background: tuple[int, int, int]) -> Image.Image:
    sizes = {picture.size for picture in pictures}
    if len(sizes) != 1:
        raise ValueError(f"Pictures that lie side by side need one size; these have {len(sizes)}.")
    width, height = sizes.pop()
    rows = math.ceil(len(pictures) / columns)
    whole = Image.new("RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), background)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        whole.paste(picture, (column * (width + gap), row * (height + gap)))
    return whole
