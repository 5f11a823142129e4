"""Filters a growing answer sentence by sentence, so that only text that has passed a check is shown."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from bot.core.splitting import join_growing_columns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bot.core.messages import Reply
    from bot.core.model_events import Token

SENTENCE_END = re.compile(r"[.!?…][\"'”’»)\]*_`]*(?=\s)|[。！？]+[」』）”’»)\]*_`]*|\n")
"""The end of a sentence or line. Chinese and Japanese write no space after a sentence."""
MAX_SENTENCE_CHARACTERS = 300
"""A longer unfinished sentence is checked up to its last word, so that the answer moves on.

If it has no space, as in some scripts, all of it is checked.
"""


def find_finished_end(text: str, start: int) -> int:
    """Return the index after the last finished sentence or line that follows `start`; `start` if there is none."""
    end = start
    for match in SENTENCE_END.finditer(text, start):
        end = match.end()
    if len(text) - end > MAX_SENTENCE_CHARACTERS:
        space = text.rfind(" ", end + 1)
        end = space + 1 if space > 0 else len(text)
    return end


class HeldText:
    """A growing text that is held back until `check` has passed it; an error of `check` is passed on.

    `check` gets each new part together with the sentence before it, so that nothing hides across two sentences.
    """

    def __init__(self, check: Callable[[str], Awaitable[None]]) -> None:
        self._check = check
        self._passed, self._sentence_start = "", 0

    def mark_passed(self, text: str) -> None:
        """Count `text` as passed without a check."""
        self._passed, self._sentence_start = text, len(text)

    async def release(self, text: str, *, final: bool) -> str:
        """Check what is new in `text` and return as much of it as may be shown; all of it if it is `final`."""
        if not text.startswith(self._passed):
            self._passed, self._sentence_start = "", 0
        end = len(text) if final else find_finished_end(text, len(self._passed))
        if text[len(self._passed) : end].strip():
            await self._check(text[self._sentence_start : end])
            self._sentence_start = len(self._passed)
        self._passed = text[:end]
        return self._passed


def take_tokens_within(tokens: Sequence[Token], text: str) -> tuple[Token, ...]:
    """Return the leading `tokens` that lie completely within `text`."""
    end = 0
    for count, token in enumerate(tokens):
        if not text.startswith(token.text, end):
            return tuple(tokens[:count])
        end += len(token.text)
    return tuple(tokens)


class ReplyFilter:
    """Holds back the text, tokens and columns of a growing reply until they have passed a check.

    `check` raises an error for text that may not be shown; without a check everything passes.
    """

    def __init__(self, check: Callable[[str], Awaitable[None]] | None) -> None:
        self._check = check
        self._newest: Reply | None = None
        self._newest_filtered: Reply | None = None
        if check is not None:
            self._text, self._columns = HeldText(check), defaultdict[int, HeldText](lambda: HeldText(check))

    async def filter(self, reply: Reply) -> Reply:
        """Check what is new in `reply`; return it with as much as has passed."""
        if self._check is None:
            return reply
        self._newest = reply
        self._newest_filtered = await self._filter(reply, final=reply.final)
        return self._newest_filtered

    async def finish(self) -> Reply | None:
        """Check what is still held back of a reply that ended without a final one; None if nothing is."""
        if self._newest is None or self._newest.final or self._newest == self._newest_filtered:
            return None
        return await self._filter(self._newest, final=True)

    async def _filter(self, reply: Reply, *, final: bool) -> Reply:
        columns = []
        for index, column in enumerate(reply.columns):
            text = await self._columns[index].release(column.text, final=final or column.final)
            columns.append(replace(column, text=text))
        if columns:
            self._text.mark_passed(join_growing_columns(columns))
            return replace(reply, columns=tuple(columns))
        text = await self._text.release(reply.text, final=final)
        tokens = reply.tokens if text == reply.text else take_tokens_within(reply.tokens, text)
        return replace(reply, text=text, tokens=tokens)
