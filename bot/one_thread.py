"""Work that is not made for several threads, out of the event loop's way."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Made = TypeVar("Made")


class OneThread:
    """A thread that does one piece of work after the other. It begins with the first."""

    def __init__(self, name: str) -> None:
        """Threads are told apart by `name` in tools that list them."""
        self._name = name
        self._executor = self._fresh()

    async def run(self, work: Callable[..., Made], *arguments: object) -> Made:
        """What `work(*arguments)` gives or raises, when its turn has come."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)

    def leave(self) -> None:
        """Let the thread end once it has done what waits, and wait for nothing; another one does what still comes."""
        old, self._executor = self._executor, self._fresh()
        old.shutdown(wait=False)

    def _fresh(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, thread_name_prefix=self._name)
