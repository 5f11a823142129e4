"""The rooms of the chat: opens and closes them, finds exchanges in them, and tells listeners of changes."""

from __future__ import annotations

import asyncio
import itertools
import re
import unicodedata
from typing import TYPE_CHECKING, Protocol

from bot.core.errors import UserError
from bot.platforms.web.chat.private_places import PrivatePlaces
from bot.platforms.web.chat.room import GENERAL, Room, private_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping

    from bot.core.messages import User
    from bot.platforms.web.chat.files import Files
    from bot.platforms.web.chat.room import Exchange, Observer
    from bot.storage.key_value import Store

SCOPE = "rooms"
MAX_ROOMS = 50
MAX_NAME_CHARS = 32


class Listener(Protocol):
    """Gets told of changes to the rooms. Its methods are called while the change is made, so they must be quick."""

    def rooms_changed(self) -> None:
        """Called when a room was opened or closed."""

    def message_arrived(self, room: str, user: User) -> None:
        """Called when somebody asked something in a room that is visible to everybody there."""

    def offers_changed(self) -> None:
        """Called when commands, their limits or pages may have changed."""


class Rooms:
    """All rooms, by name. “general” always exists; the names of the others are kept in `store`.

    Private places are no rooms that anybody can name: they are in `private`.
    """

    def __init__(self, files: Files, store: Store) -> None:
        self._files = files
        self._store = store
        self._ids: Iterator[int] = itertools.count(1)
        self._observer: Observer | None = None
        self._rooms = {GENERAL: self._create(GENERAL)}
        self.closers: dict[str, str] = {}
        """The names of those who closed rooms lately, by room; "" where this process does not know."""
        self.private = PrivatePlaces(lambda owner: self._create(private_name(owner), owner))
        self.listeners: set[Listener] = set()
        self._changing = asyncio.Lock()

    async def start(self) -> None:
        """Open the rooms whose names are stored."""
        for name in await self._store.items(scope=SCOPE):
            self._rooms.setdefault(name, self._create(name))

    @property
    def names(self) -> list[str]:
        """“general”, then the names of the others in alphabetical order, with numbers in them ordered by value."""
        return [GENERAL, *sorted((name for name in self._rooms if name != GENERAL), key=_natural_order)]

    def get(self, name: str) -> Room:
        """Return the room of this name, or “general” if there is none."""
        return self._rooms.get(name, self._rooms[GENERAL])

    def find(self, name: str) -> Room | None:
        """Return the room of this name, or None."""
        return self._rooms.get(name)

    def at(self, name: str) -> Room:
        """Return the room or the private place of this name; “general” if there is none in memory."""
        return next((room for room in self.all if room.name == name), self._rooms[GENERAL])

    @property
    def all(self) -> tuple[Room, ...]:
        """All rooms, and the private places that are in memory."""
        return (*self._rooms.values(), *self.private.rooms)

    def find_exchange(self, exchange_id: int) -> tuple[Room, Exchange] | None:
        """Return an exchange and the room that it is in, or None."""
        candidates = ((room, room.get(exchange_id)) for room in self.all)
        return next(((room, exchange) for room, exchange in candidates if exchange is not None), None)

    def find_by_row(self, row: int) -> list[tuple[Room, Exchange]]:
        """Return the exchanges whose reply has this row, each with its room. No exchange has row 0."""
        return [(room, exchange) for room, exchange in self.all_exchanges() if row and exchange.reply.row == row]

    def find_shown(self, row: int, user: User) -> Room | None:
        """Return the room that shows `user` an exchange whose reply has this row, or None."""
        shown = (room for room, exchange in self.find_by_row(row) if exchange.is_visible_to(user))
        return next(shown, None)

    def find_of_user(self, user_id: str, rows: Collection[int]) -> list[tuple[Room, Exchange]]:
        """Return the exchanges that a user began or whose reply has one of `rows`, each with its room."""
        return [pair for pair in self.all_exchanges() if pair[1].author.id == user_id or pair[1].reply.row in rows]

    def remove_file(self, name: str) -> None:
        """Stop showing a file, whichever room it is in."""
        for room in self.all:
            room.remove_file(name)

    def all_exchanges(self) -> list[tuple[Room, Exchange]]:
        """Return all exchanges that are kept, each with its room."""
        return [(room, exchange) for room in self.all for exchange in room.exchanges]

    async def open(self, typed: str) -> Room:
        """Open a room, whose name is made from what was typed. Raises UserError if there cannot be such a room."""
        name = clean_room_name(typed)
        if not name:
            raise UserError("A room needs a name of letters or digits, such as “lesson-1”.")
        async with self._changing:
            if name in self._rooms:
                raise UserError("There is a room “{name}” already.", name=name)
            if len(self._rooms) >= MAX_ROOMS:
                raise UserError("There can be {most} rooms; close one first.", most=MAX_ROOMS)
            await self._store.set(name, True, scope=SCOPE)
            room = self._rooms[name] = self._create(name)
            self.closers.pop(name, None)
        self.notify_rooms()
        return room

    async def close(self, name: str, closer: str = "") -> None:
        """Close a room. Its messages stay in the database, and are shown again in a new room of that name.

        Whoever was there is told the name of the `closer`.
        """
        if name == GENERAL:
            raise UserError("The room “{name}” is always there.", name=name)
        async with self._changing:
            if name not in self._rooms:
                raise UserError("There is no room “{name}”.", name=name)
            await self._store.delete(name, scope=SCOPE)
            room = self._rooms.pop(name)
            self.closers[name] = closer
            for known in [*self.closers][:-MAX_ROOMS]:
                del self.closers[known]
        room.clear()
        self.notify_rooms()

    def notify_message(self, room: Room, user: User) -> None:
        """Tell all listeners that `user` asked something in a room. Of private places nobody is told."""
        for listener in () if room.owner else tuple(self.listeners):
            listener.message_arrived(room.name, user)

    def notify_rooms(self) -> None:
        """Tell all listeners that a room was opened or closed."""
        for listener in tuple(self.listeners):
            listener.rooms_changed()

    def notify_offers(self) -> None:
        """Tell all listeners that commands, their limits or pages may have changed."""
        for listener in tuple(self.listeners):
            listener.offers_changed()

    async def reload(self, restore: Callable[[Room], Awaitable[None]], closers: Mapping[str, str]) -> None:
        """Open and close rooms as another process has. A new one is filled by `restore`.

        `closers` are the names of those who closed rooms there.
        """
        async with self._changing:
            stored = set(await self._store.items(scope=SCOPE)) | {GENERAL}
            for name in self._rooms.keys() - stored:
                self.closers[name] = closers.get(name, "")
                self._rooms.pop(name).clear()
            for name in sorted(stored - self._rooms.keys()):
                room = self._create(name)
                await restore(room)
                self._rooms[name] = room
                self.closers.pop(name, None)

    def observe(self, observer: Observer) -> None:
        """Tell `observer` from now on what happens in any room."""
        self._observer = observer
        for room in self.all:
            room.observer = observer

    def _create(self, name: str, owner: str = "") -> Room:
        room = Room(self._files, name, self._ids, owner=owner)
        room.observer = self._observer
        return room


def _natural_order(name: str) -> list[tuple[int, str]]:
    """Return a sort key that puts “lesson-2” before “lesson-10”."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def clean_room_name(typed: str) -> str:
    """Return the name of a room: lower-case letters and digits, with one hyphen for anything else between them."""
    lowered = unicodedata.normalize("NFKC", typed).lower().lstrip("#")
    kept = "".join(char if char.isalnum() else " " for char in lowered)
    return "-".join(kept.split())[:MAX_NAME_CHARS].strip("-")
