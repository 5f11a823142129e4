"""Carries out what a page asks for: lines, forms, suggestions, tokens, and the rooms that moderators open and close."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.core.caller import Caller
from bot.core.errors import Expired, UserError
from bot.core.messages import Request
from bot.platforms.web.chat.incoming import CloseRoom, check_length
from bot.platforms.web.chat.room import GENERAL_PLACE, room_place
from bot.storage.audit import MODERATION, AuditEntry

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from bot.core.messages import Form, User
    from bot.core.model_events import Token
    from bot.platforms.web.chat.incoming import Complete, MakeRoom, Say, Submit, Tokens
    from bot.platforms.web.chat.room import Room
    from bot.platforms.web.chat.services import WebServices

MAX_SUGGESTIONS = 25


async def say(
    services: WebServices, user: User, room: Room, message: Say, address: str
) -> tuple[Form | None, asyncio.Event]:
    """Start the answer to a typed line, as `WebAnswers.say` does. Raises UserError if it is refused."""
    check_length(message.text)
    files = await services.find_uploads(user, message.files)
    return await services.answers.say(user, room, message, files, address)


def choose_name(services: WebServices, user: User, name: str) -> None:
    """Change what a visitor is called. Raises UserError if they may not, or not to this name."""
    if services.known[user.id].name:
        raise UserError("A moderator has given you this name. Ask them if you would like another one.")
    services.people.choose(user, name)


async def submit(services: WebServices, user: User, room: Room, message: Submit, address: str) -> Form | None:
    """Carry out a form, or return the one to show next. Raises UserError if it is refused."""
    for value in message.fields.values():
        check_length(value)
    files = await services.find_uploads(user, message.files)
    return await services.answers.submit(user, room, message, files, address)


async def suggest(services: WebServices, user: User, room: Room, message: Complete, address: str) -> list[str]:
    """Return suggestions for the value of an option that somebody types."""
    request = Request(user=user, place=room.place(), command=message.command, text=message.line, address=address)
    return list(await services.complete(request, message.option, message.typed))[:MAX_SUGGESTIONS]


async def find_tokens(services: WebServices, user: User, room: Room, message: Tokens) -> Sequence[Token]:
    """Return the tokens of an answer. Raises UserError if there are none."""
    exchange = room.get(message.exchange)
    if exchange is None:
        raise Expired("This has expired: it is no longer stored.")
    tokens = await services.bot.stored.tokens(exchange.reply.row, user, room.place(exchange.thread))
    if not tokens:
        raise UserError("No tokens are kept of this answer.")
    return tokens


async def change_rooms(services: WebServices, user: User, message: MakeRoom | CloseRoom) -> str:
    """Open or close a room. Returns the name of the room that was opened, else "". Raises UserError."""
    Caller(user, GENERAL_PLACE).require_moderator("Only moderators can open and close rooms.")
    if isinstance(message, CloseRoom):
        await services.rooms.close(message.room, user.name)
        await _record(services, user, "close room", message.room)
        return ""
    room = await services.rooms.open(message.name)
    await services.answers.stored.restore_room(room)
    services.show_badges()
    await _record(services, user, "open room", room.name)
    return room.name


async def _record(services: WebServices, user: User, what: str, room: str) -> None:
    entry = AuditEntry(actor=user, place=room_place(room), kind=MODERATION, what=what)
    await services.bot.audit.record(entry)
