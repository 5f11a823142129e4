from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from model_server.files.limits import read_card_bytes, read_memory_bytes, read_processor_quota

if TYPE_CHECKING:
    from pathlib import Path

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
UNLIMITED_V1 = "9223372036854771712"


def mounted(tmp_path: Path, own: str, limits: dict[str, str]) -> Path:
    """Write the file “own” and a cgroup file system with these limits; return the folder of the latter."""
    groups = tmp_path / "groups"
    for name, limit in limits.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(f"{limit}\n")
    (tmp_path / "own").write_text(f"{own}\n")
    return groups


@pytest.mark.parametrize(
    ("own", "limits", "expected"),
    [
        ("0::/a/b", {"a/b/memory.max": "5000"}, 5000),
        ("0::/a/b", {"a/b/memory.max": "max", "a/memory.max": "4000"}, 4000),
        ("0::/a/b", {"a/b/memory.max": "3000", "a/memory.max": "4000"}, 3000),
        ("0::/", {"memory.max": "max"}, MACHINE),
        ("0::/", {}, MACHINE),
        ("9:cpu,memory:/docker/x", {"memory/docker/x/memory.limit_in_bytes": "6000"}, 6000),
        # In a container, the path is one of the host, and the limit is at the root.
        ("9:memory:/docker/x\n8:cpu:/docker/x", {"memory/memory.limit_in_bytes": "6000"}, 6000),
        ("9:memory:/", {"memory/memory.limit_in_bytes": UNLIMITED_V1}, MACHINE),
        ("8:cpu:/a", {"memory/a/memory.limit_in_bytes": "6000"}, MACHINE),
        ("nonsense", {}, MACHINE),
    ],
)
def test_the_memory_is_the_machines_or_the_least_limit_of_its_cgroups(
    own: str, limits: dict[str, str], expected: int, tmp_path: Path
) -> None:
    groups = mounted(tmp_path, own, limits)
    assert read_memory_bytes(tmp_path / "own", groups) == expected


def test_a_system_without_cgroups_has_all_its_memory_and_no_quota(tmp_path: Path) -> None:
    assert read_memory_bytes(tmp_path / "none", tmp_path) == MACHINE
    assert read_processor_quota(tmp_path / "none", tmp_path) is None


@pytest.mark.parametrize(
    ("own", "limits", "expected"),
    [
        ("0::/a/b", {"a/b/cpu.max": "250000 100000"}, 2.5),
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 100000"}, 0.5),
        ("0::/a/b", {"a/b/cpu.max": "400000 100000", "a/cpu.max": "300000 100000"}, 3),
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("0::/", {"cpu.max": "100000 0"}, None),
        ("0::/", {}, None),
        ("4:cpu,cpuacct:/x", {"cpu/x/cpu.cfs_quota_us": "300000", "cpu/x/cpu.cfs_period_us": "100000"}, 3),
        ("4:cpu,cpuacct:/x", {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ("4:cpu,cpuacct:/x", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, None),
        ("5:cpuset:/x", {"cpu/x/cpu.cfs_quota_us": "300000", "cpu/x/cpu.cfs_period_us": "100000"}, None),
    ],
)
def test_the_processors_are_limited_by_the_least_quota(
    own: str, limits: dict[str, str], expected: float | None, tmp_path: Path
) -> None:
    groups = mounted(tmp_path, own, limits)
    assert read_processor_quota(tmp_path / "own", groups) == expected


@pytest.mark.parametrize(
    ("failing", "expected"), [("", 17_175_674_880), ("cuInit", 0), ("cuDeviceGet", 0), ("size", 0)]
)
def test_the_memory_of_a_graphics_card_is_what_its_driver_says(tmp_path: Path, failing: str, expected: int) -> None:
    status = {name: int(name == failing) for name in ("cuInit", "cuDeviceGet", "size")}
    (tmp_path / "driver.cpp").write_text(f"""
        #include <cstddef>
        extern "C" {{
        int cuInit(unsigned flags) {{ return {status["cuInit"]}; }}
        int cuDeviceGet(int *card, int ordinal) {{ *card = 7 + ordinal; return {status["cuDeviceGet"]}; }}
        int cuDeviceTotalMem_v2(std::size_t *bytes, int card) {{ *bytes = 17175674880; return {status["size"]}; }}
        }}
    """)
    driver = str(tmp_path / "driver.so")
    subprocess.run(["g++", "-shared", "-fPIC", "-o", driver, str(tmp_path / "driver.cpp")], check=True, timeout=60)
    assert read_card_bytes(driver) == expected
    assert read_card_bytes("no-such-driver.so") == 0
