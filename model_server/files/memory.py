"""The memory of this machine, or of the container that limits this process."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN_GROUPS, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def read_memory_bytes(own_groups: Path = OWN_GROUPS, groups: Path = GROUPS) -> int:
    """Return the bytes of memory that this process may use: all of the machine, or the least limit of its cgroups.

    `own_groups` lists the cgroups of this process, and `groups` is where the cgroup file system is mounted.
    """
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_read_limits(own_groups, groups)])


def _read_limits(own_groups: Path, groups: Path) -> Iterator[int]:
    try:
        lines = own_groups.read_text().splitlines()
    except OSError:
        # A system without cgroups, such as macOS.
        return
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            root, name = groups, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        # A limit of an outer group holds for the inner ones. Inside a container, the path may be that of the host.
        inner = PurePosixPath(path.lstrip("/"))
        for folder in (inner, *inner.parents):
            if (limit := _read_number(root / folder / name)) is not None:
                yield limit


def _read_number(path: Path) -> int | None:
    """Return the number in a file; None if there is no file or it says “max”, which is no limit."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
