"""Examines a file from anybody: what is seen in it, what it says about how it was made, and whether that holds."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.core.errors import UserError
from bot.provenance.manifest import read_manifest
from bot.provenance.metadata import AI_SOURCE, MAX_FACT_CHARACTERS, Label, choose_facts, read_label, read_xmp
from bot.provenance.picture_hash import FORMATS, hash_image

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

    from bot.provenance.certificates import Trust
    from bot.provenance.manifest import Manifest

MAX_PIXELS = 16_000_000
"""The largest picture that is read, because a small file may decode to a huge one."""
DAMAGED = "The picture is damaged; send another copy of it."
MAX_FRAMES = 100
"""The number of the last frame of a film that is looked at."""
SYSTEM = re.compile(r"AISystemUsed(?:=\"|>)([^\"<]*)")
SOFTWARE = re.compile(r"CreatorTool(?:=\"|>)([^\"<]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What is found in a file: a hash of what is seen, and what it says about itself.

    Anybody can write, change or remove the metadata in `label`; whether `manifest` holds is in that.
    """

    hash: bytes
    label: Label | None
    manifest: Manifest | None


def examine(data: bytes, trust: Trust) -> Examination:
    """Examine a file; `trust` is what this bot's own manifests have. Blocks.

    It reads what strangers send, so it belongs into a process that may take only so much memory and time. Raises
    UserError if the file is no picture, too large or damaged.
    """
    picture = open_picture(data, MAX_PIXELS)
    try:
        picture.seek(min(getattr(picture, "n_frames", 1), MAX_FRAMES) - 1)
        seen = hash_image(picture)
        packet = picture.info.get("xmp") or b""
    except Exception:  # noqa: BLE001 - as in open_picture, for damaged files
        raise UserError(DAMAGED) from None
    return Examination(
        hash=seen,
        label=read_label(data) or _read_foreign_label(read_xmp(data) or packet),
        manifest=read_manifest(data, picture.get_format_mimetype() or "", trust),
    )


def open_picture(data: bytes, most_pixels: int) -> ImageFile:
    """Return a picture that is not decoded yet. Raises UserError if it is none, or has more than `most_pixels`."""
    from PIL import Image

    too_large = UserError(
        "The picture has more than {most} million pixels; send a smaller copy of it.", most=most_pixels // 10**6
    )
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise too_large from None
    except Exception:  # noqa: BLE001 - Pillow raises many types for what is no picture
        raise UserError("This is no picture that I can read; send a PNG, JPEG, WebP or GIF file.") from None
    if picture.width * picture.height > most_pixels:
        raise too_large
    return picture


def _read_foreign_label(packet: bytes | str) -> Label | None:
    """Return what the XMP of another program, or in another format, says; None if that is nothing about a model."""
    text = packet if isinstance(packet, str) else packet.decode("utf-8", "replace")
    software, system = (_find_first(pattern, text) for pattern in (SOFTWARE, SYSTEM))
    is_ai = AI_SOURCE.rpartition("/")[2] in text
    return Label(choose_facts({"model": system}), is_ai, software) if is_ai or system else None


def _find_first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return "" if found is None else " ".join(found[1].split())[:MAX_FACT_CHARACTERS]
