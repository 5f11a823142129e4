"""Renews the locks beside this file: `make locks`.

A lock names the one version of each package that is installed, with hashes of its files for every platform. It names no
host, so any mirror can serve them. PyTorch, and what it alone needs, stays out: its files differ from place to place.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER = Path(__file__).parent
PROJECT = FOLDER.parents[1] / "pyproject.toml"
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28")
UNLOCKED = "torch"
EDITABLE = "editables"
"""What hatchling needs for an editable installation, beside itself."""
HEADER = "# Made by `make locks`; do not edit. For pip's --require-hashes and --no-deps.\n"
ENTRY = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)==.*\n(?:    .*\n)*", re.MULTILINE)
COMMENT = re.compile(r"^    #.*\n", re.MULTILINE)
VERSION = re.compile(r"==(?P<version>\S+)")
CAUSE = re.compile(r"^    #(?: via)? +(?P<name>[a-z0-9][a-z0-9._-]*)", re.MULTILINE)


def read_layers() -> dict[str, list[str]]:
    """Return the requirements of each lock. One contains only what those before it lack."""
    project = tomllib.loads(PROJECT.read_text())
    extras = project["project"]["optional-dependencies"]
    return {
        "bot": [*project["build-system"]["requires"], EDITABLE, *project["project"]["dependencies"], *extras["redis"]],
        "models": extras["models"],
        "cluster": extras["cluster"],
        "dev": extras["dev"],
    }


def resolve(requirements: list[str], platform: str = "", newest: Iterable[str] = ()) -> dict[str, str]:
    """Return the text of each package in a lock for all `requirements`, by name: for one platform, or for all.

    A package has several entries where ranges of Python versions need different versions of it. `newest` has the
    newest versions that are allowed, each as a requirement.
    """
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--generate-hashes", "--no-header"]
    command += ["--python-version", "3.11", "--no-emit-index-url", "--no-emit-find-links", "--constraint", "-"]
    command += ["--python-platform", platform] if platform else ["--universal"]
    with NamedTemporaryFile("w", suffix=".in") as file:
        file.write("\n".join(requirements))
        file.flush()
        lock = subprocess.run(  # noqa: S603 - the command is written above
            [*command, file.name], input="\n".join(newest), stdout=subprocess.PIPE, text=True, check=True
        ).stdout
    packages: dict[str, str] = {}
    for match in ENTRY.finditer(lock):
        packages[match["name"]] = packages.get(match["name"], "") + match[0]
    return packages


def resolve_for_all(requirements: list[str]) -> dict[str, str]:
    """Return what `resolve` does for all platforms, with versions for which each of `PLATFORMS` has files.

    While a release is being uploaded, or where its author forgot one, a platform may have none.
    """
    newest: set[str] = set()
    for platform in PLATFORMS:
        chosen = resolve(requirements, platform, newest)
        newest |= {f"{name}<={VERSION.search(text)['version']}" for name, text in chosen.items() if name != UNLOCKED}
    return resolve(requirements, newest=newest)


def find_needed(packages: dict[str, str], requirements: list[str]) -> set[str]:
    """Return the names of the packages that `requirements` bring without PyTorch."""
    causes = {name: {cause["name"] for cause in CAUSE.finditer(text)} for name, text in packages.items()}
    needed = {re.split(r"[^a-z0-9-]", name.lower().replace("_", "-").replace(".", "-"))[0] for name in requirements}
    needed &= packages.keys() - {UNLOCKED}
    while more := {name for name, by in causes.items() if by & needed} - needed - {UNLOCKED}:
        needed |= more
    return needed


def main() -> None:
    """Write all locks anew, with the newest versions that the ranges in pyproject.toml allow."""
    layers = read_layers()
    packages = resolve_for_all([requirement for requirements in layers.values() for requirement in requirements])
    written: set[str] = set()
    for layer, requirements in layers.items():
        names = find_needed(packages, requirements) - written
        written |= names
        text = "".join(COMMENT.sub("", packages[name]) for name in sorted(names))
        (FOLDER / f"{layer}.txt").write_text(HEADER + text)
        print(f"{layer}.txt: {len(names)} packages")
    print("Left out:", ", ".join(sorted(packages.keys() - written)))


if __name__ == "__main__":
    main()
