"""What a benchmark is asked for, and the machine that it runs on."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model_server.catalogue import load_catalogue

if TYPE_CHECKING:
    from model_server.catalogue import CatalogueEntry

CATALOGUE = Path(__file__).resolve().parents[2] / "config" / "models.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """One comparison: of which model, how often, with how many threads for each side."""

    model: str
    runs: int
    threads: int
    overlays: tuple[Path, ...] = ()
    """Of the built-in catalogue."""

    def catalogue(self) -> dict[str, CatalogueEntry]:
        """All models. Raises StoreError for an overlay that is wrong."""
        return load_catalogue(CATALOGUE, *self.overlays)


def machine(wanted: BenchOptions, *packages: str) -> str:
    """What was measured on what, and with which versions of `packages`."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    return (
        f"{wanted.model}, {_processor()}, {wanted.threads} threads for each, medians of {wanted.runs} runs in turns\n"
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def say(what: str) -> None:
    """Minutes pass; the table on stdout stays alone there."""
    sys.stderr.write(f"measuring {what} …\n")
    sys.stderr.flush()


def _processor() -> str:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        return f"{name}, {os.cpu_count()} of its cores"
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
