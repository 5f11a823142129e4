"""The bot connects to Discord, greets new servers, and ends when Discord refuses it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.discord import FakeDiscord
from fakes.discord.permissions import INVITED
from fakes.model_server.gateway import eventually
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import answered, finished, on_discord

from bot import Context, Plugin, Reply, command
from bot.__main__ import _set_up_logging
from bot.app import Bot
from bot.commands.command import Command
from bot.config.sections import DiscordSection
from bot.core.errors import PluginError
from bot.inference.client import ModelClient
from bot.platforms.discord import DiscordPlatform, platform
from bot.storage.database import Database


def section(discord: FakeDiscord, **more: object) -> DiscordSection:
    values = {"token": discord.token, "api_base": discord.api_base} | more
    return DiscordSection(**values)


async def test_a_wrong_token_is_logged_as_a_sentence(toy_bot: Bot, caplog: pytest.LogCaptureFixture) -> None:
    async with FakeDiscord() as discord, asyncio.timeout(20):
        await DiscordPlatform(toy_bot, section(discord, token="wrong")).run()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        "Discord refuses the token. Set a valid one in TEMPERA_DISCORD__TOKEN."
    ]
    assert "Traceback" not in caplog.text


async def test_a_refused_intent_is_logged_as_a_sentence(toy_bot: Bot, caplog: pytest.LogCaptureFixture) -> None:
    async with FakeDiscord() as discord, asyncio.timeout(20):
        discord.message_content_allowed = False
        await DiscordPlatform(toy_bot, section(discord, message_content=True)).run()
    (said,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert "Switch it on in the developer portal" in said
    assert "TEMPERA_DISCORD__MESSAGE_CONTENT=false" in said


async def test_the_bot_connects_once_discord_is_available(
    toy_bot: Bot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(platform, "RETRY_SECONDS", 0.05)
    async with FakeDiscord() as discord:
        discord.refuse("GET", "/users/@me", 503, {"message": "Down", "code": 0}, times=2)
        discord.refuse("GET", "/gateway/bot", 400, {"message": "Down", "code": 0}, times=1)
        async with on_discord(toy_bot, discord):
            asked = await discord.slash(discord.ann, discord.channel, "whisper", text="hello")
            assert (await asked.acknowledged()).private
    assert "Discord cannot be reached" in caplog.text


async def test_without_a_network_the_bot_tries_again(
    toy_bot: Bot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(platform, "RETRY_SECONDS", 0.01)
    nowhere = DiscordSection(token="a.b.c", api_base="http://127.0.0.1:9/api/v10")
    running = asyncio.create_task(DiscordPlatform(toy_bot, nowhere).run())
    await eventually(lambda: running.done() or caplog.text.count("Discord cannot be reached") > 2)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert "a.b.c" not in caplog.text


class Crowd(Plugin):
    """A plugin with more commands than Discord takes."""

    name = "crowd"

    @command()
    async def crowd(self, ctx: Context) -> AsyncIterator[Reply]:
        """Crowd."""
        yield Reply()

    def commands(self) -> list[Command]:
        (one,) = super().commands()
        return [replace(one, name=f"crowd{number}") for number in range(101)]


async def test_too_many_commands_stop_the_start(models: FakeModels, tmp_path: Path) -> None:
    async with Bot(ModelClient(models.url), [Crowd()], Database(f"sqlite:///{tmp_path}/x.db")) as bot:
        with pytest.raises(PluginError, match="Discord has room for 100 commands"):
            await DiscordPlatform(bot, DiscordSection(token="x", api_base=models.url)).run()


async def handle_all(discord: FakeDiscord) -> None:
    """Wait until all events so far are handled, which happens in order."""
    await answered(discord, "whisper", text="hello")


async def test_a_new_server_is_greeted_once(discord: FakeDiscord) -> None:
    guild = discord.add_guild("New", bot=False)
    discord.add_bot(guild, *INVITED)
    await discord.until(lambda: discord.messages(guild.system_channel))
    discord.gateway.dispatch("GUILD_CREATE", discord.guild_payload(guild), guild=guild)
    await handle_all(discord)
    (said,) = discord.messages(guild.system_channel)
    assert said.content.startswith("Hello! I show how generative AI works.")
    assert discord.messages(discord.channel) == []


@pytest.mark.parametrize("settings", [{"answers.language": "de"}])
async def test_a_new_server_is_greeted_in_the_language_that_is_set(discord: FakeDiscord) -> None:
    guild = discord.add_guild("New", bot=False)
    discord.add_bot(guild, *INVITED)
    (said,) = await discord.until(lambda: discord.messages(guild.system_channel))
    assert said.content.startswith("Hallo! Ich zeige, wie generative KI funktioniert.")


async def test_a_server_is_greeted_where_the_bot_may_write(discord: FakeDiscord) -> None:
    guild = discord.add_guild("New", bot=False)
    other = guild.add_channel("other")
    guild.set_permissions(guild.system_channel, deny=["send_messages"])
    discord.add_bot(guild, "view_channel", "send_messages")
    await discord.until(lambda: discord.messages(other))
    assert discord.messages(guild.system_channel) == []


async def test_a_server_that_was_joined_while_the_bot_was_off_is_greeted_once(toy_bot: Bot, quick: None) -> None:
    async with FakeDiscord() as discord:
        guild = discord.add_guild("New", bot=False)
        discord.add_bot(guild, *INVITED)
        for _ in range(2):
            async with on_discord(toy_bot, discord):
                await discord.until(lambda: discord.messages(guild.system_channel))
                await handle_all(discord)
        assert len(discord.messages(guild.system_channel)) == 1
        # The bot was added to this one a long time ago.
        assert discord.messages(discord.channel) == []


async def test_secrets_are_kept_out_of_the_log(toy_bot: Bot, quick: None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    _set_up_logging("debug")
    async with FakeDiscord() as discord, on_discord(toy_bot, discord):
        for name, options in (("ask", {"prompt": "Why?"}), ("whisper", {"text": "hello"})):
            asked = await discord.slash(discord.ann, discord.channel, name, **options)
            await finished(discord, await asked.message())
    # The fake servers run in the same process, and their access log is not the bot's.
    said = "\n".join(record.getMessage() for record in caplog.records if record.name != "aiohttp.access")
    assert "Discord: connected as" in said
    for secret in (discord.token, *(asked.token for asked in discord.interactions.values())):
        assert secret not in said
