"""Opens and closes rooms for moderators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.core.caller import Caller
from bot.platforms.web.chat.protocol import CloseRoom, MakeRoom
from bot.platforms.web.chat.room import GENERAL, room_place
from bot.storage.audit import MODERATION, AuditEntry

if TYPE_CHECKING:
    from bot.core.messages import User
    from bot.platforms.web.chat.services import WebServices


async def change_rooms(services: WebServices, user: User, message: MakeRoom | CloseRoom) -> str:
    """Open or close a room. Returns the name of the room that was opened, else "". Raises UserError."""
    Caller(user, room_place(GENERAL)).require_moderator("Only moderators can open and close rooms.")
    if isinstance(message, CloseRoom):
        await services.rooms.close(message.room, user.name)
        await _record(services, user, "close room", message.room)
        return ""
    room = await services.rooms.open(message.name)
    await services.answers.restore_room(room)
    services.show_badges()
    await _record(services, user, "open room", room.name)
    return room.name


async def _record(services: WebServices, user: User, what: str, room: str) -> None:
    entry = AuditEntry(actor=user, place=room_place(room), kind=MODERATION, what=what)
    await services.bot.audit.record(entry)
