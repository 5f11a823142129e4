"""A bot that is connected to the fake of Slack."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from fakes.model_server.gateway import free_port
from fakes.slack import FakeMessage, FakeSlack

from bot.app import Bot
from bot.config import SlackSection
from bot.platforms.slack import SlackPlatform
from bot.platforms.slack.api import budgets
from bot.platforms.slack.checks import EVENTS_PATH
from bot.platforms.slack.outgoing import thread_view

HEALTH = "/health"
PING_SECONDS = 0.5
"""How often a socket is tried, so that one that broke is soon connected again.

The SDK takes one for broken from which nothing came for four times as long, in whole seconds: at 0.2 that was a single
second, for which a machine that others use may well stand still.
"""


def hurry(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let snapshots, and messages in one channel, follow each other as fast as a test likes."""
    monkeypatch.setattr(thread_view, "SNAPSHOT_SECONDS", 0.01)
    monkeypatch.setattr(budgets, "POST_SECONDS", 0.001)
    slack.rate_tiers.burst = 1000


@asynccontextmanager
async def on_slack(bot: Bot, slack: FakeSlack, *, http: bool = False) -> AsyncIterator[str]:
    """Run the platform for as long as the context lasts, in Socket Mode or with `http`; gives its own address then."""
    port = free_port()
    way = {"signing_secret": slack.signing_secret, "port": port} if http else {"app_token": slack.app_token}
    section = SlackSection(bot_token=slack.bot_token, api_base=slack.api_base, **way)
    sockets = len(slack.courier.sockets)
    running = asyncio.create_task(SlackPlatform(bot, section, ping_seconds=PING_SECONDS).run())
    address = f"http://127.0.0.1:{port}"
    try:
        if http:
            await _answers(running, address + HEALTH)
            slack.http_url = address + EVENTS_PATH
        else:
            await slack.until(lambda: running.done() or len(slack.courier.sockets) > sockets)
        yield address
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _answers(running: asyncio.Task[None], url: str) -> None:
    async with aiohttp.ClientSession() as session:
        while not running.done():
            with suppress(aiohttp.ClientError):
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.02)


def answers(slack: FakeSlack, text: str) -> list[FakeMessage]:
    """The bot's messages that hold `text` and are over: none is offered a Stop, no stream is open."""
    return [
        message
        for message in slack.workspace.messages
        if message.user == slack.bot_user
        and not message.deleted
        and text in message.shown
        and not message.streaming
        and message.buttons
        and "Stop" not in message.buttons
    ]


async def answered(slack: FakeSlack, text: str) -> FakeMessage:
    """The one answer that holds `text`, once it is over."""
    [found] = await slack.until(lambda: answers(slack, text))
    return found


async def command(slack: FakeSlack, name: str, text: str = "", *, user: str = "", channel: str = "") -> None:
    """Use a command, and see it acknowledged with nothing."""
    asked = await slack.command(user or slack.ann, channel or slack.channel, name, text)
    assert (await asked.acknowledged()).payload == {}


async def question(slack: FakeSlack, channel: str = "") -> FakeMessage:
    """The question that the bot posts."""
    return (await slack.until(lambda: slack.messages(channel or slack.channel)))[0]


async def below(slack: FakeSlack, posted: FakeMessage, count: int = 1) -> list[FakeMessage]:
    """The messages of a thread, once there are so many."""

    def there() -> list[FakeMessage]:
        found = slack.thread(posted.channel, posted.ts)
        return found if len(found) >= count else []

    return await slack.until(there)


async def whispered(slack: FakeSlack, user: str = "") -> FakeMessage:
    """What somebody alone is shown."""
    return (await slack.until(lambda: slack.ephemeral(user or slack.ann)))[-1]
