"""With a retention of 0, answers are shown on Discord, and their buttons say that they have expired."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.discord import FakeDiscord
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import answered, begun, bot_with_plugins
from fakes.storage.database_dump import rows_holding

from bot.app import Bot

PARIS = "Paris is the capital of France."
EXPIRED = "This has expired: it is no longer stored."


@pytest.fixture
async def bot(models: FakeModels, tmp_path: Path) -> AsyncIterator[Bot]:
    names = ("ask", "face", "privacy")
    async with bot_with_plugins(models, tmp_path, names, retention_days=0) as running:
        yield running


@pytest.fixture
async def toy_bot(bot: Bot) -> Bot:
    return bot


async def test_without_retention_buttons_on_discord_have_expired(discord: FakeDiscord, bot: Bot) -> None:
    answer = await answered(discord, "ask", prompt="aubergine")
    assert PARIS in answer.content
    assert "Warmer" in answer.buttons
    faces = await answered(discord, "face")
    assert faces.attachments
    assert await rows_holding(bot.database, "aubergine", discord.ann.id) == []
    await discord.press(discord.ann, answer, "👍")
    await discord.until(lambda: EXPIRED in [said.content for said in discord.private(discord.ann)])
    message = await begun(discord, "privacy export")
    await discord.until(lambda: [file.filename for file in message.attachments] == ["tempera-data.json"])
    assert message in discord.private(discord.ann)
