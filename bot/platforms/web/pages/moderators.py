"""The list of moderators on the settings page: who is signed in, until when, and the ends of their sign-ins."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bot.core.caller import Caller
from bot.core.errors import Expired
from bot.platforms.web.chat.room import GENERAL_PLACE
from bot.platforms.web.sent_json import parse_body

if TYPE_CHECKING:
    from bot.core.messages import User
    from bot.platforms.web.access.teachers import SignIn
    from bot.platforms.web.chat.services import WebServices

PATH = "/settings/moderators"


class EndRequest(BaseModel):
    """The id of the moderator whose sign-in is to end. None ends all but one's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(max_length=64)] | None


class ModeratorsList:
    """Routes of the list of moderators."""

    def __init__(self, services: WebServices) -> None:
        self._services = services

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.get(PATH, self._serve_list), web.post(PATH, self._serve_end)]

    async def _serve_list(self, request: web.Request) -> web.Response:
        user = self._services.identify_request(request)
        Caller(user, GENERAL_PLACE).require_moderator()
        return web.json_response({"moderators": [_row(one, user) for one in self._services.moderators.signed_in]})

    async def _serve_end(self, request: web.Request) -> web.Response:
        user = self._services.identify_request(request)
        async with self._services.recording(user, "moderators"):
            await self._end(Caller(user, GENERAL_PLACE), await request.read())
        if not self._services.identify_request(request).is_moderator:
            # They have ended their own sign-in, and so see the others no longer.
            return web.json_response({"moderators": []})
        return await self._serve_list(request)

    async def _end(self, caller: Caller, body: bytes) -> None:
        caller.require_moderator()
        moderators = self._services.moderators
        wanted = parse_body(EndRequest, body)
        others = [one for one in moderators.signed_in if one.id != caller.user.id]
        found = others if wanted.id is None else [one for one in moderators.signed_in if one.id == wanted.id]
        if not found:
            raise Expired("This sign-in has ended already.")
        await moderators.end(caller, [one.id for one in found])
        for one in found:
            if one.id != caller.user.id:
                self._services.tell_of_end(caller.user, one.name)


def _row(one: SignIn, user: User) -> dict[str, Any]:
    return asdict(one) | {"ends": one.ends, "own": one.id == user.id}
