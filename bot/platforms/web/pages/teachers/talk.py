"""What teachers say to a room, which the bot does not answer, and what was said there: its transcript."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

from aiohttp import web
from pydantic import Field

from bot.core.errors import UserError
from bot.platforms.web.chat.announcements import announce
from bot.platforms.web.pages.teachers.desk import Order
from bot.platforms.web.pages.teachers.transcript import write_transcript

if TYPE_CHECKING:
    from bot.core.caller import Caller
    from bot.platforms.web.chat.services import WebServices
    from bot.platforms.web.pages.teachers.desk import Desk
    from bot.settings.setting import Scope

MAX_ANNOUNCEMENT_CHARACTERS = 1000


class AnnouncementOrder(Order):
    """Say something in a room, or in all rooms."""

    text: Annotated[str, Field(max_length=4 * MAX_ANNOUNCEMENT_CHARACTERS)]


class TalkCards:
    """Routes of the announcement and the transcript. The pinned task is a setting, and is changed as one."""

    def __init__(self, services: WebServices, desk: Desk) -> None:
        self._services, self._desk = services, desk

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/class/announcement", self._serve_announcement),
            web.get("/class/transcript", self._serve_transcript),
        ]

    async def _serve_transcript(self, request: web.Request) -> web.StreamResponse:
        async def write(caller: Caller, scope: Scope) -> web.StreamResponse:
            room = self._services.rooms.get(scope.channel)
            text = await write_transcript(self._services.bot.messages, self._services.bot.audit, caller, room.place())
            disposition = f"attachment; filename*=UTF-8''{quote(room.name, safe='')}.md"
            headers = {"Content-Disposition": disposition, "Cache-Control": "no-store"}
            return web.Response(text=text, content_type="text/markdown", headers=headers)

        return await self._desk.answer(request, write)

    async def _serve_announcement(self, request: web.Request) -> web.StreamResponse:
        return await self._desk.obey(request, AnnouncementOrder, self._announce)

    async def _announce(self, caller: Caller, scope: Scope, order: AnnouncementOrder) -> None:
        text = order.text.strip()
        if not text:
            raise UserError("Write what you want to say first.")
        if len(text) > MAX_ANNOUNCEMENT_CHARACTERS:
            sentence = "An announcement may have {most} characters; this one has {count}."
            raise UserError(sentence, most=MAX_ANNOUNCEMENT_CHARACTERS, count=len(text))
        for name in [scope.channel] if scope.channel else self._services.rooms.names:
            # It may have been closed while the ones before it were told.
            if (room := self._services.rooms.find(name)) is not None:
                await announce(self._services.bot.messages, caller, room, text)
                self._services.rooms.notify_message(room, caller.user)
