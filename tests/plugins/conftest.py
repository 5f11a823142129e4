"""A bot with every built-in plugin, in front of a model server whose answers a test can hold back."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.model_server.model_api import FakeModels

from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.inference.client import ModelClient
from bot.platforms.capabilities import PLATFORMS
from bot.plugin_host import plugin
from bot.storage.database import Database


@pytest.fixture
async def bot(models: FakeModels, tmp_path: Path) -> AsyncIterator[Bot]:
    plugins = plugin.load(PluginsSection(entry_points=False))
    database = Database(f"sqlite:///{tmp_path}/tempera.db")
    async with Bot(
        ModelClient(models.url), plugins, database, settings={"safety.level": "off"}, platforms=PLATFORMS
    ) as running:
        yield running
