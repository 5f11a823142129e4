"""The teachers' start page: the page, all that it shows in one piece, and the invitation by which others come in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.platforms.web.pages.teachers.basics import describe_basics
from bot.platforms.web.pages.teachers.desk import Desk
from bot.platforms.web.pages.teachers.lessons import LessonsCard
from bot.platforms.web.pages.teachers.rules import RulesCard
from bot.platforms.web.pages.teachers.talk import TalkCards

if TYPE_CHECKING:
    from bot.core.caller import Caller
    from bot.platforms.web.access.invitation import Inviter
    from bot.platforms.web.chat.services import WebServices
    from bot.settings.setting import Scope

DATA_PATH, QR_PATH = "/class/data", "/class/invitation.svg"


class StartPage:
    """Routes of the start page and of its cards."""

    def __init__(self, services: WebServices, inviter: Inviter) -> None:
        self._services = services
        self._inviter = inviter
        self._desk = Desk(services)
        self._rules = RulesCard(services, self._desk)
        self._lessons = LessonsCard(services, self._desk)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get(DATA_PATH, self._serve_data),
            web.get(QR_PATH, self._serve_qr_code),
            *self._rules.routes(),
            *self._lessons.routes(),
            *TalkCards(self._services, self._desk).routes(),
        ]

    async def _serve_data(self, request: web.Request) -> web.StreamResponse:
        async def collect(caller: Caller, scope: Scope) -> web.StreamResponse:
            return web.json_response(
                {
                    "rooms": self._services.rooms.names,
                    "room": scope.channel,
                    "invitation": self._invitation_json(request),
                    "rules": await self._rules.describe(caller, scope),
                    "lessons": await self._lessons.describe(caller),
                    "basics": await describe_basics(self._services.bot.settings, scope, caller.user.locale),
                }
            )

        return await self._desk.answer(request, collect)

    def _invitation_json(self, request: web.Request) -> dict[str, Any]:
        invitation = self._inviter.invite(request)
        if not invitation.address:
            return {"address": "", "line": self._inviter.line}
        return {"address": invitation.address, "link": invitation.link, "code": invitation.code, "qr": QR_PATH}

    async def _serve_qr_code(self, request: web.Request) -> web.StreamResponse:
        async def draw(*_: object) -> web.StreamResponse:
            invitation = self._inviter.invite(request)
            if not invitation.address:
                raise web.HTTPNotFound(text="Only this computer can open the chat.")
            headers = {"Cache-Control": "no-store"}
            return web.Response(body=invitation.draw(), content_type="image/svg+xml", headers=headers)

        return await self._desk.answer(request, draw)
