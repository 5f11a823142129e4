"""The memory, the processors and the graphics card of this machine, or of the container that limits this process."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CUDA_DRIVER = "libcuda.so.1"
OWN_GROUPS, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def read_memory_bytes(own_groups: Path = OWN_GROUPS, groups: Path = GROUPS) -> int:
    """Return the bytes of memory that this process may use: all of the machine, or the least limit of its cgroups.

    `own_groups` lists the cgroups of this process, and `groups` is where the cgroup file system is mounted.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for folder, is_unified in _find_groups("memory", own_groups, groups):
        limits += _read_numbers(folder / ("memory.max" if is_unified else "memory.limit_in_bytes"))
    return min(limits)


def read_processor_quota(own_groups: Path = OWN_GROUPS, groups: Path = GROUPS) -> float | None:
    """Return for how many processors' time the cgroups of this process limit it, the least of them; None: no limit."""
    quotas = []
    for folder, is_unified in _find_groups("cpu", own_groups, groups):
        if is_unified:
            times = _read_numbers(folder / "cpu.max")
        else:
            times = [*_read_numbers(folder / "cpu.cfs_quota_us"), *_read_numbers(folder / "cpu.cfs_period_us")]
        # The microseconds that all threads together may take in each period, and its length.
        if len(times) == 2 and times[1]:
            quotas.append(times[0] / times[1])
    return min(quotas, default=None)


def read_card_bytes(driver: str = CUDA_DRIVER) -> int:
    """Return the bytes of memory of the first graphics card that CUDA shows this process; 0 if there is none.

    It asks the `driver`, as PyTorch does, whose import would take seconds.
    """
    try:
        cuda = ctypes.CDLL(driver)
    except OSError:
        return 0
    card, size = ctypes.c_int(), ctypes.c_size_t()
    # Each call returns 0 if all went well.
    failed = (
        cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(card), 0) or cuda.cuDeviceTotalMem_v2(ctypes.byref(size), card)
    )
    return 0 if failed else size.value


def _find_groups(controller: str, own_groups: Path, groups: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the folders of the cgroups that limit this process, and whether each is of version 2, which is unified."""
    try:
        lines = own_groups.read_text().splitlines()
    except OSError:
        # A system without cgroups, such as macOS.
        return
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        root = groups / controller if controllers else groups
        # A limit of an outer group holds for the inner ones. Inside a container, the path may be that of the host.
        inner = PurePosixPath(path.lstrip("/"))
        for folder in (inner, *inner.parents):
            yield root / folder, not controllers


def _read_numbers(path: Path) -> list[int]:
    """Return the numbers in a file; none if there is no file, or for “max” and -1, which are no limit."""
    try:
        words = path.read_text().split()
    except OSError:
        return []
    return [int(word) for word in words if word.isdecimal()]
