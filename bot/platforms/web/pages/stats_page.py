"""The statistics as a page for moderators: what /stats tells, as a chart with its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.core.caller import Caller
from bot.core.errors import PermissionDenied
from bot.moderation.statistics import Statistics
from bot.platforms.web.access import visitors
from bot.platforms.web.templates import page
from bot.settings.scopes import server_scope

if TYPE_CHECKING:
    from bot.core.messages import User
    from bot.moderation.statistics import UsageStatistics
    from bot.platforms.web.chat.services import WebServices

ADDRESS = "/statistics"
DATA = "/statistics/data"
SPANS = {"7": 7, "30": 30}
"""How many days there can be, as they are asked for."""


class StatsPage:
    """The routes of the page."""

    def __init__(self, house: WebServices) -> None:
        self._house = house

    def routes(self) -> list[web.RouteDef]:
        """What it answers to."""
        return [web.get(ADDRESS, self._page), web.get(DATA, self._show)]

    async def _page(self, request: web.Request) -> web.Response:
        return await page(request, "statistics")

    async def _show(self, request: web.Request) -> web.Response:
        user, bot = self._user(request), self._house.bot
        days = SPANS.get(request.query.get("days", "7"), 7)
        place = self._house.rooms.get("").place()
        try:
            figures = await Statistics(bot.database, bot.registry).last(Caller(user, place), days, server_scope(place))
        except PermissionDenied as error:
            return web.json_response({"error": error.sentence.in_language(user.locale)}, status=403)
        return web.json_response(_plain(figures))

    def _user(self, request: web.Request) -> User:
        secret = visitors.secret_of(request) or visitors.new_secret()
        return self._house.visitor(secret, "", request.query.get("locale", ""))


def _plain(figures: UsageStatistics) -> dict[str, Any]:
    commands = []
    for name, numbers in figures.uses.items():
        waits, (up, down) = figures.waits.get(name), figures.votes.get(name, (0, 0))
        wait = None if waits is None else {"half": waits.half, "most": waits.most}
        commands.append({"name": name, "numbers": numbers, "wait": wait, "up": up, "down": down})
    return {
        "days": figures.days,
        "commands": commands,
        "refused": figures.refused,
        "reasons": list(figures.reasons.items()),
        "total": figures.total,
        "failed": figures.failed,
    }
