"""Measures how well our own image models draw: `python -m research.judge MODEL`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from model_server.errors import run_command
from research.console import prepare_torch

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the model that is named first. Return the exit status."""
    return run_command(lambda: _start(sys.argv[1:] if arguments is None else arguments))


def _start(arguments: Sequence[str]) -> int:
    prepare_torch()
    from research.faces import judge as faces
    from research.pictures.judge import command as pictures

    if arguments[:1] == ["duel"]:
        return faces.main(arguments[1:])
    return pictures.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
