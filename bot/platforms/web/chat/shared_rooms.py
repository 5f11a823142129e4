"""Rooms that several processes show alike: each tells the others what changes in its own, and shows what they tell."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from bot.core.messages import Reply, User
from bot.platforms.web.chat.exchange_json import (
    exchange_as_json,
    file_as_json,
    read_exchange,
    read_file,
    read_reply,
)
from bot.storage.database import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator, Mapping

    from bot.app import Bot
    from bot.core.messages import Attachment
    from bot.platforms.web.chat.restoring import StoredMessages
    from bot.platforms.web.chat.room import Exchange, Room
    from bot.platforms.web.chat.rooms import Rooms

EXCHANGE, TYPING, SPOKEN, ROOMS = "web exchange", "web typing", "web spoken", "web rooms"
REPAIR_SECONDS = 15.0
"""How often answers of other processes are compared with the database, in case what those told got lost."""
MAX_DELETED = 1000
"""How many deleted exchanges are remembered, so that none comes back with an event that was under way."""


class SharedRooms:
    """Tells other processes what changes in the rooms here, and shows here what changes there.

    Each process has an exchange of its own, with its own id, for each exchange of another one. They are the same if
    they have the same row or, before there is one, the same key.
    """

    def __init__(self, bot: Bot, rooms: Rooms, stored: StoredMessages) -> None:
        self._events = bot.events
        self._bot = bot
        self._rooms = rooms
        self._stored = stored
        self._is_applying = False
        self._deleted: OrderedDict[str | int, None] = OrderedDict()
        self._unfinished: dict[int, Reply] = {}

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Share the rooms for as long as the context lasts."""
        self._rooms.observe(self)
        self._rooms.listeners.add(self)
        events = self._events
        with (
            events.handled(EXCHANGE, self._show),
            events.handled(TYPING, self._show_typing),
            events.handled(SPOKEN, self._notify_message),
            events.handled(ROOMS, self._change_rooms),
        ):
            try:
                yield
            finally:
                self._rooms.listeners.discard(self)

    @contextmanager
    def _applying(self) -> Iterator[None]:
        """Tell nobody what changes in the body, which must not wait for anything: another process has told it."""
        self._is_applying = True
        try:
            yield
        finally:
            self._is_applying = False

    # What happens here

    def exchange_changed(self, room: Room, exchange: Exchange) -> None:
        """Tell the others how an exchange looks now."""
        if exchange.reply.deleted:
            self._note_deleted(exchange.key, exchange.reply.row)
        if not self._is_applying:
            self._events.publish(EXCHANGE, partial(self._describe, room, exchange), key=f"{room.name} {exchange.id}")

    def user_is_typing(self, room: Room, user: User) -> None:
        """Tell the others that somebody is writing."""
        self._publish_of_user(TYPING, room.name, user)

    def message_arrived(self, room: str, user: User) -> None:
        """Tell the others that somebody asked something in a room."""
        self._publish_of_user(SPOKEN, room, user)

    def _publish_of_user(self, kind: str, room: str, user: User) -> None:
        if not self._is_applying:
            described = {"id": user.id, "name": user.name, "is_moderator": user.is_moderator}
            self._events.publish(kind, {"room": room, "user": described}, key=f"{room} {user.id}")

    def rooms_changed(self) -> None:
        """Tell the others that a room was opened or closed."""
        if not self._is_applying:
            self._events.publish(ROOMS, lambda: dict(self._rooms.closers), key=ROOMS)

    def offers_changed(self) -> None:
        """Do nothing: each process knows its commands itself."""

    def _describe(self, room: Room, exchange: Exchange) -> dict[str, Any] | None:
        """Return an exchange for others; None if it is gone from here alone, or nobody else may see it yet.

        What was not checked is not told, nor what its author alone sees and nobody stores.
        """
        is_here = room.get(exchange.id) is exchange
        is_for_others = exchange.reply.row or exchange.for_moderators or exchange.notice or not exchange.private
        if exchange.unchecked or not is_for_others or not (is_here or exchange.reply.deleted):
            return None
        exchange.key = exchange.key or f"{self._events.process}:{exchange.id}"
        files = [self._keep(file) for file in exchange.reply.attachments if not file.confidential]
        return exchange_as_json(room, exchange, files) | {"deleted": exchange.reply.deleted}

    def _keep(self, file: Attachment) -> dict[str, Any]:
        digest = hashlib.blake2b(file.data, digest_size=16).hexdigest()
        self._events.keep_file(digest, file.data)
        return file_as_json(file, digest)

    # What happens in other processes

    async def _show(self, process: str, data: Mapping[str, Any]) -> None:
        """Show an exchange as it looks in another process."""
        room, row = self._find_room(data["room"]), data["reply"]["row"]
        if room is None or data["key"] in self._deleted or row in self._deleted:
            return
        if data["deleted"]:
            self._note_deleted(data["key"], row)
            with self._applying():
                if (gone := _find(room, data["key"], row)) is not None:
                    room.show(gone, Reply(deleted=True, final=True))
            return
        is_final = data["reply"]["final"]
        # Whoever made it may have dropped the files from memory before this was told.
        stored = await self._bot.messages.list_files(row) if is_final and row else ()
        attachments = [] if stored else [one async for one in self._fetch(data["files"])]
        with self._applying():
            if not self._deleted.keys().isdisjoint((data["key"], row)):
                # It was deleted here while its files were fetched.
                return
            exchange = _find(room, data["key"], row)
            if exchange is None:
                exchange = room.open_exchange(read_exchange(data))
            exchange.key = data["key"]
            room.show(exchange, read_reply(data["reply"], attachments), stored)

    async def _fetch(self, files: Collection[Mapping[str, Any]]) -> AsyncIterator[Attachment]:
        for described in files:
            if (data := await self._events.fetch_file(described["digest"])) is not None:
                yield read_file(described, data)

    async def _show_typing(self, process: str, data: Mapping[str, Any]) -> None:
        if (room := self._find_room(data["room"])) is not None:
            with self._applying():
                room.notify_typing(User(**data["user"]))

    async def _notify_message(self, process: str, data: Mapping[str, Any]) -> None:
        if (room := self._find_room(data["room"])) is not None:
            with self._applying():
                self._rooms.notify_message(room, User(**data["user"]))

    async def _change_rooms(self, process: str, closers: Mapping[str, str]) -> None:
        await self._rooms.reload(self._stored.restore_room, closers)
        with self._applying():
            self._rooms.notify_rooms()

    def _find_room(self, name: str) -> Room | None:
        return next((room for room in self._rooms.all if room.name == name), None)

    def _note_deleted(self, *names: str | int) -> None:
        self._deleted.update(dict.fromkeys(filter(None, names)))
        while len(self._deleted) > MAX_DELETED:
            self._deleted.popitem(last=False)

    async def repair(self) -> None:
        """Show from the database how answers of other processes ended, if these have told nothing for a while."""
        runs, before = self._bot.runs, self._unfinished
        others = [
            (room, exchange)
            for room, exchange in self._rooms.all_exchanges()
            if exchange.reply.row and not exchange.reply.final and runs.newest(exchange.reply.row) is None
        ]
        self._unfinished = {exchange.id: exchange.reply for _, exchange in others}
        for room, exchange in others:
            if before.get(exchange.id) is exchange.reply:
                await self._show_as_stored(room, exchange)

    async def _show_as_stored(self, room: Room, exchange: Exchange) -> None:
        row = await self._bot.messages.get(exchange.reply.row)
        if row is not None and row.state in UNFINISHED:
            return
        reply, files = Reply(deleted=True, final=True), []
        if row is not None:
            reply = await self._bot.stored.snapshot(row, "en", files=False)
            files = await self._bot.messages.list_files(row.id)
        with self._applying():
            room.show(exchange, reply, files)


def _find(room: Room, key: str, row: int) -> Exchange | None:
    by_key = (one for one in room.exchanges if one.key == key)
    return room.find_by_row(row) or next(by_key, None)
