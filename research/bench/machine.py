"""Parts that the benchmarks share: their options, the machine that they run on, and engines in child processes."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model_server.catalogue import load_catalogue
from research import ROOT

if TYPE_CHECKING:
    from model_server.catalogue import CatalogueEntry

CATALOGUE = ROOT / "config" / "models.toml"
LINE_INTERVAL = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """The options of a benchmark: the model, the number of runs, and the threads of each server."""

    model: str
    runs: int
    threads: int
    overlays: tuple[Path, ...] = ()
    """Files that overlay the built-in catalogue."""
    instructions: str | None = None
    """"avx2" keeps all sides from newer instructions of the processor."""

    @property
    def restriction(self) -> dict[str, str]:
        """Return the environment variables that keep our programs from newer instructions."""
        return {"TEMPERA_NATIVE": self.instructions} if self.instructions else {}

    def has_vnni(self) -> bool:
        """Return whether AVX-512 VNNI may be used, and the processor has it."""
        return self.instructions != "avx2" and "avx512_vnni" in _read_processor("flags").split()

    def catalogue(self) -> dict[str, CatalogueEntry]:
        """Return all models. Raises OperatorError for an invalid overlay."""
        return load_catalogue(CATALOGUE, *self.overlays)


def describe_machine(options: BenchOptions, *packages: str) -> str:
    """Describe the model, the machine, the runs if there are several, and the versions of Python and `packages`."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    limit = f" with {options.instructions} at most" if options.instructions else ""
    runs = f", medians of {options.runs} runs in turns" if options.runs > 1 else ""
    return (
        f"{options.model}, {_processor()}{limit}, {options.threads} threads for each{runs}\n"
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def report_stage(what: str) -> None:
    """Write the current stage to stderr, because stages take minutes and stdout is for the table."""
    sys.stderr.write(f"measuring {what} …\n")
    sys.stderr.flush()


class ProgressLine:
    """Writes to stderr how many of a number of things are done: on a terminal in place, otherwise every tenth."""

    def __init__(self, total: int) -> None:
        self._done, self._total = 0, total

    def advance(self) -> None:
        """Count one more."""
        self._done += 1
        is_last = self._done == self._total
        if sys.stderr.isatty():
            sys.stderr.write(f"\r  {self._done} of {self._total}{os.linesep if is_last else ''}")
        elif is_last or self._done % LINE_INTERVAL == 0:
            sys.stderr.write(f"  {self._done} of {self._total}\n")
        sys.stderr.flush()


def spec_as_json(entry: CatalogueEntry, folder: Path) -> str:
    """Return the fields of an EngineSpec for a program that loads the engine in a child process."""
    return json.dumps(
        {
            "name": entry.name,
            "engine": entry.engine,
            "folder": str(folder),
            "device": entry.device,
            "dtype": entry.dtype,
            "options": entry.options,
        }
    )


def child_environment(threads: int) -> dict[str, str]:
    """Return the environment of a child process that computes with so many threads."""
    return os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}


def _processor() -> str:
    if name := _read_processor("model name"):
        return f"{name}, {os.cpu_count()} of its cores"
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def _read_processor(field: str) -> str:
    """Return a field of /proc/cpuinfo, or "" where there is none."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith(field))
    return ""
