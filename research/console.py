"""Output and arguments that the commands `train` and `judge` share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from model_server.__main__ import require_packages

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
