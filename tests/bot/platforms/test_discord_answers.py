"""Commands, buttons and forms on Discord: how they are acknowledged, and what is shown then."""

from collections.abc import AsyncIterator

import pytest
from fakes.discord import FakeDiscord
from fakes.models import FakeModels
from fakes.on_discord import on_discord

from bot.app import Bot


@pytest.fixture
async def discord(bot: Bot) -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as server, on_discord(bot, server):
        yield server


async def test_a_question_is_promised_at_once_and_answered(discord: FakeDiscord, models: FakeModels) -> None:
    asked = await discord.slash(discord.ann, discord.channel, "ask", prompt="What is the capital of France?")
    ack = await asked.acknowledged()
    assert (ack.kind, ack.private) == ("defer", False)
    message = await asked.message()
    await discord.until(lambda: "Again" in message.buttons)
    print(message.content, list(message.buttons), message.edits)
    assert message.content.startswith("> What is the capital of France?\n\nParis is the capital of France.\n\n-# model")
