"""Announcements: lines of moderators that the bot does not answer. They are stored among the messages of their room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.core.messages import Reply, User
from bot.platforms.web.chat.room import Exchange

if TYPE_CHECKING:
    from bot.core.caller import Caller
    from bot.platforms.web.chat.room import Room
    from bot.storage.database import MessageRow
    from bot.storage.messages import MessageStore


async def announce(messages: MessageStore, caller: Caller, room: Room, text: str) -> None:
    """Store a line of a moderator and show it in a room. Raises PermissionDenied for others than moderators."""
    caller.require_moderator()
    show_announcement(room, await messages.announce(room.place(), caller.user, text))


def show_announcement(room: Room, row: MessageRow) -> None:
    """Show a stored announcement."""
    author, began = User(row.author, row.author_name), row.created.timestamp()
    exchange = Exchange(author, row.text, private=False, began=began, announcement=True)
    room.show(room.open_exchange(exchange), Reply(final=True, row=row.id))
