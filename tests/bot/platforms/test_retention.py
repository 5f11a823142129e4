"""With a retention of 0, answers still come on each platform, and their buttons say that they have expired."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.discord import FakeDiscord
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import finished
from fakes.platforms.slack_bot import answered, command, whispered
from fakes.platforms.web_page import Visitor
from fakes.slack import FakeSlack
from fakes.storage.database_dump import rows_holding

from bot.app import Bot
from bot.config import PluginsSection
from bot.inference.client import ModelClient
from bot.plugin_host import plugin
from bot.storage.database import Database

PARIS = "Paris is the capital of France."
EXPIRED = "This has expired: it is no longer stored."


@pytest.fixture
async def bot(models: FakeModels, tmp_path: Path) -> AsyncIterator[Bot]:
    plugins = plugin.load(PluginsSection(enabled=("ask", "face", "help", "privacy"), entry_points=False))
    database = Database(f"sqlite:///{tmp_path}/tempera.db")
    client = ModelClient(models.url)
    async with Bot(client, plugins, database, settings={"safety.level": "off"}, retention_days=0) as running:
        yield running


@pytest.fixture
async def toy_bot(bot: Bot) -> Bot:
    return bot


async def test_on_discord(discord: FakeDiscord, bot: Bot) -> None:
    asked = await discord.slash(discord.ann, discord.channel, "ask", prompt="aubergine")
    answer = await finished(discord, await asked.message())
    assert PARIS in answer.content
    assert "Warmer" in answer.buttons
    faces = await finished(discord, await (await discord.slash(discord.ann, discord.channel, "face")).message())
    assert faces.attachments
    assert await rows_holding(bot.database, "aubergine", discord.ann.id) == []
    await discord.press(discord.ann, answer, "👍")
    await discord.until(lambda: EXPIRED in [said.content for said in discord.private(discord.ann)])
    exported = await discord.slash(discord.ann, discord.channel, "privacy export")
    message = await exported.message()
    await discord.until(lambda: [file.filename for file in message.attachments] == ["tempera-data.json"])
    assert message in discord.private(discord.ann)


async def test_on_slack(slack: FakeSlack, bot: Bot) -> None:
    await command(slack, "/ask", "aubergine")
    answer = await answered(slack, PARIS)
    assert await rows_holding(bot.database, "aubergine", slack.ann) == []
    await (await slack.press(slack.ann, answer, "Again")).acknowledged()
    assert (await whispered(slack)).shown == EXPIRED


async def test_in_the_web_chat(ann: Visitor, bot: Bot) -> None:
    async with ann.page("Ann") as page:
        await page.say("/ask aubergine")
        answer = await page.final()
        assert answer["reply"]["text"] == PARIS
        assert await rows_holding(bot.database, "aubergine", page.received[0]["you"]["id"]) == []
        ref = await page.press(answer, "Warmer")
        assert (await page.until("refused", lambda message: message["ref"] == ref))["text"] == EXPIRED
