"""A bot with the built-in plugins, in front of a model server whose answers a test can hold back."""

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
    plugins = plugin.load(PluginsSection(enabled=("ask", "imagine", "face", "help"), entry_points=False))
    async with Bot(ModelClient(models.url), plugins, Database(f"sqlite:///{tmp_path}/tempera.db")) as running:
        yield running
