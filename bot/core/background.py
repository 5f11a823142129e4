"""Background work: repeated for as long as something lives, or done in a thread of its own, one piece at a time."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

log = logging.getLogger(__name__)

Result = TypeVar("Result")


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


class SerialExecutor:
    """A thread that does one piece of work after the other. It begins with the first."""

    def __init__(self, name: str) -> None:
        """Threads are told apart by `name` in tools that list them."""
        self._name = name
        self._executor = self._new_executor()

    async def run(self, work: Callable[..., Result], *arguments: object) -> Result:
        """What `work(*arguments)` gives or raises, when its turn has come."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)

    def leave(self) -> None:
        """Let the thread end once it has done what waits, and wait for nothing; another one does what still comes."""
        old, self._executor = self._executor, self._new_executor()
        old.shutdown(wait=False)

    def _new_executor(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, thread_name_prefix=self._name)
