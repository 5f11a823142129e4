"""An answer as it grows, held back by one sentence: nothing is shown that was not looked at before."""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from bot.core.splitting import join_growing_columns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from bot.core.messages import Reply
    from bot.core.model_events import Token

END = re.compile(r"[.!?…][\"'”’»)\]*_`]*(?=\s)|[。！？]+[」』）”’»)\]*_`]*|\n")
"""Chinese and Japanese write no space behind a sentence."""
LONGEST = 300
"""Characters of an unfinished sentence; a longer one is looked at up to its last word, so that the answer moves on.

All of it where it has no space: there are scripts that write none.
"""


def settled(text: str, start: int) -> int:
    """Up to where the sentences and lines after `start` are finished; `start` if none is."""
    end = start
    for match in END.finditer(text, start):
        end = match.end()
    if len(text) - end > LONGEST:
        space = text.rfind(" ", end + 1)
        end = space + 1 if space > 0 else len(text)
    return end


class HeldText:
    """A text as it grows, of which nothing is shown that `check` did not let pass; what `check` raises is raised.

    `check` is given what is new together with the sentence before it, so that nothing hides in between.
    """

    def __init__(self, check: Callable[[str], Awaitable[None]]) -> None:
        self._check = check
        self._shown, self._before = "", 0

    def skip(self, text: str) -> None:
        """Take `text` as one that passed."""
        self._shown, self._before = text, len(text)

    async def grow(self, text: str, *, final: bool) -> str:
        """As much of `text` as may be shown; all of it, once it is `final`."""
        if not text.startswith(self._shown):
            self._shown, self._before = "", 0
        end = len(text) if final else settled(text, len(self._shown))
        if text[len(self._shown) : end].strip():
            await self._check(text[self._before : end])
            self._before = len(self._shown)
        self._shown = text[:end]
        return self._shown


def told(tokens: Sequence[Token], text: str) -> tuple[Token, ...]:
    """The first of `tokens`, as far as `text` has them whole."""
    end = 0
    for count, token in enumerate(tokens):
        if not text.startswith(token.text, end):
            return tuple(tokens[:count])
        end += len(token.text)
    return tuple(tokens)


async def held(
    replies: AsyncGenerator[Reply, None], check: Callable[[str], Awaitable[None]]
) -> AsyncGenerator[Reply, None]:
    """`replies` with as much of their text, tokens and columns as passes; what `check` raises ends them."""
    whole, beside = HeldText(check), defaultdict[int, HeldText](lambda: HeldText(check))

    async def looked_at(reply: Reply, *, final: bool) -> Reply:
        columns = []
        for place, column in enumerate(reply.columns):
            text = await beside[place].grow(column.text, final=final or column.final)
            columns.append(replace(column, text=text))
        if columns:
            whole.skip(join_growing_columns(columns))
            return replace(reply, columns=tuple(columns))
        text = await whole.grow(reply.text, final=final)
        return replace(reply, text=text, tokens=reply.tokens if text == reply.text else told(reply.tokens, text))

    newest = shown = None
    async with aclosing(replies):
        async for reply in replies:
            newest = reply
            shown = await looked_at(reply, final=reply.final)
            yield shown
    if newest is not None and not newest.final and newest != shown:
        yield await looked_at(newest, final=True)
