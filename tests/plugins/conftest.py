"""A bot with every built-in plugin, in front of a model server whose answers a test can hold back."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.models import FakeModels

from bot import plugin
from bot.app import Bot
from bot.config import PluginsSection
from bot.database import Database
from bot.model_client import ModelClient


@pytest.fixture
async def models() -> AsyncIterator[FakeModels]:
    async with FakeModels() as running:
        yield running


@pytest.fixture
async def bot(models: FakeModels, tmp_path: Path) -> AsyncIterator[Bot]:
    plugins = plugin.load(PluginsSection(entry_points=False))
    database = Database(f"sqlite:///{tmp_path}/tempera.db")
    async with Bot(ModelClient(models.url), plugins, database, settings={"safety.level": "off"}) as running:
        yield running
