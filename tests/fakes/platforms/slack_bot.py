"""Runs a bot against the fake Slack server, and waits for what it writes."""

import asyncio
import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
from fakes.model_server.gateway import free_port
from fakes.platforms.discord_bot import Toys
from fakes.slack import FakeMessage, FakeSlack
from fakes.slack.oauth import OAuth

from bot.app import Bot
from bot.config.sections import SlackSection
from bot.core.messages import Reply
from bot.platforms.slack import SlackPlatform
from bot.platforms.slack.api import budgets
from bot.platforms.slack.checks import EVENTS_PATH
from bot.platforms.slack.installations import INSTALL_PATH, REDIRECT_PATH
from bot.platforms.slack.outgoing import thread_view

HEALTH = "/health"


def speed_up(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the pauses between snapshots, and between messages in one channel."""
    monkeypatch.setattr(thread_view, "SNAPSHOT_SECONDS", 0.01)
    monkeypatch.setattr(budgets, "POST_SECONDS", 0.001)
    monkeypatch.setattr(budgets, "POST_BURST", 1000)
    slack.rate_tiers.burst = 1000


@asynccontextmanager
async def on_slack(
    bot: Bot, slack: FakeSlack, *, http: bool = False, installable: bool = False, token: bool = True, **settings: Any
) -> AsyncIterator[str]:
    """Run the platform while the context lasts, in Socket Mode or with `http`; yields its own address.

    With `installable` workspaces can add the bot, beside that of the configured `token` or without one.
    """
    port = free_port()
    values = {"signing_secret": slack.signing_secret} if http else {"app_token": slack.app_token}
    if installable:
        values |= {"client_id": slack.oauth.client_id, "client_secret": slack.oauth.client_secret}
    own = slack.bot_token if token else ""
    section = SlackSection(bot_token=own, api_base=slack.api_base, port=port, **values)
    sockets = len(slack.courier.sockets)
    running = asyncio.create_task(SlackPlatform(bot, section, **settings).run())
    address = f"http://127.0.0.1:{port}"
    try:
        if http:
            await _wait_for_health(running, address + HEALTH)
            slack.http_url = address + EVENTS_PATH
        else:
            await slack.until(lambda: running.done() or len(slack.courier.sockets) > sockets)
        yield address
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def both_on_slack(
    first: Bot, second: Bot, slack: FakeSlack, *, http: bool = False, **options: Any
) -> AsyncIterator[tuple[str, str]]:
    """Run two processes of a bot; what Slack sends reaches them in turn. Yields their addresses."""
    async with (
        on_slack(first, slack, http=http, **options) as here,
        on_slack(second, slack, http=http, **options) as there,
    ):
        if http:
            slack.courier.http_urls = [here + EVENTS_PATH, there + EVENTS_PATH]
        else:
            await slack.connected(2)
        yield here, there


async def _wait_for_health(running: asyncio.Task[None], url: str) -> None:
    async with aiohttp.ClientSession() as session:
        while not running.done():
            with suppress(aiohttp.ClientError):
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.02)


def find_answers(slack: FakeSlack, text: str) -> list[FakeMessage]:
    """Return the bot's finished messages that contain `text`: without Stop, and without an open stream."""
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


async def wait_for_answer(slack: FakeSlack, text: str) -> FakeMessage:
    """Wait for the one finished answer that contains `text`, and return it."""
    [found] = await slack.until(lambda: find_answers(slack, text))
    return found


async def run_command(slack: FakeSlack, name: str, text: str = "", *, user: str = "", channel: str = "") -> None:
    """Use a slash command, and assert that it is acknowledged with an empty payload."""
    delivery = await slack.command(user or slack.ann, channel or slack.channel, name, text)
    assert (await delivery.acknowledged()).payload == {}


async def press(slack: FakeSlack, user: str, on: FakeMessage, label: str) -> None:
    """Press a button, and assert that it is acknowledged with an empty payload."""
    assert (await (await slack.press(user, on, label)).acknowledged()).payload == {}


async def wait_for_question(slack: FakeSlack, channel: str = "") -> FakeMessage:
    """Wait for the message in which the bot repeats the question, and return it."""
    return (await slack.until(lambda: slack.messages(channel or slack.channel)))[0]


async def wait_for_thread(slack: FakeSlack, posted: FakeMessage, count: int = 1) -> list[FakeMessage]:
    """Wait for at least `count` messages in a thread, and return them."""

    def messages() -> list[FakeMessage]:
        found = slack.thread(posted.channel, posted.ts)
        return found if len(found) >= count else []

    return await slack.until(messages)


async def wait_for_ephemeral(slack: FakeSlack, user: str = "") -> FakeMessage:
    """Wait for a message that only one user sees, and return the newest."""
    return (await slack.until(lambda: slack.ephemeral(user or slack.ann)))[-1]


async def play(slack: FakeSlack) -> FakeMessage:
    """Start an answer whose replies a test says, and return the message with its question."""
    await run_command(slack, "/tempera", "play something")
    return await wait_for_question(slack)


async def playing(slack: FakeSlack, toys: Toys) -> FakeMessage:
    """Start an answer, and return its message once that shows the first reply, “One”."""
    posted = await play(slack)
    toys.say(Reply(text="One"))
    [answer] = await wait_for_thread(slack, posted)
    return answer


async def add_to_slack(address: str, app: OAuth, workspace: FakeSlack, last: str = "") -> None:
    """Add the bot to a workspace, in a browser, at the address where the bot listens, and end it at the `last` one."""
    async with browser() as session:
        query = app.approve(await start_installation(session, address), workspace)
        async with session.get(f"{last or address}{REDIRECT_PATH}?{query}") as page:
            assert page.status == 200, await page.text()


def browser() -> aiohttp.ClientSession:
    """Return a browser; `start_installation` gives it the bot's cookie, which is for HTTPS alone."""
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())


async def start_installation(session: aiohttp.ClientSession, address: str) -> str:
    """Open the page that adds the bot to a workspace, and return the address at Slack that its button leads to."""
    async with session.get(address + INSTALL_PATH) as page:
        found = re.search(r'href="(http[^"]+)"', await page.text())
        assert found is not None
        cookies = {name: cookie.value for name, cookie in page.cookies.items()}
    session.headers.update({"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())})
    return html.unescape(found[1])
