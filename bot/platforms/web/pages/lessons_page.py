"""The pages of plugins, such as lessons: what there is to read beside the chat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from bot.answers.context_factory import PAGES_PATH
from bot.platforms.web.templates import page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.core.messages import Page
    from bot.platforms.web.chat.services import WebServices

DATA = "/reading"


class LessonPages:
    """The routes: one page for people, which fetches what it shows.

    A plugin that is off in the room that they come from, or in “general” where that is none, has nothing to read.
    """

    def __init__(self, house: WebServices) -> None:
        self._house = house

    def routes(self) -> list[web.RouteDef]:
        """What is answered to."""
        return [
            web.get(f"{PAGES_PATH}/{{plugin}}", self._shell),
            web.get(f"{PAGES_PATH}/{{plugin}}/{{name}}", self._shell),
            web.get(f"{DATA}/{{plugin}}", self._list),
            web.get(f"{DATA}/{{plugin}}/{{name}}", self._one),
        ]

    async def _shell(self, request: web.Request) -> web.Response:
        return await page(request, "read")

    async def _list(self, request: web.Request) -> web.Response:
        pages = await self._pages(request)
        return web.json_response({"pages": [{"name": page.name, "title": page.title} for page in pages]})

    async def _one(self, request: web.Request) -> web.Response:
        found = [page for page in await self._pages(request) if page.name == request.match_info["name"]]
        if not found:
            raise web.HTTPNotFound(text="There is no such page.")
        parts = [
            {"heading": part.heading, "text": part.text, "anchor": part.anchor, "level": part.level, "ask": part.ask}
            for part in found[0].parts
        ]
        return web.json_response({"title": found[0].title, "parts": parts})

    async def _pages(self, request: web.Request) -> Sequence[Page]:
        found = await self._house.bot.pages(self._house.rooms.get(request.query.get("room", "")).place())
        return found.get(request.match_info["plugin"], ())
