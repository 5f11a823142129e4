"""Work that comes round again for as long as something lives."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

log = logging.getLogger(__name__)


async def repeat(work: Callable[[], Awaitable[None]], seconds: float, *, at_once: bool = False) -> None:
    """Do `work` every `seconds`, until cancelled. A round that fails is logged, and the next one comes all the same."""
    if not at_once:
        await asyncio.sleep(seconds)
    while True:
        try:
            await work()
        except Exception:
            log.exception("A round of background work failed; the next one comes in %g s", seconds)
        await asyncio.sleep(seconds)


@asynccontextmanager
async def repeated(
    work: Callable[[], Awaitable[None]], seconds: float, *, at_once: bool = False
) -> AsyncIterator[None]:
    """Do so for as long as the context lasts."""
    task = asyncio.create_task(repeat(work, seconds, at_once=at_once), name="chore")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
