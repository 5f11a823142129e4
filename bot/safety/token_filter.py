"""Tokens that might come next, of which the web chat and /odds show many that nobody chose: what no answer may hold."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bot.core.model_events import Candidate, Dial, Token

    Forbids = Callable[[str], bool]

CONTEXT_CHARACTERS = 40
"""Characters before a token that are looked at with it, as a word has often more tokens than one."""


def filter_dial(dial: Dial, forbids: Forbids) -> Dial:
    """`dial`, in which the candidates that make a text that `forbids` is true of are hidden."""
    before = b"".join(dial.prompt[-CONTEXT_CHARACTERS:]).decode(errors="replace")[-CONTEXT_CHARACTERS:]

    def screened(one: Candidate) -> Candidate:
        text = one.bytes.decode(errors="replace")
        return one if one.ends or not _is_hidden(before, text, forbids) else replace(one, bytes=b"", hidden=True)

    candidates = tuple(screened(one) for one in dial.candidates)
    return replace(dial, candidates=candidates, drawn=screened(dial.drawn))


def filter_tokens(tokens: Sequence[Token], forbids: Forbids) -> tuple[Token, ...]:
    """`tokens`, in which what was likely beside them and makes a text that `forbids` is true of is hidden."""
    # The same tokens come again and again.
    return tuple(_filter_tokens(tokens, cache(forbids)))


def _filter_tokens(tokens: Sequence[Token], forbids: Forbids) -> Iterator[Token]:
    before = ""
    for token in tokens:
        # What was written was looked at, and is shown.
        hidden = {one for one in token.likely if one.text != token.text and _is_hidden(before, one.text, forbids)}
        likely = (replace(one, text="", hidden=True) if one in hidden else one for one in token.likely)
        yield replace(token, likely=tuple(likely))
        before = (before + token.text)[-CONTEXT_CHARACTERS:]


def _is_hidden(before: str, text: str, forbids: Forbids) -> bool:
    if not text:
        return False
    # What stands there already was looked at, and is no reason to hide all that could follow.
    return forbids(text) or (forbids(before + text) and not forbids(before))
