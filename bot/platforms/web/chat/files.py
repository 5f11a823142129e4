"""Files under unguessable names, in memory or read from where they are stored."""

from __future__ import annotations

import hashlib
import math
import secrets
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.core.messages import Attachment
    from bot.storage.messages import StoredFile

PICTURE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"})
"""What a page may show in place. SVG is not among them, since it can hold scripts."""
FORMER_BYTES = 16 << 20
"""Of files that were let go: a dozen large previews. A slow page has long fetched one when as many newer ones came."""


@dataclass(frozen=True, slots=True)
class File:
    """What pages are told of a file. `size` is in bytes, `pixels` a picture's width and height.

    Of what was stored before the bot started nobody has read the bytes, so that it has no `digest`.
    """

    filename: str
    media_type: str
    alt: str
    spoiler: bool
    size: int
    pixels: tuple[int, int] | None = field(compare=False)
    digest: bytes = field(compare=False, default=b"")

    def is_same(self, other: File) -> bool:
        """Whether both are the same file, for all that is known."""
        return self == other and (not (self.digest and other.digest) or self.digest == other.digest)


def described(file: Attachment) -> File:
    """What there is to tell of a file in memory."""
    digest = hashlib.blake2b(file.data, digest_size=16).digest()
    pixels = picture_size(file.data)
    return File(file.filename, file.media_type, file.alt, file.spoiler, len(file.data), pixels, digest)


def recorded(file: StoredFile) -> File:
    """What there is to tell of a stored file."""
    return File(file.filename, file.media_type, file.alt, file.spoiler, file.size, picture_size(file.head))


class Files:
    """Keeps files until they are dropped, or, with a `limit` in bytes, until newer ones need their place.

    Of those that are stored it knows only where they are.
    """

    def __init__(self, limit: float = math.inf) -> None:
        self._limit = limit
        self._size = 0
        self._kept: dict[tuple[str, str], Attachment] = {}
        self._former_size = 0
        self._former: dict[tuple[str, str], None] = {}
        self._stored: dict[str, tuple[int, int]] = {}

    def keep(self, file: Attachment, owner: str = "") -> str:
        """Keep a file and give back its name; where `owner` is given, it must be given to `get` too."""
        name = secrets.token_urlsafe(24)
        self._kept[owner, name] = file
        self._size += len(file.data)
        while self._size > self._limit and len(self._kept) > 1:
            self._remove(next(iter(self._kept)))
        return name

    def get(self, name: str, owner: str = "") -> Attachment | None:
        """The file, if it is still kept in memory."""
        return self._kept.get((owner, name))

    def keep_stored(self, stored: StoredFile, name: str = "") -> str:
        """Keep a file that nobody owns where it is stored, and no longer in memory; its name, or a new one."""
        name = name or secrets.token_urlsafe(24)
        if ("", name) in self._kept:
            self._remove(("", name))
        self._stored[name] = stored.message, stored.id
        return name

    def stored(self, name: str) -> tuple[int, int] | None:
        """The answer that a file is stored with, and its own number, if it is still kept so."""
        return self._stored.get(name)

    def let_go(self, name: str, owner: str = "") -> None:
        """Keep a file only until others that were let go later need its place.

        Pages that were told of it a moment ago may not have fetched it yet.
        """
        key = (owner, name)
        if key in self._kept and key not in self._former:
            self._former[key] = None
            self._former_size += len(self._kept[key].data)
        while self._former_size > FORMER_BYTES:
            self._remove(next(iter(self._former)))

    def drop(self, name: str, owner: str = "") -> None:
        """Forget a file; unknown names are ignored, since it may have gone by itself."""
        if not owner:
            self._stored.pop(name, None)
        if (owner, name) in self._kept:
            self._remove((owner, name))

    def forget(self, owner: str) -> None:
        """Forget all files of somebody."""
        for key in [key for key in self._kept if key[0] == owner]:
            self._remove(key)

    def _remove(self, key: tuple[str, str]) -> None:
        size = len(self._kept.pop(key).data)
        self._size -= size
        if key in self._former:
            del self._former[key]
            self._former_size -= size


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels from a picture's header, so that a page can leave room for it.

    Reads PNG, GIF, JPEG and WebP; None for anything else, and for what is cut short.
    """
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return struct.unpack_from(">II", data, 16)
        if data.startswith((b"GIF87a", b"GIF89a")):
            return struct.unpack_from("<HH", data, 6)
        if data.startswith(b"\xff\xd8"):
            return _jpeg_size(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp_size(data)
    except struct.error:
        return None
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position < len(data):
        marker, length = struct.unpack_from(">HH", data, position)
        # The frame headers are C0 to CF, save three of them that hold tables.
        if 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height
        position += 2 + length
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        wide = int.from_bytes(data[24:27], "little"), int.from_bytes(data[27:30], "little")
        return wide[0] + 1, wide[1] + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None
