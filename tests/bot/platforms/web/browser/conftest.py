"""The web chat of a bot with the lab."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.model_server.model_api import FakeModels

from bot.app import Bot
from bot.config.sections import PluginsSection, WebSection
from bot.inference.client import ModelClient
from bot.platforms.web import WebPlatform
from bot.plugin_host import plugin
from bot.storage.database import Database


@pytest.fixture
async def laboratory(models: FakeModels, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a web chat with /ask and the lab."""
    plugins = plugin.load(PluginsSection(enabled=("ask", "lab"), entry_points=False))
    bot = Bot(ModelClient(models.url), plugins, Database(f"sqlite:///{tmp_path}/lab.db"))
    async with bot, WebPlatform(bot, WebSection(port=0)).serve() as url:
        yield url
