"""The private places of visitors, “Just me”: rooms that only their owners see."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from bot.platforms.web.chat.room import Room

MAX_KEPT = 200
"""How many private places are kept in memory; those in use stay even beyond that. Others are read when needed."""


class PrivatePlaces:
    """The private places in memory, by the ids of their owners. `create` makes an empty one."""

    def __init__(self, create: Callable[[str], Room]) -> None:
        self._create = create
        self._rooms: OrderedDict[str, Room] = OrderedDict()
        # One for each owner, so that nobody waits for what others' places are filled with.
        self._opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def rooms(self) -> Collection[Room]:
        """Those in memory."""
        return self._rooms.values()

    async def open(self, owner: str, restore: Callable[[Room], Awaitable[None]]) -> Room:
        """Return the place of a visitor. One that is not in memory is filled by `restore`."""
        opening = self._opening.setdefault(owner, asyncio.Lock())
        async with opening:
            if owner not in self._rooms:
                room = self._create(owner)
                await restore(room)
                self._rooms[owner] = room
            self._rooms.move_to_end(owner)
            self._drop_idle()
            return self._rooms[owner]

    def _drop_idle(self) -> None:
        """Drop what was not used for the longest from memory; never the newest."""
        for owner, room in tuple(self._rooms.items())[:-1]:
            if len(self._rooms) <= MAX_KEPT:
                break
            if room.is_idle:
                room.clear()
                del self._rooms[owner]
