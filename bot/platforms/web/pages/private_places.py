"""The page on which teachers read along in the private places of visitors, where a setting allows it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aiohttp import web
from sqlalchemy import func, select

from bot.core.caller import Caller
from bot.core.errors import PermissionDenied
from bot.platforms.web.chat.protocol import exchange_message
from bot.platforms.web.chat.restoring import READ_ALONG
from bot.platforms.web.chat.room import GENERAL, GENERAL_PLACE, PRIVATE_MARK, room_place
from bot.settings.builtin import TEACHERS_READ
from bot.storage.audit import MODERATION, AuditEntry
from bot.storage.database import MessageRow

if TYPE_CHECKING:
    from bot.core.messages import User
    from bot.platforms.web.chat.services import WebServices

DATA_PATH = "/private/data"
MAX_LISTED = 200
VISITOR = "{visitor:[0-9a-f]{16}}"
"""The id of a visitor in a path."""


class PrivatePlacesPage:
    """Routes of the page. It shows what was asked while visitors were told that teachers can read along."""

    def __init__(self, services: WebServices) -> None:
        self._services = services

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get(DATA_PATH, self._serve_list),
            web.get(f"{DATA_PATH}/{VISITOR}", self._serve_place),
        ]

    async def _serve_list(self, request: web.Request) -> web.Response:
        self._require_reader(self._services.identify_request(request))
        return web.json_response({"places": await self._find_places()})

    async def _serve_place(self, request: web.Request) -> web.Response:
        user, visitor = self._services.identify_request(request), request.match_info["visitor"]
        self._require_reader(user)
        room = await self._services.open_private(visitor)
        shown = [exchange for exchange in room.exchanges if exchange.is_for_teachers]
        await self._record(user, visitor, shown[-1].author.name if shown else "")
        # Nobody but the visitor can press a button there.
        reader = replace(user, is_moderator=False)
        messages = [exchange_message(reader, exchange) for exchange in shown]
        for message in messages:
            message["reply"]["buttons"] = []
        return web.json_response({"exchanges": messages})

    def _require_reader(self, user: User) -> None:
        """Raise UserError unless the user may read along."""
        Caller(user, GENERAL_PLACE).require_moderator()
        if not self._services.reads_along(user):
            raise PermissionDenied("Teachers read along only while the setting {name} is on.", name=TEACHERS_READ)

    async def _find_places(self) -> list[dict[str, Any]]:
        """Return those private places in which teachers may read something, the last used first."""
        readable = (
            (MessageRow.platform == "web")
            & (MessageRow.server == room_place(GENERAL).server)
            & MessageRow.channel.startswith(PRIVATE_MARK)
            & (MessageRow.role == "assistant")
            & (MessageRow.state != "deleted")
            & MessageRow.private.is_(False)
            & MessageRow.resume[READ_ALONG].as_boolean().is_(True)
        )
        newest = select(func.max(MessageRow.id).label("id"), func.count().label("answers")).where(readable)
        newest_rows = newest.group_by(MessageRow.channel).subquery()
        query = (
            select(MessageRow.author, MessageRow.author_name, MessageRow.created, newest_rows.c.answers)
            .join(newest_rows, MessageRow.id == newest_rows.c.id)
            .order_by(MessageRow.id.desc())
            .limit(MAX_LISTED)
        )
        async with self._services.bot.database.reading() as session:
            rows = (await session.execute(query)).all()
        return [
            {"id": author, "name": name, "at": created.timestamp(), "answers": answers}
            for author, name, created, answers in rows
        ]

    async def _record(self, user: User, visitor: str, name: str) -> None:
        place = replace(GENERAL_PLACE, channel="")
        entry = AuditEntry(actor=user, place=place, kind=MODERATION, what="read along")
        await self._services.bot.audit.record(replace(entry, subject=visitor, subject_name=name))
