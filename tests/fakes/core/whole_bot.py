"""A bot with every built-in plugin and without safety checks, on any database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fakes.model_server.model_api import FakeModels

from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.inference.client import ModelClient
from bot.plugin_host import plugin
from bot.storage.database import Database


@asynccontextmanager
async def running(address: str, models: FakeModels, **more: Any) -> AsyncIterator[Bot]:
    plugins = plugin.load(PluginsSection(entry_points=False))
    settings = {"safety.level": "off", "ask.keep_tokens": True}
    async with Bot(ModelClient(models.url), plugins, Database(address), settings=settings, **more) as bot:
        yield bot
