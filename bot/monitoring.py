"""What other programs ask the bot about itself: whether it lives and is ready, and what it has counted."""

from __future__ import annotations

import asyncio
import hmac
from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import select

from bot.core import metrics
from bot.core.errors import BotError, DatabaseUnavailable, UserError
from bot.platforms.listening import explain_listen_error
from http_server.listening import listening

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from bot.app import Bot
    from bot.config.sections import MonitoringSection

MODELS_SECONDS = 2.0
"""How long the model server may take to say whether it is ready."""
LIVE, READY, METRICS = "/health/live", "/health/ready", "/metrics"


class Monitoring:
    """A listener of its own, apart from what the users of the bot reach."""

    def __init__(self, bot: Bot, section: MonitoringSection) -> None:
        self._bot = bot
        self._section = section

    async def run(self) -> None:
        """Answer until cancelled. Raises BotError if the port cannot be had."""
        app = web.Application(middlewares=[self._check_key])
        app.add_routes([web.get(LIVE, _live), web.get(READY, self._ready), web.get(METRICS, self._metrics)])
        host, port = self._section.host, self._section.port
        try:
            async with listening(app, host, port):
                await asyncio.Event().wait()
        except OSError as error:
            raise BotError(explain_listen_error(error, "Monitoring", "TEMPERA_MONITORING__", host, port)) from None

    @web.middleware
    async def _check_key(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        key = self._section.key.get_secret_value()
        given = request.headers.get("Authorization", "")
        if (
            key
            and request.path == METRICS
            and not hmac.compare_digest(given.encode("utf-8", "replace"), f"Bearer {key}".encode())
        ):
            return web.Response(status=401, text="This needs the key, sent as “Authorization: Bearer KEY”.")
        return await handler(request)

    async def _ready(self, _: web.Request) -> web.Response:
        """Ready is a bot whose database can be used; without its models it still says so to whoever asks."""
        database = models = False
        with suppress(DatabaseUnavailable):
            async with self._bot.database.reading() as session:
                database = await session.scalar(select(1)) == 1
        with suppress(UserError, TimeoutError):
            async with asyncio.timeout(MODELS_SECONDS):
                models = (await self._bot.models.readiness()).ready
        body = {"status": "ready" if database else "unavailable", "database": database, "models": models}
        return web.json_response(body, status=200 if database else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        metrics.RUNNING.set(len(self._bot.runs.ids))
        metrics.TASKS.set(len(asyncio.all_tasks()))
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _live(_: web.Request) -> web.Response:
    return web.json_response({"status": "live"})
