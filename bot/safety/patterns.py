"""Patterns in RE2's syntax: without look-around and back-references, and so in time proportional to the text."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import re2

from bot.core.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PATTERN_BYTES = 8 << 20
"""Bytes that one compiled pattern may take."""


@lru_cache(maxsize=64)
def compile_lines(lines: str) -> Any:
    """One pattern that finds whatever any line of `lines` does, in capitals or not; None where there is no line.

    Raises OptionError that says which line is wrong, and why.
    """
    patterns = [line.strip() for line in lines.splitlines() if line.strip()]
    for pattern in patterns:
        _compile(pattern, pattern)
    return compile_any(patterns) if patterns else None


def compile_any(patterns: Iterable[str]) -> Any:
    """One pattern that finds whatever any of `patterns` does."""
    whole = "|".join(f"(?:{pattern})" for pattern in patterns)
    return _compile(whole, whole[:60])


def _compile(pattern: str, shown: str) -> Any:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = MAX_PATTERN_BYTES
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0]
        reason = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise OptionError(
            "safety.patterns",
            "The pattern “{pattern}” is none that RE2 knows ({reason}). Patterns look like this: h[ae]llo|good ?bye",
            pattern=shown,
            reason=reason,
        ) from None
