"""Shows what is stored: the messages of a room that is opened, and answers that a dead process left unfinished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.core.messages import User
from bot.platforms.web.chat.announcements import show_announcement
from bot.platforms.web.chat.room import Exchange
from bot.storage.database import ANNOUNCEMENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.app import Bot
    from bot.platforms.web.chat.room import Room
    from bot.platforms.web.chat.rooms import Rooms
    from bot.storage.database import MessageRow

CLIENT_REF = "ref"
"""The key of `Request.resume` for the mark that the page gave a line, so that a new process knows it, too."""
READ_ALONG = "read_along"
"""The key of `Request.resume` that is true in a private place in which teachers may read along."""
MAX_RESTORED_MESSAGES = 200
"""Stored questions and answers that are shown in a room after a restart, besides the ones that began their threads."""
MAX_LATELY = 40
"""How many of the last messages of a room are looked through for a line that was sent twice."""


class StoredMessages:
    """Shows stored messages in the rooms."""

    def __init__(self, bot: Bot, rooms: Rooms) -> None:
        self._bot = bot
        self._rooms = rooms

    async def restore(self) -> None:
        """Show the stored messages of all rooms after a start, and mark answers that were cut short as interrupted."""
        await self._bot.stored.mark_interrupted(["web"])
        for name in self._rooms.names:
            await self.restore_room(self._rooms.get(name))

    async def show_interrupted(self) -> None:
        """Mark the answers that a dead process left unfinished as interrupted, and show that."""
        for row in await self._bot.stored.mark_interrupted(["web"]):
            reply = await self._bot.stored.snapshot(row, "en", files=False)
            for room, exchange in self._rooms.find_by_row(row.id):
                room.show(exchange, reply, await self._bot.messages.list_files(row.id))

    async def show_asked(self, user: User, room: Room, thread: int, client_ref: str) -> bool:
        """Show the answer to a line that was sent to another process just now; return whether there is one.

        That process may have died before it told anybody.
        """
        for row in await self._bot.messages.recent(room.place(thread), MAX_LATELY):
            is_theirs = row.role == "assistant" and row.author == user.id
            if client_ref and is_theirs and row.resume.get(CLIENT_REF) == client_ref:
                await self._show_stored(room, row, await self._bot.messages.get(row.parent or 0))
                return True
        return False

    async def restore_room(self, room: Room) -> None:
        """Show the stored messages of a room that has just been opened. Other processes know them."""
        observer, room.observer = room.observer, None
        try:
            await self._fill(room)
        finally:
            room.observer = observer

    async def _fill(self, room: Room) -> None:
        rows = await self._bot.messages.recent(room.place(), MAX_RESTORED_MESSAGES, threads=True)
        rows = [*await self._read_thread_starts(rows), *rows]
        questions = {row.id: row for row in rows if row.role == "user"}
        for row in rows:
            if row.role == ANNOUNCEMENT:
                show_announcement(room, row)
            elif row.role == "assistant":
                await self._show_stored(room, row, questions.get(row.parent or 0))

    async def _read_thread_starts(self, rows: Sequence[MessageRow]) -> list[MessageRow]:
        """Return the answers that began the threads of `rows`, each with its question, unless they are among `rows`."""
        messages, known = self._bot.messages, {row.id for row in rows}
        starts = []
        for number in sorted({int(row.thread) for row in rows if row.thread} - known):
            if (answer := await messages.get(number)) is not None:
                question = None if answer.parent in known else await messages.get(answer.parent or 0)
                starts += [row for row in (question, answer) if row is not None]
        return starts

    async def _show_stored(self, room: Room, row: MessageRow, question: MessageRow | None) -> None:
        reply = await self._bot.stored.snapshot(row, "en", files=False)
        stored = await self._bot.messages.list_files(row.id) if reply.final and not reply.attachments else ()
        if room.find_by_row(row.id) is not None:
            # Another process has told it meanwhile.
            return
        exchange = room.open_exchange(
            Exchange(
                User(row.author, row.author_name),
                row.resume.get("line", ""),
                private=row.private,
                client_ref=row.resume.get(CLIENT_REF, ""),
                began=row.created.timestamp(),
                thread=int(row.thread or 0),
                parent=(question.parent or 0) if question is not None else 0,
                read_along=bool(row.resume.get(READ_ALONG)),
            )
        )
        room.show(exchange, reply, stored)
