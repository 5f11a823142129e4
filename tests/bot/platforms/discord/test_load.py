"""Two hundred people use a command within one second, while the model server is stuck."""

import asyncio
import itertools
from pathlib import Path

import pytest
from fakes.discord import FakeDiscord, FakeInteraction, FakeMessage
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import Toys, bot_with_toys, finished, on_discord

pytestmark = pytest.mark.load
PEOPLE = 200
PACE_SECONDS = 1.0


async def ask(discord: FakeDiscord, number: int) -> FakeInteraction:
    """Let a new user ask a question in one of five channels."""
    channel = list(discord.guild.channels.values())[number % 5]
    return await discord.slash(discord.add_user(f"P{number}"), channel, "ask", prompt=f"question {number}")


async def stream(models: FakeModels) -> None:
    """Let each answer receive one more piece, again and again."""
    for _ in models.answer:
        models.gate.set()
        models.gate.clear()
        await asyncio.sleep(1.2)
    models.gate.set()


def pauses(message: FakeMessage) -> list[float]:
    """Return the seconds before the edits of a message that wait for its pace: all but the first words and the last."""
    pairs = itertools.pairwise(message.edits[:-1])
    return [later - earlier for (earlier, before), (later, now) in pairs if "Paris" in before or "Paris" not in now]


async def test_two_hundred_commands_at_once_are_answered(models: FakeModels, toys: Toys, tmp_path: Path) -> None:
    models.gate.clear()
    async with (
        bot_with_toys(models, tmp_path, toys) as bot,
        FakeDiscord() as discord,
        on_discord(bot, discord),
    ):
        for number in range(4):
            discord.guild.add_channel(f"more-{number}")
        loop = asyncio.get_running_loop()
        began = loop.time()
        asked = []
        for number in range(PEOPLE):
            asked.append(await ask(discord, number))
            await asyncio.sleep(max(0.0, began + number / PEOPLE - loop.time()))
        took = loop.time() - began

        acks = [await one.acknowledged() for one in asked]
        slowest = max(discord.acknowledgements)
        print(f"\n{PEOPLE} commands in {took:.2f} s; the slowest was acknowledged after {slowest:.3f} s")
        assert {ack.kind for ack in acks} == {"defer"}
        assert not any(ack.private for ack in acks)

        await stream(models)
        messages = [await finished(discord, await one.message()) for one in asked]
        edits = [len(message.edits) for message in messages]
        print(f"all answered {loop.time() - began:.1f} s after the first; {min(edits)} to {max(edits)} edits each")
        for number, message in enumerate(messages):
            assert f"question {number}\n" in message.content
            assert "Paris is the capital of France." in message.content
            assert message.edits[-1][1] == message.content
            assert all(pause >= PACE_SECONDS for pause in pauses(message))
        assert len(models.requests) == PEOPLE
        assert not discord.rest.limits.exceeded
        assert all(not one.refused for one in asked)
