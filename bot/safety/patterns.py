"""Compiles regular expressions in RE2's syntax, which has no look-around or back-references and takes linear time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import re2

from bot.core.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PATTERN_BYTES = 8 << 20
"""The memory that one compiled pattern may take."""
MAX_INSTRUCTIONS = 10_000
"""With some more of them, RE2 has no room for a fast automaton, and takes a thousand times as long for each message."""


def compile_lines(lines: str) -> Any:
    """Return one pattern that matches what any line of `lines` matches, ignoring case; None if there are no lines.

    Raises OptionError with the wrong line and the reason.
    """
    patterns = [line.strip() for line in lines.splitlines() if line.strip()]
    for pattern in patterns:
        _compile(pattern, pattern)
    return compile_any(patterns) if patterns else None


def count_lines(lines: str) -> int:
    """Return how many patterns `lines` has."""
    return sum(1 for line in lines.splitlines() if line.strip())


def compile_any(patterns: Iterable[str]) -> Any:
    """Return one pattern that matches what any of `patterns` matches, ignoring case."""
    combined = "|".join(f"(?:{pattern})" for pattern in patterns)
    return _compile(combined, combined[:60])


def to_searchable(text: str) -> str:
    """Return `text` as RE2 can read it: with a question mark for each half of a surrogate pair."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _compile(pattern: str, label: str) -> Any:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = MAX_PATTERN_BYTES
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        message = error.args[0]
        reason = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
        raise OptionError(
            "safety.patterns",
            "The pattern “{pattern}” is none that RE2 knows ({reason}). Patterns look like this: h[ae]llo|good ?bye",
            pattern=label,
            reason=reason,
        ) from None
