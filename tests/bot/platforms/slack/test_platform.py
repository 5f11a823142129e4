"""Start and end of the Slack platform: tokens, environment variables, the log, and unfinished answers."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest
from fakes.model_server.gateway import free_port
from fakes.model_server.model_api import FakeModels
from fakes.platforms.slack_bot import find_answers, on_slack, speed_up, wait_for_answer
from fakes.slack import FakeSlack
from fakes.slack.response_urls import ResponseUrl

from bot.app import Bot
from bot.config.sections import SlackSection
from bot.core.errors import BotError
from bot.core.messages import Request, User
from bot.platforms.slack import SlackPlatform, connections, workspaces
from bot.platforms.slack.convert.requests import AnswerPlace

PARIS = "Paris is the capital of France."


@pytest.fixture
async def slack(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as server:
        speed_up(server, monkeypatch)
        yield server


def section(slack: FakeSlack, **changes: object) -> SlackSection:
    values = {"bot_token": slack.bot_token, "app_token": slack.app_token, "api_base": slack.api_base}
    return SlackSection(**values | changes)


def log_messages(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


async def run_until_end(bot: Bot, section: SlackSection) -> None:
    """Run the platform until it ends."""
    async with asyncio.timeout(20):
        await SlackPlatform(bot, section, ping_seconds=0.2).run()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the bot ask again after a moment, and twice only, whether Slack takes a token."""
    for module in (workspaces, connections):
        monkeypatch.setattr(module, "REFUSED_SECONDS", (0.01, 0.01))


@pytest.mark.parametrize("error", ["account_inactive", "token_revoked"])
async def test_a_refused_token_ends_only_the_slack_platform(
    slack: FakeSlack, bot: Bot, caplog: pytest.LogCaptureFixture, error: str
) -> None:
    slack.revoke(error=error)
    await run_until_end(bot, section(slack))
    [line] = log_messages(caplog)
    assert line.startswith(f"Slack does not take the token in TEMPERA_SLACK__BOT_TOKEN ({error})")
    assert slack.bot_token not in caplog.text


@pytest.mark.usefixtures("impatient")
async def test_tokens_that_are_refused_for_a_moment_at_the_start_are_used(slack: FakeSlack, bot: Bot) -> None:
    for method in ("auth.test", "apps.connections.open"):
        slack.refuse(method, "invalid_auth", times=2)
    async with on_slack(bot, slack):
        await slack.say(slack.ann, slack.channel, "Which capital?", mention=True)
        await wait_for_answer(slack, PARIS)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("times", [2, -1])
async def test_a_token_refused_while_running_ends_the_platform_if_it_stays_refused(
    slack: FakeSlack, bot: Bot, models: FakeModels, caplog: pytest.LogCaptureFixture, times: int
) -> None:
    running = asyncio.create_task(run_until_end(bot, section(slack)))
    await slack.connected()
    slack.refuse("auth.test", "invalid_auth", times=times)
    slack.refuse("chat.startStream", "invalid_auth")
    # An answer that is finished at once would not stream.
    models.gate.clear()
    await slack.say(slack.ann, slack.channel, "Which capital?", mention=True)
    await slack.until(lambda: slack.called("chat.startStream"))
    models.gate.set()
    if times < 0:
        await running
        [line] = log_messages(caplog, logging.ERROR)
        assert "TEMPERA_SLACK__BOT_TOKEN (invalid_auth): look at https://api.slack.com/apps whether this" in line
        return
    await slack.until(lambda: len(slack.called("auth.test")) == 4)
    await slack.say(slack.ann, slack.channel, "And which now?", mention=True)
    await wait_for_answer(slack, PARIS)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_token_revoked_while_running_ends_the_platform(
    slack: FakeSlack, bot: Bot, models: FakeModels, caplog: pytest.LogCaptureFixture
) -> None:
    running = asyncio.create_task(run_until_end(bot, section(slack)))
    await slack.connected()
    models.gate.clear()
    await slack.say(slack.ann, slack.channel, "Which capital?", mention=True)
    await models.until(running=1)
    slack.revoke()
    await slack.command(slack.ann, slack.channel, "/ask", "Which capital?")
    await running
    lines = [line for line in log_messages(caplog, logging.ERROR) if "TEMPERA_SLACK__BOT_TOKEN" in line]
    assert len(lines) == 1
    assert slack.bot_token not in caplog.text
    await models.until(running=0)


@pytest.mark.parametrize("when", ["at the start", "meanwhile"])
async def test_a_refused_app_token_ends_the_platform(
    slack: FakeSlack, bot: Bot, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    if when == "at the start":
        slack.revoke(app_token=True)
        await run_until_end(bot, section(slack))
    else:
        running = asyncio.create_task(run_until_end(bot, section(slack)))
        await slack.connected()
        slack.revoke(app_token=True)
        await running
    assert any("TEMPERA_SLACK__APP_TOKEN (token_revoked)" in line for line in log_messages(caplog, logging.ERROR))
    assert slack.app_token not in caplog.text


async def test_the_platform_waits_for_an_unreachable_slack(
    slack: FakeSlack, bot: Bot, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspaces, "RETRY_SECONDS", (0.01,))
    slack.refuse("auth.test", "internal_error", status=500, times=3)
    async with on_slack(bot, slack):
        assert len(log_messages(caplog)) == 3
        assert log_messages(caplog)[0].startswith("Slack cannot be reached at http://127.0.0.1:")


async def test_environment_variables_of_other_apps_are_ignored(
    slack: FakeSlack, bot: Bot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("BOT_TOKEN", "APP_TOKEN", "SIGNING_SECRET", "CLIENT_ID", "CLIENT_SECRET", "VERIFICATION_TOKEN"):
        monkeypatch.setenv(f"SLACK_{name}", "somebody's")
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with on_slack(bot, slack):
        await slack.say(slack.ann, slack.channel, "Which capital?", mention=True)
        await wait_for_answer(slack, PARIS)
        await (await slack.command(slack.ann, slack.add_channel("x", member=False), "/ask", "Why?")).acknowledged()
        await slack.until(lambda: [one for one in slack.workspace.messages if one.via == "response_url"])
    async with (
        on_slack(bot, slack, http=True) as address,
        aiohttp.ClientSession(address) as session,
        session.get("/slack/install") as answer,
    ):
        assert answer.status == 404
    # Bolt warns of what it finds there beside what it is told.
    assert log_messages(caplog) == []


async def test_the_log_contains_no_secret_and_no_payload(
    slack: FakeSlack, bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with on_slack(bot, slack, ping_seconds=1.0):
        await slack.say(slack.ann, slack.channel, "Which capital?", mention=True)
        await (await slack.command(slack.ann, slack.channel, "/ask", "Which capital?")).acknowledged()
        await slack.until(lambda: len(find_answers(slack, PARIS)) == 2)
        slack.refuse("apps.connections.open", "internal_error", times=1)
        slack.drop_socket()
        await slack.until(lambda: len(slack.called("apps.connections.open")) == 3)
        await slack.connected()
    ours = [record for record in caplog.records if "slack" in record.name]
    assert all(record.exc_info is None for record in ours)
    text = "\n".join(record.getMessage() for record in ours)
    assert not [secret for secret in (slack.bot_token, slack.app_token, "ticket=", "/hooks/") if secret in text]
    assert [record.getMessage() for record in ours if record.levelno == logging.INFO] == [
        "Slack: @tempera is connected to the workspace “Tempera test” through a socket"
    ]


# HTTP


async def test_an_occupied_port_is_an_error_with_a_sentence(slack: FakeSlack, bot: Bot) -> None:
    port = free_port()
    http = {"app_token": "", "signing_secret": slack.signing_secret, "port": port}
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", port)
    async with server:
        with pytest.raises(BotError, match=f"Port {port} on .* set another port in TEMPERA_SLACK__PORT"):
            await run_until_end(bot, section(slack, **http))


# What a process that died has left


async def leave_unfinished(bot: Bot, line: str, where: AnswerPlace) -> None:
    """Begin an answer, and leave it as a dead process would."""
    place = where.to_place("T0")
    asked = Request(user=User(where.user, "Ann"), place=place, text=line, resume=where.as_json())
    replies = bot.prepare(asked).start()
    row = (await anext(replies)).row
    await replies.aclose()
    await bot.messages.update(row, state="running", instance="dead")


async def test_unfinished_answers_are_marked_as_interrupted(slack: FakeSlack, toy_bot: Bot) -> None:
    elsewhere = slack.add_channel("elsewhere", member=False)
    url = slack.response_urls.new(slack.url, ResponseUrl(elsewhere, slack.ann))
    thread = await slack.say(slack.ann, slack.channel, "A question")
    here = AnswerPlace(channel=slack.channel, user=slack.ann)
    await leave_unfinished(toy_bot, "/whisper hello", here)
    await leave_unfinished(toy_bot, "/play", replace(here, thread=thread.ts))
    await leave_unfinished(toy_bot, "/play", replace(here, channel=elsewhere, response_url=url))
    async with on_slack(toy_bot, slack):
        [private] = await slack.until(lambda: slack.ephemeral(slack.ann))
        [answer] = await slack.until(lambda: slack.thread(slack.channel, thread.ts))
        [hooked] = await slack.until(lambda: slack.messages(elsewhere))
    for message in (private, answer, hooked):
        assert "Interrupted: the bot was restarted." in message.shown
    assert "Again" in answer.buttons


async def test_marking_unfinished_answers_does_not_delay_the_start(slack: FakeSlack, toy_bot: Bot) -> None:
    thread = await slack.say(slack.ann, slack.channel, "A question")
    where = AnswerPlace(channel=slack.channel, user=slack.ann, thread=thread.ts)
    await leave_unfinished(toy_bot, "/play", where)
    slack.refuse("chat.postMessage", retry_after=3600, times=-1)
    async with on_slack(toy_bot, slack):
        await slack.until(lambda: slack.called("chat.postMessage"))
        await (await slack.open_home(slack.ann)).acknowledged()
        assert await slack.view(slack.ann)
