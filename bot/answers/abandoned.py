"""The answers that dead processes left unfinished: a living process finds them and has their platforms say so."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator

    from bot.storage.messages import MessageStore

LOOK_SECONDS = 5.0
"""How often a process looks for them."""


class AbandonedAnswers:
    """Looks for unfinished answers that no living process makes."""

    def __init__(self, messages: MessageStore) -> None:
        self._messages = messages
        self._restorers: dict[str, Callable[[], Awaitable[None]]] = {}
        self._before: Collection[int] = ()

    @contextmanager
    def restored_by(self, platform: str, restore: Callable[[], Awaitable[None]]) -> Iterator[None]:
        """Call `restore` whenever there are some on this platform, for as long as the context lasts.

        It marks them as interrupted, which one process alone can do, and shows that.
        """
        self._restorers[platform] = restore
        try:
            yield
        finally:
            del self._restorers[platform]

    async def look(self) -> None:
        """Look for abandoned answers, and have those restored that were there at the last look, too.

        In between, a process that was only slow has shown that it lives, and one that was asked to stop has noticed.
        """
        found = await self._messages.find_abandoned()
        platforms = {platform for row, platform in found.items() if row in self._before}
        self._before = found.keys()
        for platform in platforms & self._restorers.keys():
            await self._restorers[platform]()
