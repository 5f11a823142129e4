"""The lessons on the teachers' page: what there is, with its versions, and what was asked in vain."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from aiohttp import web
from pydantic import Field

from bot.answers.context_factory import PAGES_PATH
from bot.core.errors import Expired, UserError
from bot.core.messages import Request
from bot.platforms.web.pages.teachers.desk import Order, ShortText

if TYPE_CHECKING:
    from bot.core.caller import Caller
    from bot.core.messages import Document, Shelf
    from bot.platforms.web.chat.services import WebServices
    from bot.platforms.web.pages.teachers.desk import Desk
    from bot.settings.setting import Scope

MAX_VERSION = 2**31


class LessonOrder(Order):
    """Add the uploaded `file`, use a `version` again, or remove a document if neither is given."""

    plugin: ShortText
    title: ShortText
    file: ShortText | None = None
    version: Annotated[int, Field(ge=1, le=MAX_VERSION)] | None = None


class LessonsCard:
    """Routes of the lessons. What they change, the plugin's own commands do."""

    def __init__(self, services: WebServices, desk: Desk) -> None:
        self._services, self._desk = services, desk

    def routes(self) -> list[web.RouteDef]:
        """Return the route."""
        return [web.post("/class/lesson", self._serve_order)]

    async def describe(self, caller: Caller) -> list[dict[str, Any]]:
        """Return the shelf of each plugin that has one, as JSON."""
        shelves = await self._services.bot.registry.shelves(caller)
        return [_shelf_json(plugin, shelf, caller.place.channel) for plugin, shelf in shelves.items()]

    async def _serve_order(self, request: web.Request) -> web.StreamResponse:
        address = self._services.address_of(request)

        async def act(caller: Caller, scope: Scope, order: LessonOrder) -> str:
            return await self._carry_out(caller, scope, order, address)

        return await self._desk.obey(request, LessonOrder, act)

    async def _carry_out(self, caller: Caller, scope: Scope, order: LessonOrder, address: str) -> str:
        shelf = (await self._services.bot.registry.shelves(caller)).get(order.plugin)
        if shelf is None:
            raise Expired("This has expired: it is no longer stored.")
        command = shelf.remove
        options: dict[str, Any] = {"title": order.title}
        if order.file is not None:
            command = shelf.add
            options |= await self._services.find_uploads(caller.user, {"file": order.file})
        elif order.version is not None:
            command, options["version"] = shelf.restore, order.version
        return await self._run(
            Request(
                user=caller.user,
                place=scope.place,
                command=command,
                options=options,
                address=address,
                resume={"line": f"/{command}"},
            )
        )

    async def _run(self, request: Request) -> str:
        """Run a command as in the chat, and return its answer. Raises UserError if it is refused."""
        reply = None
        async with aclosing(self._services.bot.prepare(request).start()) as replies:
            async for newest in replies:
                reply = newest
        if reply is None or reply.error:
            raise UserError("{text}", text="" if reply is None else reply.text)
        # Open pages name the lessons.
        self._services.rooms.notify_offers()
        return reply.text


def _shelf_json(plugin: str, shelf: Shelf, room: str) -> dict[str, Any]:
    return {
        "plugin": plugin,
        "documents": [_document_json(plugin, document, room) for document in shelf.documents],
        "missed": shelf.missed,
        "unhelpful": shelf.unhelpful,
    }


def _document_json(plugin: str, document: Document, room: str) -> dict[str, Any]:
    return {
        "title": document.title,
        "url": f"{PAGES_PATH}/{plugin}/{document.page}?room={quote(room)}" if document.page else "",
        "versions": [
            {"number": number, "file": file, "at": added.timestamp()} for number, file, added in document.versions
        ],
        "problem": document.problem,
    }
