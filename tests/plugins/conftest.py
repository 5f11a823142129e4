"""A bot with every built-in plugin, in front of a model server whose answers a test can hold back."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.model_server.model_api import FakeModels

from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.inference.client import ModelClient
from bot.platforms.capabilities import PLATFORMS
from bot.plugin_host import plugin
from bot.storage.database import Database


@pytest.fixture
def bot_with(models: FakeModels, tmp_path: Path) -> Callable[..., Bot]:
    """`bot_with(name, …)`: a bot with these plugins, or with all, to be started. The database is always the same.

    `url` is the address of its model server, and `more` is for `Bot`.
    """

    def make(*enabled: str, url: str = "", **more: Any) -> Bot:
        section = PluginsSection(entry_points=False, **({"enabled": enabled} if enabled else {}))
        database = Database(f"sqlite:///{tmp_path}/tempera.db")
        return Bot(ModelClient(url or models.url), plugin.load(section), database, **more)

    return make


@pytest.fixture
async def bot(bot_with: Callable[..., Bot]) -> AsyncIterator[Bot]:
    async with bot_with(settings={"safety.level": "off"}, platforms=PLATFORMS) as running:
        yield running
