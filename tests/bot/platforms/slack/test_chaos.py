"""The bot is killed while it answers on Slack, and starts again: answers end, and buttons still work."""

import asyncio
import contextlib
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from fakes.model_server.model_api import FakeModels
from fakes.platforms.slack_bot import find_answers, wait_for_answer
from fakes.programs.deployment import Deployment
from fakes.slack import FakeMessage, FakeSlack

from bot.storage.database import DeliveryRow

pytestmark = pytest.mark.chaos
INTERRUPTED = "Interrupted: the bot was restarted."
PARIS = "Paris is the capital of France."


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as running:
        yield running


@pytest.fixture
async def deployed(models: FakeModels, slack: FakeSlack, tmp_path: Path) -> AsyncIterator[Deployment]:
    extra = {
        "TEMPERA_SLACK__BOT_TOKEN": slack.bot_token,
        "TEMPERA_SLACK__APP_TOKEN": slack.app_token,
        "TEMPERA_SLACK__API_BASE": slack.api_base,
    }
    made = Deployment(tmp_path, foreign_models=models.url, extra=extra)
    await asyncio.to_thread(made.start)
    try:
        await slack.connected()
        yield made
    finally:
        await asyncio.to_thread(made.end)


async def ask(slack: FakeSlack, question: str) -> None:
    """Use /ask in the channel."""
    await (await slack.command(slack.ann, slack.channel, "/ask", question)).acknowledged()


async def wait_for_growing(slack: FakeSlack, channel: str, question: str) -> FakeMessage:
    """Wait for the first words of the answer to a question, and return its message."""

    def first_words() -> FakeMessage | None:
        threads = [one.ts for one in slack.messages(channel) if question in one.shown]
        below = [one for ts in threads for one in slack.thread(channel, ts) if "Paris" in one.shown]
        return next(iter(below), None)

    return await slack.until(first_words)


def is_stored(made: Deployment, message: FakeMessage) -> bool:
    """Return whether the bot has stored that this message shows an answer; the tests kill it only after that."""
    with contextlib.closing(sqlite3.connect(made.folder / "tempera.db")) as database:
        found = database.execute(f"SELECT 1 FROM {DeliveryRow.__tablename__} WHERE external = ?", [message.ts])
        return found.fetchone() is not None


async def press_again(slack: FakeSlack, message: FakeMessage) -> FakeMessage:
    """Press Again under an answer, and wait for the new one."""
    before = len(find_answers(slack, PARIS))
    await (await slack.press(slack.ann, message, "Again")).acknowledged()
    await slack.until(lambda: len(find_answers(slack, PARIS)) > before)
    return find_answers(slack, PARIS)[-1]


async def test_answers_end_after_a_kill_in_the_middle(
    deployed: Deployment, slack: FakeSlack, models: FakeModels
) -> None:
    await ask(slack, "yesterday's question")
    old = await wait_for_answer(slack, PARIS)

    models.gate.clear()
    await ask(slack, "a question of today")
    await slack.say(slack.ann, slack.dm(slack.ann), "a question in private")
    streaming = await wait_for_growing(slack, slack.channel, "a question of today")
    direct = await wait_for_growing(slack, slack.dm(slack.ann), "a question in private")
    assert streaming.streaming
    assert direct.streaming
    await slack.until(lambda: is_stored(deployed, streaming) and is_stored(deployed, direct))

    await asyncio.to_thread(deployed.stop, signal.SIGKILL)
    await models.until(running=0)
    await slack.until(lambda: not slack.courier.sockets)
    models.gate.set()
    await asyncio.to_thread(deployed.start)
    await slack.connected()

    for message in (streaming, direct):
        await slack.until(lambda message=message: INTERRUPTED in message.shown)
        assert not message.streaming
        assert "Paris" in message.shown
        assert "Stop" not in message.buttons
    for message in (streaming, direct, old):
        again = await press_again(slack, message)
        assert (again.channel, again.thread_ts) == (message.channel, message.thread_ts)
        assert INTERRUPTED not in again.shown

    await (await slack.press(slack.ben, old, "👍")).acknowledged()
    await (await slack.press(slack.ann, old, "Delete")).acknowledged()
    await slack.until(lambda: old.deleted)
    assert not slack.lost
    assert await asyncio.to_thread(deployed.stop) == 0


async def test_a_preview_ends_after_a_kill(deployed: Deployment, slack: FakeSlack, models: FakeModels) -> None:
    models.gate.clear()
    await (await slack.command(slack.ann, slack.channel, "/imagine", "prompt:fox")).acknowledged()

    def previews() -> list[FakeMessage]:
        threads = [slack.thread(slack.channel, one.ts) for one in slack.messages(slack.channel)]
        return [one for below in threads for one in below if slack.pictures(one)]

    [preview] = await slack.until(previews)
    await slack.until(lambda: is_stored(deployed, preview))
    await asyncio.to_thread(deployed.stop, signal.SIGKILL)
    await slack.until(lambda: not slack.courier.sockets)
    models.gate.set()
    await asyncio.to_thread(deployed.start)
    await slack.until(lambda: INTERRUPTED in preview.shown)
    await slack.until(lambda: not slack.workspace.files)
    assert slack.pictures(preview) == []
    assert "Again" in preview.buttons
    assert await asyncio.to_thread(deployed.stop) == 0


async def test_a_shutdown_marks_answers_as_interrupted_at_once(
    deployed: Deployment, slack: FakeSlack, models: FakeModels
) -> None:
    models.gate.clear()
    await ask(slack, "a question")
    message = await wait_for_growing(slack, slack.channel, "a question")
    assert await asyncio.to_thread(deployed.stop) == 0
    assert INTERRUPTED in message.shown
    assert not message.streaming
    assert "Again" in message.buttons


async def test_a_token_that_is_revoked_ends_slack_and_nothing_else(deployed: Deployment, slack: FakeSlack) -> None:
    await ask(slack, "a question")
    await wait_for_answer(slack, PARIS)
    slack.revoke()
    await slack.command(slack.ann, slack.channel, "/ask", "another question")
    await slack.until(lambda: not slack.courier.sockets)
    async with aiohttp.ClientSession() as session, session.get(deployed.web_url) as page:
        assert page.status == 200
    assert await asyncio.to_thread(deployed.stop) == 0
