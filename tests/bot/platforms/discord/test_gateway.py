"""discord.py on a gateway whose connections break: no event is lost, and none is handled twice."""

import asyncio
from typing import Any

import discord as library
import pytest
from fakes.core.settings import put
from fakes.discord import FakeDiscord
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import Toys, begun, finished, on_discord
from sqlalchemy import select

from bot import Reply
from bot.app import Bot
from bot.config.sections import DiscordSection
from bot.core.messages import Place
from bot.platforms.discord import DiscordPlatform
from bot.settings.scopes import server_scope
from bot.storage.database import MessageRow

GUILDS, GUILD_MESSAGES, DIRECT_MESSAGES, MESSAGE_CONTENT = 1 << 0, 1 << 9, 1 << 12, 1 << 15


def shards_with_event(discord: FakeDiscord, kind: str, since: int = 0) -> list[int]:
    """Return the shards that sent something of this kind, from entry `since` of the log on."""
    return [shard for what, shard in discord.gateway_log[since:] if what == kind]


@pytest.fixture
def no_identify_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the five seconds that discord.py waits between two IDENTIFYs."""

    async def hook(*_: Any, **__: Any) -> None:
        pass

    monkeypatch.setattr(library.Client, "before_identify_hook", hook)


@pytest.mark.parametrize("message_content", [False, True])
async def test_the_client_identifies_itself_and_sends_heartbeats(
    server: FakeDiscord, toy_bot: Bot, message_content: bool
) -> None:
    server.gateway.heartbeat_seconds = 0.05
    async with on_discord(toy_bot, server, message_content=message_content):
        wanted = GUILDS | GUILD_MESSAGES | DIRECT_MESSAGES | (MESSAGE_CONTENT if message_content else 0)
        assert server.gateway.identified[0]["intents"] == wanted
        assert server.gateway.identified[0]["shard"] == [0, 1]
        await server.until(lambda: len(shards_with_event(server, "heartbeat")) > 3)
        await server.send_opcode(1)
        asked = await server.slash(server.ann, server.channel, "whisper", text="hello")
        assert (await asked.acknowledged()).private
    assert shards_with_event(server, "identify") == [0]
    assert not shards_with_event(server, "resume")


async def test_the_configured_gateway_is_used(server: FakeDiscord, toy_bot: Bot, unused_tcp_port: int) -> None:
    limit = {"total": 1000, "remaining": 1000, "reset_after": 14400000, "max_concurrency": 1}
    nowhere = {"url": f"ws://127.0.0.1:{unused_tcp_port}/", "shards": 1, "session_start_limit": limit}
    server.refuse("GET", "/gateway/bot", 200, nowhere, times=9)
    async with on_discord(toy_bot, server, gateway_url=server.gateway_url):
        asked = await server.slash(server.ann, server.channel, "whisper", text="hello")
        assert (await asked.acknowledged()).private


async def test_a_broken_connection_is_resumed_and_nothing_is_lost(discord: FakeDiscord, toys: Toys) -> None:
    running = await discord.slash(discord.ann, discord.channel, "play", text="Count.")
    toys.say(Reply(text="one"))
    growing = await running.message()
    await discord.until(lambda: "one" in growing.content)

    await discord.close_gateway(4000)
    asked = [await discord.slash(discord.ann, discord.channel, "whisper", text=f"{number}") for number in range(5)]
    said = await discord.say(discord.ben, discord.channel, "hello?", mention=True)
    toys.say(Reply(text="one two", final=True))

    for number, one in enumerate(asked):
        message = await one.message()
        await discord.until(lambda message=message, number=number: f"psst, {number}" in message.content)
        assert one.refused == []
    await finished(discord, growing)
    assert "one two" in growing.content
    answers = await discord.until(
        lambda: [one for one in discord.messages(discord.channel) if one.reference is said and "Paris" in one.content]
    )
    assert len(answers) == 1
    assert shards_with_event(discord, "resume") == [0]
    assert shards_with_event(discord, "identify") == [0]


async def test_an_invalid_session_is_started_again(discord: FakeDiscord, no_identify_pause: None) -> None:
    writes = discord.command_writes
    await discord.invalidate_session(resumable=False)
    await discord.until(lambda: shards_with_event(discord, "identify") == [0, 0])
    await discord.connected()
    assert not shards_with_event(discord, "resume")
    asked = await discord.slash(discord.ann, discord.channel, "whisper", text="again")
    assert (await asked.acknowledged()).private
    assert discord.command_writes == writes


async def test_a_429_from_a_proxy_before_discord_loses_no_answer(
    discord: FakeDiscord, toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.platforms.answer_tasks.RETRY_SECONDS", (0.01, 0.01))
    message = await begun(discord, "play", text="Count.")
    discord.refuse("PATCH", "/webhooks/*", 429, headers={"Via": ""}, times=2)
    toys.say(Reply(text="one"), Reply(text="one two", final=True))
    await finished(discord, message)
    assert "one two" in message.content


async def test_after_a_429_from_a_proxy_only_the_end_of_an_answer_is_shown(discord: FakeDiscord, toys: Toys) -> None:
    message = await begun(discord, "play", text="Count.")
    before = len(discord.rest.log)

    def edits() -> list[int]:
        return [status for method, _, status, _ in discord.rest.log[before:] if method == "PATCH"]

    discord.refuse("PATCH", "/webhooks/*", 429, headers={"Via": ""}, times=1)
    toys.say(Reply(text="one"))
    await discord.until(lambda: edits() == [429])
    toys.say(Reply(text="one two"))
    # Time in which it would be shown.
    await asyncio.sleep(2)
    assert edits() == [429]
    toys.say(Reply(text="one two three", final=True))
    await finished(discord, message)
    assert "one two three" in message.content


async def test_final_edits_in_a_busy_channel_do_not_queue_behind_others(
    discord: FakeDiscord, models: FakeModels
) -> None:
    discord.limit("PATCH", "/channels/*/messages/*", 1, 0.1)
    models.gate.clear()
    count = 8
    said = [await discord.say(discord.ann, discord.channel, f"question {n}", mention=True) for n in range(count)]

    def edits() -> int:
        return sum(method == "PATCH" for method, *_ in discord.rest.log)

    def answers(text: str) -> int:
        return sum(one.reference in said and text in one.content for one in discord.messages(discord.channel))

    await models.until(requests=count)
    for _ in range(4):
        before = edits()
        models.gate.set()
        models.gate.clear()
        await discord.until(lambda before=before: edits() > before)
    before = edits()
    models.gate.set()
    await discord.until(lambda: answers("of France.") == count)
    assert edits() - before < count + 4


async def test_a_bot_that_has_grown_connects_with_more_shards(
    server: FakeDiscord, toy_bot: Bot, no_identify_pause: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.platforms.discord.platform.RETRY_SECONDS", 0.01)
    async with on_discord(toy_bot, server):
        server.gateway.shards = 2
        server.gateway.invalidate(resumable=False)
        await server.until(lambda: {session.shard for session in server.gateway.sessions.values()} == {0, 1})


@pytest.mark.parametrize("is_denied", [True, False])
async def test_roles_count_in_a_server_of_which_discord_has_told_nothing_yet(
    server: FakeDiscord, toy_bot: Bot, is_denied: bool
) -> None:
    loud = server.guild.add_role("loud")
    server.guild.join(server.ann, loud)
    server.gateway.tells_guilds = False
    async with on_discord(toy_bot, server):
        name = "access.roles.denied" if is_denied else "access.roles"
        await put(toy_bot.settings, name, loud.id, server_scope(Place("discord", "", server.guild.id)))
        asked = await server.slash(server.ann, server.channel, "whisper", text="hello")
        message = await asked.message()
        await server.until(lambda: message.content)
        assert ("psst, hello" in message.content) is not is_denied


async def test_a_thread_of_a_server_of_which_discord_has_told_nothing_yet_is_one(
    server: FakeDiscord, toy_bot: Bot, models: FakeModels
) -> None:
    thread = server.add_thread(server.channel, "A thread", server.ann)
    server.gateway.tells_guilds = False
    async with on_discord(toy_bot, server):
        await server.say(server.ann, thread, f"<@{server.bot.id}> Which capital?")
        await server.until(lambda: models.requests)
        async with toy_bot.database.reading() as session:
            asked = await session.scalars(select(MessageRow))
            assert {(row.channel, row.thread) for row in asked} == {(server.channel.id, thread.id)}


async def test_a_revoked_token_ends_the_platform_with_a_sentence(
    server: FakeDiscord, toy_bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    token = server.token
    platform = DiscordPlatform(toy_bot, DiscordSection(token=token, api_base=server.api_base))
    async with asyncio.TaskGroup() as group:
        group.create_task(platform.run())
        await server.connected()
        server.revoke_token()
    assert "TEMPERA_DISCORD__TOKEN" in caplog.text
    assert token not in caplog.text
