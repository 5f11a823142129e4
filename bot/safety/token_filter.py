"""Hides forbidden tokens among the candidates for the next token, which /dial, /odds and the web chat show."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bot.core.model_events import Candidate, Dial, Token

    Forbids = Callable[[str], bool]

CONTEXT_CHARACTERS = 40
"""Each token is checked together with this much text before it, because a word often has several tokens."""


def filter_dial(dial: Dial, forbids: Forbids) -> Dial:
    """Return `dial` with those candidates hidden that make the text forbidden."""
    before = b"".join(dial.prompt[-CONTEXT_CHARACTERS:]).decode(errors="replace")[-CONTEXT_CHARACTERS:]

    def filtered(candidate: Candidate) -> Candidate:
        text = candidate.bytes.decode(errors="replace")
        if candidate.ends or not _is_forbidden(before, text, forbids):
            return candidate
        return replace(candidate, bytes=b"", hidden=True)

    return replace(dial, candidates=tuple(map(filtered, dial.candidates)), drawn=filtered(dial.drawn))


def filter_tokens(tokens: Sequence[Token], forbids: Forbids) -> tuple[Token, ...]:
    """Return the `tokens` of an answer with those alternatives hidden that would have made the text forbidden."""
    # The same tokens come up many times.
    return tuple(_filter_tokens(tokens, cache(forbids)))


def _filter_tokens(tokens: Sequence[Token], forbids: Forbids) -> Iterator[Token]:
    before = ""
    for token in tokens:
        # The token that was written has passed the check of the answer.
        hidden = {one for one in token.likely if one.text != token.text and _is_forbidden(before, one.text, forbids)}
        likely = (replace(one, text="", hidden=True) if one in hidden else one for one in token.likely)
        yield replace(token, likely=tuple(likely))
        before = (before + token.text)[-CONTEXT_CHARACTERS:]


def _is_forbidden(before: str, text: str, forbids: Forbids) -> bool:
    if not text:
        return False
    # The text before has passed the check, so it is no reason to hide everything that could follow.
    return forbids(text) or (forbids(before + text) and not forbids(before))
