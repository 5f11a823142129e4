"""The web chat of a bot with the lab."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import bot_with_plugins

from bot.config.sections import WebSection
from bot.platforms.web import WebPlatform


@pytest.fixture
async def laboratory(models: FakeModels, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a web chat with /ask and the lab."""
    bot = bot_with_plugins(models, tmp_path, ("ask", "lab"), settings={"safety.level": "standard"})
    async with bot, WebPlatform(bot, WebSection(port=0)).serve() as url:
        yield url
