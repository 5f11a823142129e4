"""When memory is searched for garbage. A search of all of it holds up every answer for a tenth of a second or more."""

from __future__ import annotations

import gc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bot.core.background import repeated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PAUSE_SECONDS = 10.0
MAX_PUT_OFF = 60
"""How often in succession a search that is due may be put off."""
NEVER = 2**31 - 1


@asynccontextmanager
async def searched_when_idle(is_idle: Callable[[], bool]) -> AsyncIterator[None]:
    """Let Python search for garbage among new objects alone, and among old ones only while `is_idle`.

    If the program is never idle, they are searched ten minutes later. What is there at the beginning is not searched.
    """
    thresholds, put_off = gc.get_threshold(), 0
    gc.freeze()
    gc.set_threshold(*thresholds[:2], NEVER)

    async def search() -> None:
        nonlocal put_off
        if gc.get_count()[2] <= thresholds[2]:
            return
        put_off += 1
        if is_idle() or put_off > MAX_PUT_OFF:
            gc.collect()
            put_off = 0

    try:
        async with repeated(search, PAUSE_SECONDS):
            yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
