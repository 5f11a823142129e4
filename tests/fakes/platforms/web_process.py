"""One of several processes of a deployment with the web chat, which run in the process of the test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fakes.model_server.gateway import PATIENCE_SECONDS
from fakes.model_server.model_api import FakeModels

from bot.access.rate_limits import MEMORY
from bot.app import Bot
from bot.config.sections import PluginsSection, WebSection
from bot.inference.client import ModelClient
from bot.platforms.capabilities import PLATFORMS
from bot.platforms.web import WebPlatform
from bot.plugin_host import plugin
from bot.storage.database import Database


@asynccontextmanager
async def process(models: FakeModels, folder: Path, redis: str) -> AsyncIterator[tuple[Bot, str]]:
    """Run what one process of a deployment is, and yield its bot and the address of its chat."""
    plugins = plugin.load(PluginsSection(enabled=("ask", "imagine", "help", "privacy", "duel"), entry_points=False))
    database = Database(f"sqlite:///{folder}/tempera.db")
    settings = {"safety.level": "off"}
    async with Bot(
        ModelClient(models.url), plugins, database, settings=settings, platforms=PLATFORMS, limits=redis
    ) as bot:
        if redis != MEMORY:
            await asyncio.wait_for(bot.events.ready.wait(), PATIENCE_SECONDS)
        async with WebPlatform(bot, WebSection(port=0)).serve() as url:
            yield bot, url
