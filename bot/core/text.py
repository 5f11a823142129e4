"""Small questions about words, which more than one room asks."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like `word`, if one is alike enough to be what was meant."""
    return next(iter(difflib.get_close_matches(word.casefold(), list(known), n=1, cutoff=0.55)), None)


def cut(text: str, limit: int) -> str:
    """`text`, or as much of it as leaves room for the … that says so; at most `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"
