"""Fixtures: a running web chat with two visitors, and the fakes of Discord and Slack with a bot on them."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.discord import FakeDiscord
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import Toys, bot_with_toys, on_discord
from fakes.platforms.slack_bot import on_slack, speed_up
from fakes.platforms.web_page import Visitor, visitor
from fakes.slack import FakeSlack

from bot.app import Bot
from bot.config.sections import WebSection
from bot.platforms.discord.outgoing import answer_view
from bot.platforms.web import WebPlatform


@pytest.fixture
async def url(bot: Bot) -> AsyncIterator[str]:
    async with WebPlatform(bot, WebSection(port=0)).serve() as address:
        yield address


@pytest.fixture
async def ann(url: str) -> AsyncIterator[Visitor]:
    async with visitor(url) as one:
        yield one


@pytest.fixture
async def ben(url: str) -> AsyncIterator[Visitor]:
    async with visitor(url) as one:
        yield one


@pytest.fixture(scope="session")
def chromium() -> Iterator[str]:
    """Where the one browser of all tests can be reached."""
    from fakes.platforms.browser import running_chromium

    with running_chromium() as address:
        yield address


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Any]:
    """A browser in which nobody was before; `opened` gives each visitor cookies and a storage of their own."""
    from fakes.platforms.browser import connected

    async with connected(chromium) as one:
        yield one


@pytest.fixture
def toys() -> Toys:
    return Toys()


@pytest.fixture
def settings() -> dict[str, Any]:
    """The operator's settings; a test that needs others is parametrised with them."""
    return {}


@pytest.fixture
async def toy_bot(models: FakeModels, toys: Toys, tmp_path: Path, settings: dict[str, Any]) -> AsyncIterator[Bot]:
    async with bot_with_toys(models, tmp_path, toys, settings=settings) as running:
        yield running


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edits follow each other almost without a pause."""
    monkeypatch.setattr(answer_view, "PACE_SECONDS", 0.01)


@pytest.fixture
async def server() -> AsyncIterator[FakeDiscord]:
    """Discord without a bot on it."""
    async with FakeDiscord() as running:
        yield running


@pytest.fixture
async def discord(server: FakeDiscord, toy_bot: Bot, quick: None) -> AsyncIterator[FakeDiscord]:
    async with on_discord(toy_bot, server):
        yield server


@pytest.fixture
def http() -> bool:
    """Whether Slack sends by HTTP rather than through a socket; a file may have a fixture of this name for both."""
    return False


@pytest.fixture
async def slack(toy_bot: Bot, http: bool, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as server, on_slack(toy_bot, server, http=http):
        speed_up(server, monkeypatch)
        yield server
