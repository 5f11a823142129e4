"""Whatever strangers put into Discord's events is answered or ignored, and the bot goes on."""

import asyncio
import copy
import functools
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.core.examples import broken, changed, examples, failures, leaves, odd_lines, shape, texts
from fakes.discord import FakeDiscord, interactions
from fakes.discord.interactions import FakeInteraction
from fakes.discord.state import snowflake
from fakes.model_server.gateway import eventually
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import Toys, begun, bot_with_plugins, finished, on_discord
from hypothesis import strategies as st

from bot.app import Bot

QUESTION = "What is the capital of France?"
WRITTEN = {
    "content", "custom_id", "value", "name", "username", "global_name", "nick", "filename", "content_type", "title",
    "description", "url", "proxy_url", "locale", "guild_locale", "topic", "label", "avatar",
}  # fmt: skip
"""Fields with something that people write, or that a form or a button gives back."""
NAMED = {"id", "channel_id", "guild_id", "parent_id", "owner_id", "message_id", "target_id", "webhook_id"}
"""Fields with the ids of what may not be there any more."""


@dataclass(frozen=True)
class Event:
    name: str
    payload: Any
    interaction: FakeInteraction | None = None


@pytest.fixture
async def bot(models: FakeModels, tmp_path: Path) -> AsyncIterator[Bot]:
    names = ("ask", "explain", "face", "inspect", "help", "config", "defaults", "moderation")
    async with bot_with_plugins(models, tmp_path, names, Toys()) as running:
        yield running


@pytest.fixture
async def discord(bot: Bot, quick: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeDiscord]:
    # No test fails because the machine is busy.
    monkeypatch.setattr(interactions, "ACKNOWLEDGE_SECONDS", 60.0)
    async with FakeDiscord() as server, on_discord(bot, server):
        yield server


async def record(discord: FakeDiscord) -> list[Event]:
    """Use everything that the bot has on Discord, and return what Discord sent to it."""
    events: list[Event] = []
    dispatch = discord.gateway.dispatch

    def recording(event: str, data: Any, *args: Any, **options: Any) -> None:
        made = discord.interactions.get(data.get("id", "")) if event == "INTERACTION_CREATE" else None
        events.append(Event(event, json.loads(json.dumps(data)), made))
        dispatch(event, data, *args, **options)

    discord.gateway.dispatch = recording  # type: ignore[method-assign]
    ann, channel = discord.ann, discord.channel
    asked = await discord.slash(ann, channel, "ask", prompt=QUESTION)
    answer = await finished(discord, await asked.message())
    await discord.submit(ann, await discord.press(ann, answer, "Edit"), {"prompt": "Why?"})
    await discord.press(ann, answer, "Again")
    form = await discord.slash(ann, channel, "weigh")
    await discord.submit(ann, form, {"file": [("note.txt", b"four")], "note": "fragile"})
    await discord.slash(ann, channel, "weigh", files={"file": ("a.txt", b"a")})
    await discord.slash(ann, channel, "ask", prompt=QUESTION, thread=True)
    await discord.slash(discord.mod, channel, "config set", setting="answers.quote", value="no")
    await discord.autocomplete(discord.mod, channel, "config set", "setting", "ans")
    await discord.use_on_message(ann, answer, "Inspect")
    said = await discord.say(discord.ben, channel, QUESTION, mention=True, files=[("a.txt", b"a")])
    await discord.say(discord.ben, channel, "Why?", reply_to=answer)
    await discord.say(discord.ben, discord.dm(discord.ben), QUESTION)
    thread = discord.add_thread(channel, "Talk", discord.bot)
    await discord.say(discord.ben, thread, "Why?")
    discord.archive_thread(thread)
    discord.delete_channel(thread)
    discord.delete_message(said)
    discord.delete_messages(channel, [answer])
    await idle(discord)
    discord.gateway.dispatch = dispatch  # type: ignore[method-assign]
    # Each shape once and in one order, so that examples do not depend on how often an answer was edited meanwhile.
    shapes = {f"{event.name} {shape(event.payload)}": event for event in events}
    return [shapes[name] for name in sorted(shapes)]


async def idle(discord: FakeDiscord) -> None:
    """Wait until the bot has handled everything."""

    def busy() -> list[str]:
        names = [task.get_name() for task in asyncio.all_tasks() if not task.done()]
        return [name for name in names if name.startswith("discord ")]

    await discord.until(lambda: not busy(), 60)


def renewed(event: Event) -> Any:
    """Return a copy of a payload with a new id, since the bot handles each message once."""
    payload = copy.deepcopy(event.payload)
    if event.name == "MESSAGE_CREATE":
        payload["id"] = snowflake()
    return payload


def send(discord: FakeDiscord, event: Event, payload: Any) -> None:
    """Send an event to the bot; an interaction gets a new token."""
    if event.interaction is None:
        discord.gateway.dispatch(event.name, payload)
        return
    before = event.interaction
    made = FakeInteraction(discord, before.kind, before.user, before.channel, before.data, before.target)
    discord.responses.send(made, payload | {"id": made.id, "token": made.token})


def paths(payload: Any, names: set[str]) -> list[Any]:
    """Return the paths of fields with these names; not the payload's own id, nor ids that are values of options."""
    found = [path for path in leaves(payload) if path[-1] in names and path != ("id",)]
    return [path for path in found if path[-1] != "value" or not str(value_at(payload, path)).isdecimal()]


def value_at(payload: Any, path: Any) -> Any:
    return functools.reduce(lambda inner, name: inner[name], path, payload)


async def try_examples(discord: FakeDiscord, strategy: Any, count: int) -> None:
    async def check(sent: list[tuple[Event, Any]]) -> None:
        for event, payload in sent:
            send(discord, event, payload)
        asked = await discord.slash(discord.ann, discord.channel, "whisper", text="hello")
        assert (await asked.acknowledged()).private

    await examples(st.lists(strategy, min_size=5, max_size=10), check, count)
    await idle(discord)
    message = await begun(discord, "whisper", text="hello")
    await eventually(lambda: bool(message.content))


async def test_whatever_people_write_is_answered(discord: FakeDiscord, caplog: pytest.LogCaptureFixture) -> None:
    seeds = [one for one in await record(discord) if paths(one.payload, WRITTEN)]
    mentions = f"x {f'{discord.bot.mention} ' * 60}x"
    lines = texts | odd_lines | st.just(mentions)
    ids = st.sampled_from([discord.ann.id, discord.channel.id, discord.bot.id, "1", "99999999999999999999"])

    @st.composite
    def written_payloads(draw: st.DrawFn) -> tuple[Event, Any]:
        seed = draw(st.sampled_from(seeds))
        payload = renewed(seed)
        if draw(st.integers(0, 3)) == 0 and (named := paths(payload, NAMED)):
            return seed, draw(changed(payload, named, ids))
        return seed, draw(changed(payload, paths(payload, WRITTEN), lines))

    await try_examples(discord, written_payloads(), 30)
    assert failures(caplog) == []


async def test_an_event_with_something_wrong_ends_nothing(discord: FakeDiscord) -> None:
    seeds = await record(discord)

    @st.composite
    def broken_payloads(draw: st.DrawFn) -> tuple[Event, Any]:
        seed = draw(st.sampled_from(seeds))
        return seed, draw(broken(renewed(seed)))

    await try_examples(discord, broken_payloads(), 25)


async def test_an_event_that_the_library_does_not_understand_ends_nothing(
    discord: FakeDiscord, caplog: pytest.LogCaptureFixture
) -> None:
    message = await discord.say(discord.ann, discord.channel, "To everybody")
    discord.gateway.dispatch("MESSAGE_CREATE", message.payload() | {"id": snowflake(), "author": 7})
    asked = await discord.slash(discord.ann, discord.channel, "whisper", text="hello")
    assert (await asked.acknowledged()).private
    [line] = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert line.startswith("Discord sent a MESSAGE_CREATE that is not understood")


async def test_a_message_from_a_server_that_is_not_known_is_not_taken_for_a_direct_one(
    discord: FakeDiscord, models: FakeModels, caplog: pytest.LogCaptureFixture
) -> None:
    message = await discord.say(discord.ann, discord.channel, "To everybody")
    payload = message.payload() | {"id": snowflake(), "member": discord.guild.member(discord.ann)}
    discord.gateway.dispatch("MESSAGE_CREATE", payload | {"guild_id": snowflake()})
    await begun(discord, "whisper", text="hello")
    await idle(discord)
    assert discord.messages(discord.channel) == [message]
    assert models.requests == []
    assert failures(caplog) == []
