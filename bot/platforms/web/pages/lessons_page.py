"""The pages that plugins offer for reading beside the chat, such as lessons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from bot.answers.context_factory import PAGES_PATH
from bot.platforms.web.templates import language_of, render_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.core.messages import Page
    from bot.platforms.web.chat.services import WebServices

DATA_PATH = "/reading"


class LessonPages:
    """Routes of the reading page, and of the data that it fetches.

    `room` in the query is the room from which the page was opened; “general” if it is missing. A plugin that is
    switched off there has no pages.
    """

    def __init__(self, services: WebServices) -> None:
        self._services = services

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get(f"{PAGES_PATH}/{{plugin}}", self._serve_page),
            web.get(f"{PAGES_PATH}/{{plugin}}/{{name}}", self._serve_page),
            web.get(f"{DATA_PATH}/{{plugin}}", self._serve_list),
            web.get(f"{DATA_PATH}/{{plugin}}/{{name}}", self._serve_parts),
        ]

    async def _serve_page(self, request: web.Request) -> web.Response:
        return await render_page(request, "read")

    async def _serve_list(self, request: web.Request) -> web.Response:
        pages = await self._find_pages(request)
        shown = [page.in_language(language_of(request)) for page in pages]
        return web.json_response({"pages": [{"name": page.name, "title": page.title} for page in shown]})

    async def _serve_parts(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        versions = [{"en": page, **page.translations} for page in await self._find_pages(request)]
        found = next((all_ for all_ in versions if any(page.name == name for page in all_.values())), None)
        if found is None:
            raise web.HTTPNotFound(text="There is no such page.")
        page = next(page for page in found.values() if page.name == name)
        others = [
            {"language": code, "name": other.name, "title": other.title}
            for code, other in found.items()
            if other is not page
        ]
        parts = [
            {"heading": part.heading, "text": part.text, "anchor": part.anchor, "level": part.level, "ask": part.ask}
            for part in page.parts
        ]
        return web.json_response({"title": page.title, "parts": parts, "others": others})

    async def _find_pages(self, request: web.Request) -> Sequence[Page]:
        user = self._services.identify_request(request)
        pages = await self._services.bot.registry.pages(self._services.place_of(user, request.query.get("room", "")))
        return pages.get(request.match_info["plugin"], ())
