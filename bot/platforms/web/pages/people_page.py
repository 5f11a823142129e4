"""The page of who is here, and what a moderator does there."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bot.core.caller import Caller
from bot.platforms.web.chat.attendance import Attendance
from bot.platforms.web.chat.room import GENERAL_PLACE
from bot.platforms.web.sent_json import parse_body

if TYPE_CHECKING:
    from bot.platforms.web.chat.services import WebServices

DATA_PATH = "/people/data"


Id = Annotated[str, Field(max_length=64)]


class Act(BaseModel):
    """What a moderator does to the person with this `id`, or to the newcomers with these `ids`.

    `seconds` is the length of a time-out, `count` how many people one of an address meets, and `name` a new name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    do: Literal["time_out", "time_out_address", "lift", "rename", "end", "let_in", "turn_away"]
    id: Id = ""
    ids: Annotated[tuple[Id, ...], Field(max_length=300)] = ()
    seconds: Annotated[int, Field(ge=60, le=24 * 3600)] = 60
    count: Annotated[int, Field(ge=0)] = 0
    name: Annotated[str, Field(max_length=200)] = ""


class PeoplePage:
    """Routes of the page and of its data."""

    def __init__(self, services: WebServices) -> None:
        self._services = services
        self._attendance = Attendance(services)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get(DATA_PATH, self._serve_list),
            web.post(DATA_PATH, self._serve_act),
        ]

    async def _serve_list(self, request: web.Request) -> web.Response:
        caller = Caller(self._services.identify_request(request), GENERAL_PLACE)
        listed = {"people": self._attendance.list(caller), "waiting": self._attendance.waiting(caller)}
        return web.json_response(listed)

    async def _serve_act(self, request: web.Request) -> web.Response:
        user = self._services.identify_request(request)
        async with self._services.recording(user, "people"):
            await self._act(Caller(user, GENERAL_PLACE), await request.read())
        return await self._serve_list(request)

    async def _act(self, caller: Caller, body: bytes) -> None:
        caller.require_moderator()
        act = parse_body(Act, body)
        span = timedelta(seconds=act.seconds)
        match act.do:
            case "time_out":
                await self._attendance.time_out(caller, act.id, span)
            case "time_out_address":
                await self._attendance.time_out_address(caller, act.id, span, act.count)
            case "lift":
                await self._attendance.lift(caller, act.id)
            case "rename":
                await self._attendance.rename(caller, act.id, act.name)
            case "end":
                await self._attendance.end(caller, act.id)
            case "let_in":
                await self._attendance.let_in(caller, act.ids)
            case "turn_away":
                await self._attendance.turn_away(caller, act.ids)
