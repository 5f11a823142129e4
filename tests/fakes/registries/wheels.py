"""Builds wheels in a folder that pip uses as its index."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def make_wheel(
    folder: Path, name: str, version: str, members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED
) -> Path:
    """Build a pure Python wheel with `members`; `name` is written with underscores. Return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        for member, content in members.items():
            wheel.writestr(member, content, compression)
        wheel.writestr(f"{about}/RECORD", "")
    return path
