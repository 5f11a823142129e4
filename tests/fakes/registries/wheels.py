"""Wheels made on the spot, in a folder that pip takes for its index."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def make_wheel(
    folder: Path, name: str, version: str, members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED
) -> Path:
    """A wheel for every Python that holds `members`; `name` with underscores."""
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
