"""Small functions on strings that more than one package needs."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most similar to `word`; None if none is similar enough to be meant."""
    return next(iter(difflib.get_close_matches(word.casefold(), list(known), n=1, cutoff=0.55)), None)


def format_number(value: float) -> str:
    """Return a number as people write it: 0.7 as "0.7" and 2.0 as "2"."""
    return f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"


def cut(text: str, limit: int) -> str:
    """Return `text` in at most `limit` characters; a text that is longer is cut and ends with …."""
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def strip_mentions(text: str, mention: re.Pattern[str]) -> str:
    """Return `text` without spaces and matches of `mention` at its ends."""
    # One pattern for the mentions and the spaces between them could share them out in too many ways.
    start, end = 0, len(text)
    matches = list(mention.finditer(text))
    for match in matches:
        if text[start : match.start()].strip():
            break
        start = match.end()
    for match in reversed(matches):
        if match.start() < start or text[match.end() : end].strip():
            break
        end = match.start()
    return text[start:end].strip()
