"""The log channel on Discord: its lines, and the channels that are refused as one."""

from typing import Any

import pytest
from discord.state import AutoShardedConnectionState
from fakes.discord import FakeChannel, FakeDiscord, FakeMessage

from bot.app import Bot
from bot.moderation import log_channel
from bot.platforms.discord.adapter import DiscordAdapter
from bot.settings.setting import Scope

HELLO = "From now on I tell here what moderators change and do, what is refused, and who appeals against it."


@pytest.fixture
def no_ready_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the two seconds for which discord.py waits for further servers."""
    make = AutoShardedConnectionState.__init__

    def patched_init(self: AutoShardedConnectionState[Any], **options: Any) -> None:
        make(self, **options, guild_ready_timeout=0.1)

    monkeypatch.setattr(AutoShardedConnectionState, "__init__", patched_init)


@pytest.fixture(autouse=True)
async def ready(no_ready_pause: None, discord: FakeDiscord, toy_bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait until the bot knows the channels of all servers."""
    monkeypatch.setattr(log_channel, "ROUND_SECONDS", 0.02)
    await discord.until(lambda: _is_ready(toy_bot))


@pytest.fixture
async def log(discord: FakeDiscord) -> FakeChannel:
    return discord.guild.add_channel("log")


def _is_ready(bot: Bot) -> bool:
    adapter = bot.adapters.get("discord")
    return isinstance(adapter, DiscordAdapter) and adapter._client._log_channel_tasks is not None


async def _locale(bot: Bot, server: str) -> str:
    adapter = bot.adapters.get("discord")
    assert adapter is not None
    return await adapter.locale(server)


async def choose(discord: FakeDiscord, value: str, setting: str = "audit.channel") -> FakeMessage:
    asked = await discord.slash(discord.mod, discord.channel, "config set", setting=setting, value=value)
    message = await asked.message()
    await discord.until(lambda: not message.loading and message.content)
    return message


async def lines(discord: FakeDiscord, log: FakeChannel, count: int) -> list[str]:
    def posted() -> list[str]:
        return [line for message in discord.messages(log) for line in message.content.splitlines()]

    await discord.until(lambda: len(posted()) >= count)
    return posted()


async def test_events_are_posted_in_the_chosen_log_channel(discord: FakeDiscord, log: FakeChannel) -> None:
    answer = await choose(discord, f"<#{log.id}>")
    assert answer.ephemeral
    assert f"→ <#{log.id}>" in answer.content
    await choose(discord, "no", "toys.enabled")
    refused = await discord.slash(discord.ann, discord.channel, "whisper", text="hello @everyone")
    await refused.message()
    assert await lines(discord, log, 4) == [
        HELLO,
        f"⚙️ **Mod** set `audit.channel`: – → <#{log.id}>",
        "⚙️ **Mod** set `toys.enabled`: – → `no`",
        f"⛔ **Ann** was refused `whisper` (channel <#{discord.channel.id}>) (off)",
    ]
    assert discord.violations == []


async def test_the_log_channel_has_the_language_of_the_server(discord: FakeDiscord, toy_bot: Bot) -> None:
    guild = discord.add_guild("Schule")
    guild.locale = "de"
    discord.remove_bot(guild)
    discord.add_bot(guild)
    # Whether the bot knows the server by now or has to ask for it, as for one on a shard of another process.
    assert await _locale(toy_bot, guild.id) == "de"
    assert await _locale(toy_bot, "1") == "en"


async def test_a_channel_that_cannot_be_written_to_is_refused(discord: FakeDiscord, log: FakeChannel) -> None:
    discord.guild.set_permissions(log, deny=["send_messages"])
    other = discord.add_guild("Elsewhere").add_channel("their-log")
    for channel, reason in (
        (log, "I may not write there; I need the permissions View Channel and Send Messages."),
        (other, "there is no such channel in this server, or I cannot see it."),
    ):
        answer = await choose(discord, f"<#{channel.id}>")
        assert answer.content == f"audit.channel: I cannot write to {channel.id}: {reason}"
        assert discord.messages(channel) == []


async def test_a_channel_is_found_by_its_name(discord: FakeDiscord, log: FakeChannel) -> None:
    assert f"→ <#{log.id}>" in (await choose(discord, "#Log")).content
    assert (await choose(discord, "#attic")).content == (
        "I know no channel “attic” here. Pick it from the list that appears, or give its id."
    )
    discord.add_guild("Elsewhere").add_channel("attic")
    assert "no channel “attic”" in (await choose(discord, "attic")).content
    discord.guild.add_channel("log")
    assert (await choose(discord, "log")).content == (
        "2 channels are called “log” here. Pick one from the list that appears, or give its id."
    )


async def test_a_channel_option_takes_a_name(discord: FakeDiscord, toy_bot: Bot, log: FakeChannel) -> None:
    line = "/config set toys.enabled no channel:#log"
    await discord.say(discord.mod, discord.channel, line, mention=True)
    here = Scope("discord", discord.guild.id, log.id)
    await discord.until(lambda: toy_bot.settings.scopes.values_at(here) == {"toys.enabled": False})
    await discord.say(discord.mod, discord.channel, line.replace("log", "attic"), mention=True)
    await discord.until(lambda: "I know no channel “attic” here." in discord.describe())


async def test_a_setting_for_a_thread_is_set_for_its_channel(
    discord: FakeDiscord, toy_bot: Bot, log: FakeChannel
) -> None:
    thread = discord.add_thread(log, "Why?", discord.ann)
    await discord.say(discord.mod, discord.channel, f"/config set toys.enabled no channel:{thread.id}", mention=True)
    here = Scope("discord", discord.guild.id, log.id)
    await discord.until(lambda: toy_bot.settings.scopes.values_at(here) == {"toys.enabled": False})
