"""Where in the files of a plugin something is."""

from __future__ import annotations

import inspect
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType


def find_place(frames: Iterable[tuple[FrameType, int]], module: str) -> str:
    """Return the first of `frames` that is in a module or below it, like "dice.py, line 3"; "" if none is."""
    for frame, line in frames:
        if f"{frame.f_globals.get('__name__')}.".startswith(f"{module}."):
            return _describe(frame.f_code.co_filename, line)
    return ""


def describe_handler(handler: Callable[..., object]) -> str:
    """Return where a function is defined, like "dice.py, line 3"."""
    code = inspect.unwrap(handler).__code__
    return _describe(code.co_filename, code.co_firstlineno)


def describe_error(error: BaseException, module: str) -> str:
    """Return an error in one line, with the innermost place in `module` that it went through."""
    text = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    # The text of a SyntaxError names the file and the line already; no frame is in a module that cannot be compiled.
    steps = [] if isinstance(error, SyntaxError) else list(traceback.walk_tb(error.__traceback__))
    place = find_place(reversed(steps), module)
    return f"{text} ({place})" if place else text


def _describe(filename: str, line: int) -> str:
    path = Path(filename)
    name = f"{path.parent.name}/{path.name}" if path.name == "__init__.py" else path.name
    return f"{name}, line {line}"
