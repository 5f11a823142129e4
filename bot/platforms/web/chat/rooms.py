"""The rooms of the chat: which there are, who hears of it, and what each begins with."""

from __future__ import annotations

import itertools
import re
import unicodedata
from typing import TYPE_CHECKING, Protocol

from bot.core.errors import UserError
from bot.core.messages import Reply
from bot.platforms.web.chat.room import GENERAL, Room

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from bot.core.messages import User
    from bot.platforms.web.chat.files import Files
    from bot.platforms.web.chat.room import Exchange
    from bot.storage.key_value import Store

SCOPE = "rooms"
MOST_ROOMS = 50
NAME_LENGTH = 32


class Listener(Protocol):
    """Who is told of rooms, at once; so these must be quick."""

    def rooms_changed(self) -> None:
        """There are other rooms than before."""

    def spoken(self, room: str, user: User) -> None:
        """Somebody said something in a room that everybody there can see."""


class Rooms:
    """All rooms, by name; "general" is the first, and always there. `store` remembers the others."""

    def __init__(self, files: Files, store: Store) -> None:
        self._files = files
        self._store = store
        self._ids: Iterator[int] = itertools.count(1)
        self._rooms = {GENERAL: self._new(GENERAL)}
        self._listeners: set[Listener] = set()

    async def start(self) -> None:
        """Open the rooms that were made before."""
        for name in await self._store.items(scope=SCOPE):
            self._rooms.setdefault(name, self._new(name))

    @property
    def names(self) -> list[str]:
        """ "general", then the others in the order of the alphabet, with their numbers in that of numbers."""
        return [GENERAL, *sorted((name for name in self._rooms if name != GENERAL), key=_in_order)]

    def get(self, name: str) -> Room:
        """The room of this name, or "general" if there is none."""
        return self._rooms.get(name, self._rooms[GENERAL])

    def holding(self, exchange_id: int) -> tuple[Room, Exchange] | None:
        """An exchange, with the room that it is in."""
        found = ((room, room.get(exchange_id)) for room in self._rooms.values())
        return next(((room, exchange) for room, exchange in found if exchange is not None), None)

    def authors(self) -> list[User]:
        """Those who spoke lately, with the name that they had last."""
        return [exchange.author for _, exchange in self._all()]

    def with_row(self, row: int) -> list[tuple[Room, Exchange]]:
        """The exchanges whose reply the core calls `row`, each with its room."""
        return [(room, exchange) for room, exchange in self._all() if row and exchange.reply.row == row]

    def of_author(self, user_id: str, rows: Collection[int]) -> list[tuple[Room, Exchange]]:
        """What somebody asked, and whose reply is one of `rows`, each with its room."""
        return [both for both in self._all() if both[1].author.id == user_id or both[1].reply.row in rows]

    def lose(self, name: str) -> None:
        """Show a file no longer, in whatever room it is."""
        for room in self._rooms.values():
            room.lose(name)

    def _all(self) -> list[tuple[Room, Exchange]]:
        return [(room, exchange) for room in self._rooms.values() for exchange in room.exchanges]

    async def make(self, typed: str) -> Room:
        """Open a room. Raises UserError for a name that cannot be one."""
        name = clean(typed)
        if not name:
            raise UserError("A room needs a name of letters or digits, such as “lesson-1”.")
        if name in self._rooms:
            raise UserError("There is a room “{name}” already.", name=name)
        if len(self._rooms) >= MOST_ROOMS:
            raise UserError("There can be {most} rooms; close one first.", most=MOST_ROOMS)
        await self._store.set(name, True, scope=SCOPE)
        room = self._rooms[name] = self._new(name)
        self._tell()
        return room

    async def close(self, name: str) -> None:
        """Close a room; what was said in it stays stored, and is there again in a new one of that name."""
        if name == GENERAL:
            raise UserError("The room “{name}” is always there.", name=name)
        if name not in self._rooms:
            raise UserError("There is no room “{name}”.", name=name)
        await self._store.delete(name, scope=SCOPE)
        room = self._rooms.pop(name)
        for exchange in room.exchanges:
            room.show(exchange, Reply(deleted=True))
        self._tell()

    def listen(self, listener: Listener) -> None:
        """Tell `listener` from now on."""
        self._listeners.add(listener)

    def forget(self, listener: Listener) -> None:
        """Tell it no longer."""
        self._listeners.discard(listener)

    def spoken(self, room: Room, user: User) -> None:
        """Tell everybody that `user` spoke in a room."""
        for listener in tuple(self._listeners):
            listener.spoken(room.name, user)

    def _new(self, name: str) -> Room:
        return Room(self._files, name, self._ids)

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener.rooms_changed()


def _in_order(name: str) -> list[tuple[int, str]]:
    """A key to sort by: “lesson-2” comes before “lesson-10”."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def clean(typed: str) -> str:
    """A name as rooms have it: small letters and digits, with single hyphens for all else between them."""
    lowered = unicodedata.normalize("NFKC", typed).lower().lstrip("#")
    kept = "".join(char if char.isalnum() else " " for char in lowered)
    return "-".join(kept.split())[:NAME_LENGTH].strip("-")
