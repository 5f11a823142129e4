"""What a place's rules about upstreams let handlers reach."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.core.requests import MODERATOR, ROOM, ask, last, pressed
from fakes.model_server.other_server import OtherServer

from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.config.upstreams import UpstreamSection
from bot.inference.client import ModelClient
from bot.inference.upstreams.upstream import Upstream
from bot.platforms.capabilities import PLATFORMS
from bot.plugin_host import plugin
from bot.storage.database import Database

ENABLED = ("ask", "lab", "explain", "config", "privacy")


@pytest.fixture
async def local() -> AsyncIterator[OtherServer]:
    async with OtherServer() as server:
        yield server


@pytest.fixture
async def remote() -> AsyncIterator[OtherServer]:
    async with OtherServer("Ro", "me", listed=[{"id": "far"}]) as server:
        yield server


@pytest.fixture
async def bot(local: OtherServer, remote: OtherServer, tmp_path: Path) -> AsyncIterator[Bot]:
    sections = [
        UpstreamSection(name="near", url=local.url),
        UpstreamSection(name="hosted", url=remote.url, local=False),
    ]
    models = ModelClient.over(list(map(Upstream, sections)))
    plugins = plugin.load(PluginsSection(enabled=ENABLED, entry_points=False))
    database = Database(f"sqlite:///{tmp_path}/tempera.db")
    settings = {"safety.level": "off"}
    async with Bot(models, plugins, database, settings=settings, platforms=PLATFORMS) as running:
        yield running


async def test_only_where_moderators_allow_it_something_goes_to_a_remote_upstream(
    bot: Bot, local: OtherServer, remote: OtherServer
) -> None:
    answered = await last(bot, ask("/ask seed:7 hi"))
    assert answered.text == "Paris"
    facts = {"model": "tiny@near", "same seed": "may give other text"}
    assert {name: answered.card[name] for name in facts} == facts
    assert answered.card["tokens"] == "2"
    local.unknown = {"stream_options"}
    assert (await last(bot, ask("/ask hi"))).card["tokens"] == "≈ 2"
    refused = await last(bot, ask("/config set ask.model far@hosted", MODERATOR))
    assert "must be one of the models there are for it: tiny@near" in refused.text
    await local.__aexit__()
    for line in ("/ask hi", "/odds hi", "/dial hi", "/explain what is a GAN", "/privacy export"):
        shown = await last(bot, ask(line))
        assert "hosted" not in shown.text
    assert (remote.connections, remote.headers) == (0, [])

    await last(bot, ask("/config set upstreams.allowed local and remote", MODERATOR))
    answered = await last(bot, ask("/ask hi"))
    assert (answered.text, answered.card["model"], answered.card["sent to"]) == ("Rome", "far@hosted", "hosted")
    remote.completion = {"choices": [{"logprobs": {"top_logprobs": [{" mat": -0.1}]}}]}
    assert (await last(bot, ask("/odds hi"))).card["sent to"] == "hosted"
    assert "may be sent to hosted, without your name" in (await last(bot, ask("/privacy export"))).text
    assert "ann" not in str(remote.requests).lower()
    before = len(remote.headers)
    elsewhere = replace(ROOM, server="another")
    assert (await last(bot, ask("/ask hi", place=elsewhere))).error
    assert len(remote.headers) == before


async def test_an_answer_that_breaks_off_stays_and_can_be_asked_again(bot: Bot, local: OtherServer) -> None:
    local.ending = "killed"
    local.may_be_killed.clear()
    async for broken in bot.prepare(ask("/ask hi")).start():
        if "Par" in broken.text:
            local.may_be_killed.set()
    assert broken.text.startswith("Par")
    assert "The answer of “near” broke off" in broken.text
    assert "again" in [button.action for button in broken.buttons]


async def test_odds_are_drawn_among_the_tokens_that_a_server_by_others_tells(bot: Bot, local: OtherServer) -> None:
    local.completion = {"choices": [{"logprobs": {"top_logprobs": [{" mat": -0.1, " roof": -3.0}]}}]}
    shown = await last(bot, ask("/odds seed:1 temperature:0 The cat sat on the"))
    assert "tiny@near tells only its 2 most probable tokens." in shown.text
    assert "1. `␣mat` 90.5 % → 100 %" in shown.text
    shown = await pressed(bot, shown, "␣roof")
    assert "The cat sat on the roof" in shown.text
    shown = await pressed(bot, shown, "🎲 Draw one")
    assert "The cat sat on the roof mat" in shown.text
    full = await last(bot, ask(f"/odds seed:1 {'cat ' * 249}cat"))
    assert [button.label for button in full.buttons if button.command] == ["🎲 Draw one"]
    full = await pressed(bot, full, "🎲 Draw one")
    assert [button.label for button in full.buttons if button.command] == []
