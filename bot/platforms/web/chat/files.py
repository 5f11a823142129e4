"""Files that pages fetch by unguessable names: in memory, or read from the database."""

from __future__ import annotations

import asyncio
import hashlib
import math
import secrets
import struct
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.core.messages import Attachment
    from bot.storage.messages import StoredFile

PICTURE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"})
"""Media types that a page may show inline. SVG is not among them, since it can contain scripts."""
MAX_CONFIDENTIAL_BYTES, CONFIDENTIAL_SECONDS = 64 << 20, 600.0
"""Memory for confidential files of all visitors, enough for the largest export, and how long each is kept there."""
MAX_RETIRED_BYTES = 16 << 20
"""Memory for retired files, enough for a dozen large previews. Even a slow page fetches one before that many follow."""

OVERHEAD_BYTES = 1 << 10
"""What a file takes in memory besides its data, so that empty ones count, too."""


@dataclass(frozen=True, slots=True)
class File:
    """The description of a file that pages get. `size` is in bytes, `pixels` is the width and height of a picture.

    A stored file has no `digest`, because only its first bytes are read.
    """

    filename: str
    media_type: str
    alt: str
    spoiler: bool
    size: int
    pixels: tuple[int, int] | None = field(compare=False)
    digest: bytes = field(compare=False, default=b"")

    def is_same(self, other: File) -> bool:
        """Return whether both are the same file, as far as can be told without a digest of both."""
        return self == other and (not (self.digest and other.digest) or self.digest == other.digest)


def describe(file: Attachment) -> File:
    """Return the description of a file in memory."""
    digest = hashlib.blake2b(file.data, digest_size=16).digest()
    pixels = picture_size(file.data)
    return File(file.filename, file.media_type, file.alt, file.spoiler, len(file.data), pixels, digest)


def describe_stored(file: StoredFile) -> File:
    """Return the description of a stored file."""
    return File(file.filename, file.media_type, file.alt, file.spoiler, file.size, picture_size(file.head))


class Files:
    """Keeps files until they are dropped or, with limits in bytes, until newer ones need the space.

    Those of an owner who has more than `limit_of_owner` make way for newer ones of theirs. Where all have more than
    `limit`, the oldest file of the owner who has the most makes way, so that nobody pushes out what others sent. Of
    files that are stored in the database it keeps only the ids. Confidential ones of a finished answer are kept for
    some minutes at most, and those of one answer for each visitor.
    """

    def __init__(self, limit: float = math.inf, limit_of_owner: float = math.inf) -> None:
        self._limit = limit
        self._limit_of_owner = limit_of_owner
        self._size = 0
        self._sizes: Counter[str] = Counter()
        self._kept: dict[tuple[str, str], Attachment] = {}
        self._retired_size = 0
        self._retired: dict[tuple[str, str], None] = {}
        self._stored: dict[str, tuple[int, int]] = {}
        self._confidential: dict[str, tuple[str, ...]] = {}
        self._readers: dict[str, str] = {}

    def keep(self, file: Attachment, owner: str = "", *, reader: str = "") -> str:
        """Keep a file and return its name. A file with an `owner` is only returned to calls that name them.

        `reader` is the only visitor who may fetch it, if not everybody who knows the name may.
        """
        size = _cost(file)
        while self._sizes[owner] and self._sizes[owner] + size > self._limit_of_owner:
            self._remove_oldest(owner)
        while self._size and self._size + size > self._limit:
            self._remove_oldest(max(self._sizes, key=self._sizes.__getitem__))
        name = secrets.token_urlsafe(24)
        self._kept[owner, name] = file
        if reader:
            self._readers[name] = reader
        self._size += size
        self._sizes[owner] += size
        return name

    def get(self, name: str, owner: str = "") -> Attachment | None:
        """Return the file, or None if it is not kept in memory."""
        return self._kept.get((owner, name))

    def keep_stored(self, stored: StoredFile, name: str = "", *, reader: str = "") -> str:
        """Keep the ids of a stored file alone, and drop it from memory. Returns `name`, or a new one if it is empty."""
        name, reader = name or secrets.token_urlsafe(24), reader or self.reader_of(name)
        if ("", name) in self._kept:
            self._remove(("", name))
        self._stored[name] = stored.message, stored.id
        if reader:
            self._readers[name] = reader
        return name

    def reader_of(self, name: str) -> str:
        """Return the only visitor who may fetch a file; "" if everybody who knows its name may."""
        return self._readers.get(name, "")

    def keep_briefly(self, visitor: str, names: Sequence[str]) -> None:
        """Drop these confidential files after some minutes, and those that the same visitor had before at once.

        Those of others are dropped as well, the oldest first, if all take too much memory.
        """
        self._drop_confidential(visitor)
        self._confidential[visitor] = tuple(names)
        while self._confidential_size() > MAX_CONFIDENTIAL_BYTES and len(self._confidential) > 1:
            self._drop_confidential(next(iter(self._confidential)))
        expire = partial(self._drop_confidential, visitor, tuple(names))
        asyncio.get_running_loop().call_later(CONFIDENTIAL_SECONDS, expire)

    def _confidential_size(self) -> int:
        kept = (self._kept.get(("", name)) for names in self._confidential.values() for name in names)
        return sum(len(file.data) for file in kept if file is not None)

    def _drop_confidential(self, visitor: str, names: Sequence[str] | None = None) -> None:
        """Drop the confidential files of a visitor, unless they are other ones than `names` by now."""
        if names is None or self._confidential.get(visitor) == names:
            for name in self._confidential.pop(visitor, ()):
                self.drop(name)

    def find_stored(self, name: str) -> tuple[int, int] | None:
        """Return the ids of a stored file's message and of the file itself; None if there is none of this name."""
        return self._stored.get(name)

    def retire(self, name: str, owner: str = "") -> None:
        """Keep a replaced file only until files that were retired later need the space.

        A page that got its name a moment ago may not have fetched it yet.
        """
        key = (owner, name)
        if key in self._kept and key not in self._retired:
            self._retired[key] = None
            self._retired_size += len(self._kept[key].data)
        while self._retired_size > MAX_RETIRED_BYTES:
            self._remove(next(iter(self._retired)))

    def drop(self, name: str, owner: str = "") -> None:
        """Drop a file. Unknown names are ignored, since the file may have made way for newer ones."""
        if not owner:
            self._stored.pop(name, None)
            self._readers.pop(name, None)
        if (owner, name) in self._kept:
            self._remove((owner, name))

    def drop_owner(self, owner: str) -> None:
        """Drop all files of an owner."""
        for key in [key for key in self._kept if key[0] == owner]:
            self._remove(key)

    def _remove_oldest(self, owner: str) -> None:
        self._remove(next(key for key in self._kept if key[0] == owner))

    def _remove(self, key: tuple[str, str]) -> None:
        file = self._kept.pop(key)
        self._readers.pop(key[1], None)
        size = _cost(file)
        self._size -= size
        self._sizes[key[0]] -= size
        if not self._sizes[key[0]]:
            del self._sizes[key[0]]
        if key in self._retired:
            del self._retired[key]
            self._retired_size -= len(file.data)


def _cost(file: Attachment) -> int:
    """Return the bytes of memory that a kept file takes."""
    return len(file.data) + OVERHEAD_BYTES


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels from a picture's header, so that a page can reserve space for it.

    Reads PNG, GIF, JPEG and WebP; returns None for anything else, and for data that is cut short.
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
        # The frame headers are C0 to CF, except for C4, C8 and CC.
        if 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height
        position += 2 + length
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None
