"""Socket Mode with broken connections, and signed HTTP: no event is lost or handled twice, no forgery accepted."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import Toys, bot_with_toys
from fakes.platforms.raw_client import raw_client, request
from fakes.platforms.slack_bot import HEALTH, both_on_slack, find_answers, on_slack, speed_up, wait_for_answer
from fakes.slack import FakeSlack
from fakes.slack.delivery import Delivery

from bot.app import Bot
from bot.config.sections import SlackSection
from bot.platforms.slack.checks import EVENTS_PATH, examine_port
from http_server.listening import Limits

PARIS = "Paris is the capital of France."


@pytest.fixture
async def slack(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as server:
        speed_up(server, monkeypatch)
        yield server


async def ask(slack: FakeSlack, question: str) -> str:
    """Use /ask, wait for the posted question, and return its ts."""
    command = await slack.command(slack.ann, slack.channel, "/ask", f"temperature:0.2 {question}")
    await command.acknowledged()
    posted = await slack.until(lambda: [one for one in slack.messages(slack.channel) if question in one.shown])
    return posted[0].ts


def answered_threads(slack: FakeSlack, text: str) -> list[str]:
    """Return the threads of the answers that contain `text`, one entry for each answer."""
    return [one.thread_ts for one in find_answers(slack, text)]


@pytest.mark.parametrize("reason", ["warning", "refresh_requested", "dropped"])
async def test_a_lost_connection_loses_no_event(slack: FakeSlack, bot: Bot, models: FakeModels, reason: str) -> None:
    models.gate.clear()
    elsewhere = slack.add_channel("elsewhere")
    async with on_slack(bot, slack, ping_seconds=1.0):
        growing = await ask(slack, "before")
        await models.until(requests=1)
        if reason == "dropped":
            slack.drop_socket()
        else:
            slack.disconnect(reason)
        said = [
            await slack.say(slack.ben, slack.channel, "here", mention=True),
            await slack.say(slack.ben, elsewhere, "there", mention=True),
            await slack.say(slack.ben, slack.dm(slack.ben), "in private"),
        ]
        await models.until(requests=4)
        models.gate.set()
        await slack.until(lambda: len(find_answers(slack, PARIS)) == 4)
        await slack.connected()
        after = await ask(slack, "after")
        await slack.until(lambda: len(find_answers(slack, PARIS)) == 5)
    assert sorted(answered_threads(slack, PARIS)) == sorted([growing, *(one.ts for one in said), after])
    assert len(models.requests) == 5


async def test_a_refused_connection_address_is_requested_again(slack: FakeSlack, bot: Bot) -> None:
    async with on_slack(bot, slack, ping_seconds=1.0):
        slack.refuse("apps.connections.open", "internal_error", times=2)
        slack.drop_socket()
        said = await slack.say(slack.ben, slack.channel, "still there?", mention=True)
        answer = await wait_for_answer(slack, PARIS)
        assert answer.thread_ts == said.ts


async def test_a_refused_handshake_uses_up_the_connection_address(slack: FakeSlack, bot: Bot) -> None:
    slack.refused_handshakes = 1
    async with on_slack(bot, slack, ping_seconds=1.0):
        await ask(slack, "at the first start")
        await wait_for_answer(slack, PARIS)
        slack.refused_handshakes = 2
        slack.drop_socket()
        said = await slack.say(slack.ben, slack.channel, "still there?", mention=True)
        await slack.until(lambda: said.ts in answered_threads(slack, PARIS))


@pytest.mark.parametrize("http", [False, True])
async def test_two_bots_that_share_a_database_answer_once(
    slack: FakeSlack, models: FakeModels, toys: Toys, tmp_path: Path, http: bool
) -> None:
    async with (
        bot_with_toys(models, tmp_path, toys) as first,
        bot_with_toys(models, tmp_path, Toys()) as second,
        both_on_slack(first, second, slack, http=http),
    ):
        said = [await slack.say(slack.ann, slack.channel, f"number {n}", mention=True) for n in range(4)]
        both = [slack.redeliver(event, to=to) for one in said for event in one.events for to in (0, 1)]
        await asyncio.gather(*(event.acknowledged() for event in both))
        await slack.until(lambda: len(find_answers(slack, PARIS)) == 4)
        await ask(slack, "what came after all that")
        await slack.until(lambda: len(find_answers(slack, PARIS)) == 5)
    assert len(models.requests) == 5
    assert {one.ts for one in said} < set(answered_threads(slack, PARIS))


@pytest.mark.parametrize("http", [False, True])
async def test_interactions_count_once_with_two_bots_that_share_a_database(
    slack: FakeSlack, models: FakeModels, toys: Toys, tmp_path: Path, http: bool
) -> None:
    async def both(made: Delivery) -> None:
        """Deliver the interaction to both bots, one after the other."""
        await made.acknowledged()
        for to in (0, 1):
            await slack.courier.send(Delivery(made.kind, made.payload), to=to).acknowledged()

    async with (
        bot_with_toys(models, tmp_path, toys) as first,
        bot_with_toys(models, tmp_path, Toys()) as second,
        both_on_slack(first, second, slack, http=http),
    ):
        await both(await slack.command(slack.ann, slack.channel, "/ask", "a command"))
        answer = await wait_for_answer(slack, PARIS)
        await both(await slack.shortcut(slack.ann, answer, "m:explain"))
        # The answer quotes the message that it is about.
        await slack.until(lambda: len(find_answers(slack, PARIS)) == 2)
        await both(await slack.press(slack.ann, answer, "Again"))
        await slack.until(lambda: len(find_answers(slack, PARIS)) == 3)
        await (await slack.press(slack.ann, answer, "Edit")).acknowledged()
        sent = await slack.submit(slack.ann, await slack.view(slack.ann), {"prompt": "a form"})
        assert sent.delivery is not None
        await both(sent.delivery)
        await slack.until(lambda: len(find_answers(slack, PARIS)) == 4)
        await (await slack.command(slack.ann, slack.channel, "/ask", "what came after all that")).acknowledged()
        await slack.until(lambda: len(find_answers(slack, PARIS)) == 5)
    assert [request["messages"][-1]["content"] for request in models.requests] == [
        "a command",
        "a command",
        "a form",
        "what came after all that",
    ]
    assert len(slack.messages(slack.channel)) == 2


async def test_what_slack_did_not_sign_just_now_is_refused(
    slack: FakeSlack, bot: Bot, models: FakeModels, caplog: pytest.LogCaptureFixture
) -> None:
    async with on_slack(bot, slack, http=True) as address, aiohttp.ClientSession() as session:
        url = address + EVENTS_PATH
        said = await slack.say(slack.ann, slack.channel, "hello", mention=True)
        await wait_for_answer(slack, PARIS)
        genuine = said.events[-1].payload
        event = genuine["event"] | {"ts": slack.workspace.new_ts()}
        forged = genuine | {"event_id": "Ev0FORGED", "event": event}
        async with session.get(address + HEALTH) as answer:
            assert await answer.json() == {"ok": True}
        async with session.get(url) as answer:
            assert answer.status in (404, 405)
        for body, refused in (({"json": forged}, 401), ({"data": b"x" * (2 << 20)}, 413)):
            async with session.post(url, **body) as answer:
                assert answer.status == refused
        assert (await slack.post(url, "{"))[0] == 400
        status, told = await slack.post(url, json.dumps(forged), secret="guessed")
        assert (status, slack.signing_secret in told) == (401, False)
        assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []
        for age in (600, 10**9):
            assert (await slack.post(url, json.dumps(forged), timestamp=int(time.time()) - age))[0] == 401
        # Once for both.
        [line] = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
        assert line.endswith("Is this machine's clock right?")
        assert (await slack.post(url, json.dumps(genuine)))[0] == 200
        status, told = await slack.post(url, json.dumps({"type": "url_verification", "challenge": "sesame"}))
        assert (status, "sesame" in told) == (200, True)
        await slack.say(slack.ann, slack.channel, "are you still there?", mention=True)
        await slack.until(lambda: len(find_answers(slack, PARIS)) == 2)
    assert len(models.requests) == 2


async def test_a_request_that_does_not_end_is_given_up(slack: FakeSlack, bot: Bot) -> None:
    limits = Limits(request_seconds=0.3, body_seconds=0.3)
    async with on_slack(bot, slack, http=True, limits=limits) as address, raw_client(address) as slow:
        await slow.send(request(address, "POST", EVENTS_PATH, Content_Length="100") + b"payload=")
        assert (await slow.read_answer())[0] == 408


async def test_the_doctor_knows_a_bot_that_listens(slack: FakeSlack, bot: Bot) -> None:
    async with on_slack(bot, slack, http=True) as address:
        section = SlackSection(bot_token="xoxb-1", signing_secret="5eed", port=urlsplit(address).port)
        assert await examine_port(section, 60) == (True, f"The bot on Slack answers at {address}: Tempera is running.")
