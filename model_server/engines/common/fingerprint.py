"""A short name for exactly these weights, by which a changed model is noticed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PART_BYTES = 1 << 16
SUFFIXES = {".safetensors", ".bin"}


def compute_fingerprint(folder: Path) -> str:
    """Return eight hexadecimal digits that change with the files of weights in `folder`, or "" if it has none.

    The ends of each file are enough: training changes all weights, and reading gigabytes would delay the start.
    """
    digest, found = hashlib.sha256(), False
    for file in sorted(folder.rglob("*")):
        if file.suffix in SUFFIXES and file.is_file():
            found = True
            digest.update(f"{file.relative_to(folder)} {file.stat().st_size}".encode())
            with file.open("rb") as stream:
                digest.update(stream.read(PART_BYTES))
                stream.seek(max(0, file.stat().st_size - PART_BYTES))
                digest.update(stream.read())
    return digest.hexdigest()[:8] if found else ""
