"""An answer as it grows, held back by one sentence: nothing is shown that was not looked at before."""

from __future__ import annotations

import re
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from bot.message import Reply

END = re.compile(r"[.!?…。！？][\"'”’»)\]*_`]*(?=\s)|\n")
LONGEST = 300
"""Characters of an unfinished sentence; a longer one is looked at up to its last word, so that the answer moves on."""


def settled(text: str, start: int) -> int:
    """Up to where the sentences and lines after `start` are finished; `start` if none is."""
    end = start
    for match in END.finditer(text, start):
        end = match.end()
    if len(text) - end > LONGEST:
        end = max(end, text.rfind(" ", end) + 1) or len(text)
    return end


async def held(
    replies: AsyncGenerator[Reply, None], check: Callable[[str], Awaitable[None]]
) -> AsyncGenerator[Reply, None]:
    """`replies` with as much of their text as `check` let pass; whatever `check` raises ends them.

    `check` is given what is new together with the sentence before it, so that nothing hides in between.
    """
    shown, before = "", 0
    newest: Reply | None = None
    async with aclosing(replies):
        async for reply in replies:
            newest = reply
            if not reply.text.startswith(shown):
                shown, before = "", 0
            end = len(reply.text) if reply.final else settled(reply.text, len(shown))
            if reply.text[len(shown) : end].strip():
                await check(reply.text[before:end])
                before = len(shown)
            shown = reply.text[:end]
            yield reply if reply.final else replace(reply, text=shown)
    if newest is not None and not newest.final and newest.text != shown:
        await check(newest.text[before:])
        yield newest
