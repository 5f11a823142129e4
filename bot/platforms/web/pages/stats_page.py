"""The statistics page for moderators: the numbers of /stats as a chart and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.core.caller import Caller
from bot.moderation.statistics import Statistics
from bot.platforms.web.chat.room import GENERAL_PLACE
from bot.settings.scopes import server_scope

if TYPE_CHECKING:
    from bot.moderation.statistics import UsageStatistics
    from bot.platforms.web.chat.services import WebServices

DATA_PATH = "/statistics/data"
DAY_CHOICES = {"7": 7, "30": 30}
"""Numbers of days that can be chosen, keyed by their form in the query."""


class StatsPage:
    """Routes of the statistics page."""

    def __init__(self, services: WebServices) -> None:
        self._services = services

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.get(DATA_PATH, self._serve_data)]

    async def _serve_data(self, request: web.Request) -> web.Response:
        user, bot = self._services.identify_request(request), self._services.bot
        days = DAY_CHOICES.get(request.query.get("days", "7"), 7)
        caller = Caller(user, GENERAL_PLACE)
        statistics = await Statistics(bot.database, bot.registry).last(caller, days, server_scope(GENERAL_PLACE))
        return web.json_response(_statistics_json(statistics))


def _statistics_json(statistics: UsageStatistics) -> dict[str, Any]:
    commands = []
    for name, numbers in statistics.uses.items():
        waits, (up, down) = statistics.waits.get(name), statistics.votes.get(name, (0, 0))
        wait = None if waits is None else {"half": waits.half, "most": waits.most}
        commands.append({"name": name, "numbers": numbers, "wait": wait, "up": up, "down": down})
    return {
        "days": statistics.days,
        "commands": commands,
        "refused": statistics.refused,
        "reasons": list(statistics.reasons.items()),
        "total": statistics.total,
        "failed": statistics.failed,
    }
