"""What all parts of the teachers' page need: the caller, the scope, and messages that are checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bot.core.caller import Caller
from bot.platforms.web.chat.room import GENERAL_PLACE
from bot.platforms.web.sent_json import parse_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bot.platforms.web.chat.services import WebServices
    from bot.settings.setting import Scope

Room = Annotated[str, Field(max_length=64)]
"""The name of a room; "" is the whole chat."""
ShortText = Annotated[str, Field(max_length=200)]


class Order(BaseModel):
    """The base of what the page sends: each names a room."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    room: Room


OrderT = TypeVar("OrderT", bound=Order)


class Desk:
    """Reads and answers the requests of the teachers' page, and refuses those of everybody else."""

    def __init__(self, services: WebServices) -> None:
        self._services = services

    async def answer(
        self, request: web.Request, act: Callable[[Caller, Scope], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Return what `act` answers to a moderator about the room in the query; others are refused."""
        user = self._services.identify_request(request)
        async with self._services.recording(user, "class"):
            Caller(user, GENERAL_PLACE).require_moderator()
            scope = self._services.scope_of(request.query.get("room", ""))
            return await act(Caller(user, scope.place), scope)

    async def obey(
        self, request: web.Request, kind: type[OrderT], act: Callable[[Caller, Scope, OrderT], Awaitable[str | None]]
    ) -> web.StreamResponse:
        """Carry out an order of a moderator, in JSON, and answer with what `act` says about it; others are refused."""

        async def carry_out(caller: Caller, _: Scope) -> web.StreamResponse:
            order = parse_body(kind, await request.read())
            return web.json_response({"said": await act(caller, self._services.scope_of(order.room), order) or ""})

        return await self.answer(request, carry_out)
