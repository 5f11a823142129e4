"""Output, arguments and the lock that the commands `train` and `judge` share."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from model_server.__main__ import require_packages
from model_server.errors import OperatorError

Log = Callable[[str], None]
"""Writes one line for the person who started the command."""


def prepare_torch() -> None:
    """Set what torch and transformers read when they are imported. Raises OperatorError if they are not installed."""
    require_packages()
    # Threads that spin while they wait would slow down other programs.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def print_line(line: str) -> None:
    """Print `line` and flush, so that it appears at once even where stdout is a file."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def format_duration(seconds: float) -> str:
    """Format a duration for people: 3 h 20 min."""
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def positive_integer(text: str) -> int:
    """Parse a command-line argument that is a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number, at least 1")
    return int(text)


def add_training_options(parser: argparse.ArgumentParser, pictures: int, counted: str, exported: str) -> None:
    """Add the options that each training has; `pictures` are shown by default, and `exported` is what is written."""
    parser.add_argument(
        "--pictures", type=positive_integer, default=pictures, help=f"{counted} in all (default: {pictures})"
    )
    parser.add_argument("--seed", type=int, default=7, help="the seed of all random numbers (default: 7)")
    parser.add_argument("--export", type=Path, metavar="FOLDER", help=f"do not train, but write {exported}")
    _add_threads(parser)


def add_judging_options(parser: argparse.ArgumentParser, judged: str, weights: Path | None = None) -> None:
    """Add the options that each evaluation has; `judged` are the weights in `--from`, which is `weights` by default."""
    parser.add_argument(
        "--from",
        type=Path,
        dest="weights",
        default=weights,
        metavar="FOLDER",
        help=f"evaluate {judged} --export writes them, instead of those of the catalogue",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where to write the report and the pictures (default: judged, in the training folder)",
    )
    _add_threads(parser)


def _add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads", type=positive_integer, help="CPU threads; fewer are faster if other programs need the cores"
    )


@contextlib.contextmanager
def training_lock(folder: Path, model: str) -> Iterator[None]:
    """Make the folder of a training, and keep other processes out. Raises OperatorError if one is at work there."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "training.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise OperatorError(f"{model} is being trained by another process, which this one would disturb.") from None
    try:
        yield
    finally:
        lock.release()
