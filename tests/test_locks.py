"""The locks name one version of everything that pyproject.toml asks for, with hashes, and no host."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parent.parent
FOLDER = PROJECT / "deploy" / "locks"
EXTRAS = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
ENTRIES = {
    layer: re.findall(r"^(\S+)==(\S+)(.*(?:\n    .*)*)", (FOLDER / f"{layer}.txt").read_text("utf-8"), re.MULTILINE)
    for layer in ("bot", "models", "cluster", "dev")
}


@pytest.mark.parametrize(
    ("layers", "wanted"),
    [
        (["bot"], [*EXTRAS["dependencies"], *EXTRAS["optional-dependencies"]["redis"]]),
        (["bot", "models"], EXTRAS["optional-dependencies"]["models"]),
        (["bot", "models", "cluster"], EXTRAS["optional-dependencies"]["cluster"]),
        (["bot", "models", "cluster", "dev"], EXTRAS["optional-dependencies"]["dev"]),
    ],
)
def test_what_the_project_asks_for_is_locked_within_its_ranges(layers: list[str], wanted: list[str]) -> None:
    versions: dict[str, list[str]] = {}
    for name, version, _ in (entry for layer in layers for entry in ENTRIES[layer]):
        versions.setdefault(name, []).append(version)
    for requirement in map(Requirement, wanted):
        if requirement.name != "torch":
            locked = versions.get(canonicalize_name(requirement.name), [])
            assert locked, f"{requirement} is not locked; run: make locks"
            assert all(requirement.specifier.contains(version) for version in locked), f"{requirement}: {locked}"


def test_every_package_is_in_one_lock_and_has_hashes_but_pytorch_has_none() -> None:
    names = [{name for name, _, _ in entries} for entries in ENTRIES.values()]
    assert sum(map(len, names)) == len(set.union(*names))
    assert all("--hash=sha256:" in rest for entries in ENTRIES.values() for _, _, rest in entries)
    assert not [name for name in set.union(*names) if re.match(r"torch$|nvidia-|cuda-|triton$", name)]


def test_no_lock_names_a_host_or_a_folder() -> None:
    locks = list(FOLDER.glob("*.txt"))
    assert len(locks) > len(ENTRIES)
    for lock in locks:
        assert "/" not in lock.read_text("utf-8").partition("\n")[2]
