"""Background work: repeated at an interval, tried until it succeeds, given up, or run in a single thread."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from bot.core.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

log = logging.getLogger(__name__)

Result = TypeVar("Result")

RETRY_SECONDS = 2.0
"""The pause before work that must not be left out is tried again."""
_given_up: set[asyncio.Future[Any]] = set()
"""Work that is being cancelled; the event loop itself would not keep it until its end."""


async def repeat(work: Callable[[], Awaitable[None]], seconds: float, *, at_once: bool = False) -> None:
    """Call `work` every `seconds` until cancelled. A call that fails is logged and does not end the repetition."""
    if not at_once:
        await asyncio.sleep(seconds)
    while True:
        try:
            await work()
        except DatabaseUnavailable as error:
            log.debug("Background work needs the database: %s", error)
        except Exception:
            log.exception("Background work failed; it will be tried again in %g s", seconds)
        await asyncio.sleep(seconds)


@asynccontextmanager
async def repeated(
    work: Callable[[], Awaitable[None]], seconds: float, *, at_once: bool = False
) -> AsyncIterator[None]:
    """Call `work` every `seconds`, as `repeat` does, for as long as the context lasts."""
    task = asyncio.create_task(repeat(work, seconds, at_once=at_once), name="repeated")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_stored(work: Callable[[], Awaitable[Result]]) -> Result:
    """Return the result of `work`, which is called again as long as the database is away."""
    while True:
        try:
            return await work()
        except DatabaseUnavailable as error:
            log.debug("Something waits until the database is back: %s", error)
        await asyncio.sleep(RETRY_SECONDS)


async def in_time(work: Awaitable[Result], seconds: float) -> Result:
    """Return the result of `work`. Raises TimeoutError as soon as it has taken `seconds`, and cancels it then.

    `asyncio.timeout` would wait for the end of what it cancels, and a cancelled statement ends only when a database
    that does not answer has closed its connection.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            _given_up.add(task)
            task.add_done_callback(_given_up.discard)
            task.add_done_callback(take_error)
    if not task.done():
        raise TimeoutError
    return task.result()


def take_error(task: asyncio.Future[Any]) -> None:
    """Take the error of work that nobody waits for any more, which asyncio would log as one that was never read."""
    if not task.cancelled():
        task.exception()


class SerialExecutor:
    """A single thread that runs one call after another. It starts with the first call."""

    def __init__(self, name: str) -> None:
        """`name` is the name of the thread in debuggers and stack dumps."""
        self._name = name
        self._executor = self._new_executor()

    async def run(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Run `work(*arguments)` in the thread after all earlier calls, and return its result or raise its error."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)

    def leave(self) -> None:
        """Let the thread end after the calls that wait already, without waiting here. A new thread runs later calls."""
        old, self._executor = self._executor, self._new_executor()
        old.shutdown(wait=False)

    def _new_executor(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, thread_name_prefix=self._name)
