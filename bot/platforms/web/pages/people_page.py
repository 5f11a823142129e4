"""The page of who is here, and what a moderator does there."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bot.core.caller import Caller
from bot.core.errors import UserError
from bot.platforms.web.chat.attendance import Attendance
from bot.platforms.web.chat.room import GENERAL_PLACE
from bot.platforms.web.pages.errors import error_response
from bot.platforms.web.sent_json import parse_body

if TYPE_CHECKING:
    from bot.core.messages import User
    from bot.platforms.web.chat.attendance import Attendee, Newcomer
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
        user = self._services.identify_request(request)
        try:
            caller = Caller(user, GENERAL_PLACE)
            listed, waiting = self._attendance.list(caller), self._attendance.waiting(caller)
        except UserError as error:
            return error_response(error, user)
        newcomers = [_newcomer_row(one, user) for one in waiting]
        return web.json_response({"people": [_row(one, user) for one in listed], "waiting": newcomers})

    async def _serve_act(self, request: web.Request) -> web.Response:
        user = self._services.identify_request(request)
        try:
            await self._act(Caller(user, GENERAL_PLACE), await request.read())
        except UserError as error:
            await self._services.record_refusal(error, user, "people")
            return error_response(error, user)
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


def _row(one: Attendee, reader: User) -> dict[str, Any]:
    person = one.person
    return {
        "id": person.id,
        "name": person.name,
        "moderator": one.is_moderator,
        "own": person.id == reader.id,
        "room": person.room,
        "here": person.is_here,
        "since": person.since,
        "seen": person.seen,
        "device": one.device.in_language(reader.locale),
        "mark": {"letters": one.mark[0], "hue": one.mark[1]},
        "at_address": one.at_address,
        "met": one.met,
        "asked": one.asked,
        "timed_out": one.timed_out_until and one.timed_out_until.timestamp(),
        "given": one.has_given_name,
    }


def _newcomer_row(one: Newcomer, reader: User) -> dict[str, Any]:
    return {
        "id": one.person.id,
        "name": one.person.name,
        "since": one.since,
        "device": one.device.in_language(reader.locale),
        "at_address": one.at_address,
    }
