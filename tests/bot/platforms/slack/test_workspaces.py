"""Two workspaces with one bot: what is of one stays there; tokens that are renewed; a workspace that leaves.

All ids but that of the team are the same in both, so that whatever does not ask for the team mixes them up.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from fakes.model_server.model_api import FakeModels
from fakes.platforms.slack_bot import add_to_slack, find_answers, on_slack, speed_up
from fakes.slack import FakeMessage, FakeSlack
from sqlalchemy import func, select

from bot.app import Bot
from bot.core.caller import Caller
from bot.core.messages import Place, User
from bot.platforms.slack import workspaces
from bot.settings.editor import SettingsEditor
from bot.settings.scopes import SettingRow, server_scope
from bot.storage.audit import AuditRow
from bot.storage.database import EventRow, MessageRow
from bot.storage.installations import InstallationRow

PARIS = "Paris is the capital of France."


@pytest.fixture
async def slack(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSlack]:
    monkeypatch.setattr(workspaces, "FOLLOW_SECONDS", 0.1)
    monkeypatch.setattr(workspaces, "ROTATION_SECONDS", 0.1)
    async with FakeSlack() as server:
        speed_up(server, monkeypatch)
        yield server


@pytest.fixture
def other(slack: FakeSlack) -> FakeSlack:
    added = slack.add_workspace("Elsewhere")
    added.rate_tiers.burst = 1000
    return added


async def ask(slack: FakeSlack, question: str, *, channel: str = "", thread: str | None = None) -> FakeMessage:
    """Ask a question as Ann, wait for the answer, and return the message with the question."""
    before = len(find_answers(slack, PARIS))
    said = await slack.say(slack.ann, channel or slack.channel, question, mention=not channel, thread_ts=thread)
    await slack.until(lambda: len(find_answers(slack, PARIS)) > before)
    return said


async def count(bot: Bot, table: type[MessageRow | EventRow | SettingRow | AuditRow], platform: str) -> int:
    async with bot.database.reading() as session:
        return await session.scalar(select(func.count()).select_from(table).where(table.platform == platform)) or 0


def names(*both: FakeSlack) -> list[str]:
    """The names under which what is of these workspaces is stored."""
    return [f"slack/{one.team}" for one in both]


@pytest.mark.parametrize("http", [False, True])
async def test_nothing_of_one_workspace_is_found_in_the_other(
    slack: FakeSlack, other: FakeSlack, toy_bot: Bot, models: FakeModels, http: bool
) -> None:
    async with on_slack(toy_bot, slack, http=http, installable=True, token=False) as address:
        for one in (slack, other):
            await add_to_slack(address, slack.oauth, one)
        first = await ask(slack, "Which capital?", channel=slack.dm(slack.ann))
        # The same user writes in a thread with the same id of the same direct messages, but elsewhere.
        there_too = FakeMessage(other.dm(other.ann), first.ts, other.ann, "Another question", via="user")
        other.workspace.messages.append(there_too)
        await ask(other, "And which now?", channel=other.dm(other.ann), thread=first.ts)
        assert [turn["content"] for turn in models.requests[-1]["messages"]][1:] == ["And which now?"]
        for one in (slack, other):
            await ask(one, "Which capital in the channel?")
        assert [len(find_answers(one, PARIS)) for one in (slack, other)] == [2, 2]
        assert {call.token for call in slack.calls if call.token} == {
            slack.bot_token,
            *([slack.app_token] * (not http)),
        }
        assert {call.token for call in other.calls} == {other.bot_token}
        assert [await count(toy_bot, MessageRow, name) for name in names(slack, other)] == [4, 4]
        assert await count(toy_bot, MessageRow, "slack") == 0
        here, there = (
            Place(name, slack.channel, one.team) for name, one in zip(names(slack, other), (slack, other), strict=True)
        )
        admin = Caller(User(slack.admin, "Ada", is_moderator=True), here)
        await SettingsEditor(toy_bot.settings).set(admin, "answers.quote", "no", server_scope(admin.place))
        caller = Caller(User(slack.ann, "Ann"), here)
        await toy_bot.defaults.set(caller, toy_bot.admission.commands_for(caller.user, here), "ask.temperature", 0.1)
        for place, mine, quotes in ((here, {"ask.temperature": 0.1}, False), (there, {}, True)):
            known = toy_bot.admission.commands_for(caller.user, place)
            assert toy_bot.defaults.mine(Caller(caller.user, place), known) == mine
            assert toy_bot.settings.value("answers.quote", place) is quotes
    assert slack.lost == []


async def test_what_comes_for_a_workspace_without_the_bot_is_refused(
    slack: FakeSlack, other: FakeSlack, toy_bot: Bot, models: FakeModels, caplog: pytest.LogCaptureFixture
) -> None:
    async with on_slack(toy_bot, slack, installable=True, token=False) as address:
        await add_to_slack(address, slack.oauth, slack)
        said = await other.say(other.ann, other.channel, "Which capital?", mention=True)
        command = await other.command(other.ann, other.channel, "/ask", "Which capital?")
        for delivery in (*said.events, command):
            assert (await delivery.acknowledged()).payload == {}
        await ask(slack, "Which capital?")
        # From the moment on when it adds the bot, it is served.
        await add_to_slack(address, slack.oauth, other)
        await ask(other, "Which capital?")
    assert len(models.requests) == 2
    assert [record.levelname for record in caplog.records if "another workspace" in record.message] == ["WARNING"]


async def test_the_configured_token_goes_on_beside_them_and_its_rows_are_found_later(
    slack: FakeSlack, other: FakeSlack, toy_bot: Bot, models: FakeModels
) -> None:
    async with on_slack(toy_bot, slack) as address:
        first = await ask(slack, "Which capital?")
    async with on_slack(toy_bot, slack, installable=True) as address:
        await add_to_slack(address, slack.oauth, other)
        await ask(slack, "Which one?", channel=slack.dm(slack.ann))
        await ask(other, "Which one?")
    assert await count(toy_bot, MessageRow, "slack") == 4
    async with on_slack(toy_bot, slack, installable=True, token=False) as address:
        await add_to_slack(address, slack.oauth, slack)
        await slack.say(slack.ann, slack.channel, "And now?", thread_ts=first.ts)
        await slack.until(lambda: len(slack.thread(slack.channel, first.ts)) == 3)
        await ask(other, "And now?")
    asked = [turn["content"] for turn in models.requests[3]["messages"]]
    assert ("Which capital?" in asked, asked[-1]) == (True, "And now?")
    assert await count(toy_bot, MessageRow, "slack") == 6


async def test_a_token_is_renewed_before_it_ends(
    slack: FakeSlack, other: FakeSlack, toy_bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    slack.oauth.lifetime = 3600
    async with on_slack(toy_bot, slack, installable=True, token=False) as address:
        await add_to_slack(address, slack.oauth, slack)
        old = slack.bot_token
        # From two hours before its end on.
        await slack.until(lambda: slack.bot_token != old)
        slack.oauth.lifetime = 43200
        newest = slack.bot_token
        await slack.until(lambda: slack.bot_token != newest)
        slack.revoke_token(old, "token_expired")
        await add_to_slack(address, slack.oauth, other)
        # What other processes do about it is read at the next round.
        await asyncio.sleep(0.3)
        before = len(slack.calls)
        await ask(slack, "Which capital?")
        # An answer that is complete before its stream could begin is posted.
        answers = ("chat.startStream", "chat.postMessage")
        assert {call.token for call in slack.calls[before:] if call.method in answers} == {slack.bot_token}
        exchanges = len(slack.called("oauth.v2.access"))
        await ask(other, "Which capital?")
        assert len(slack.called("oauth.v2.access")) == exchanges
    # The new installation was enough to start it again.
    async with on_slack(toy_bot, slack, installable=True, token=False):
        await ask(slack, "Which capital?")
    assert not [token for token in slack.oauth.tokens if token in caplog.text]


@pytest.mark.parametrize("error", [workspaces.EXPIRED, "invalid_auth"])
async def test_a_token_that_expired_while_the_bot_was_away_is_renewed(
    slack: FakeSlack, toy_bot: Bot, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    monkeypatch.setattr(workspaces, "ROTATION_SECONDS", 3600.0)
    slack.oauth.lifetime = 3600
    async with on_slack(toy_bot, slack, installable=True, token=False) as address:
        await add_to_slack(address, slack.oauth, slack)
    slack.revoke_token(slack.bot_token, error)
    async with on_slack(toy_bot, slack, installable=True, token=False):
        await slack.until(lambda: len(slack.called("oauth.v2.access")) == 2)
        await slack.until(lambda: f"slack/{slack.team}" in toy_bot.adapters._adapters)
        await ask(slack, "Which capital?")


async def test_a_token_that_nothing_can_renew_is_left_alone(
    slack: FakeSlack, toy_bot: Bot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(workspaces, "FAILURE_SECONDS", 1.0)
    slack.oauth.lifetime = 3600
    slack.oauth.renews = False
    async with on_slack(toy_bot, slack, installable=True, token=False) as address:
        await add_to_slack(address, slack.oauth, slack)
        await slack.until(lambda: "could not be renewed: invalid_refresh_token" in caplog.text)
        await asyncio.sleep(2)
        # Until it ends, the workspace is served.
        await ask(slack, "Which capital?")
    assert len(slack.called("oauth.v2.access")) == 2


async def test_what_is_of_a_workspace_that_leaves_is_deleted(
    slack: FakeSlack, other: FakeSlack, toy_bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with on_slack(toy_bot, slack, installable=True, token=False) as address:
        for one in (slack, other):
            await add_to_slack(address, slack.oauth, one)
            await ask(one, "Which capital?")
            place = Place(f"slack/{one.team}", "", one.team)
            admin = Caller(User(one.admin, "Ada", is_moderator=True), place)
            await SettingsEditor(toy_bot.settings).set(admin, "answers.quote", "no", server_scope(admin.place))
            caller = Caller(User(one.ann, "Ann"), place)
            await toy_bot.defaults.set(
                caller, toy_bot.admission.commands_for(caller.user, place), "ask.temperature", 0.1
            )
        gone, stays = names(other, slack)
        events = slack.oauth.remove(other)
        for event in events:
            await event.acknowledged()
        await slack.until(lambda: "removed the bot" in caplog.text)
        tables = (MessageRow, EventRow, SettingRow, AuditRow)
        assert [await count(toy_bot, table, gone) for table in tables] == [0, 0, 0, 0]
        assert 0 not in [await count(toy_bot, table, stays) for table in tables]
        async with toy_bot.database.reading() as session:
            assert list(await session.scalars(select(InstallationRow.id))) == [slack.team]
        await toy_bot.defaults.refresh()
        own, lost = ((f"{name}:{slack.ann}" in toy_bot.defaults._store.values) for name in (stays, gone))
        assert (own, lost) == (True, False)
        assert gone not in toy_bot.adapters._adapters
        # An event that comes late does not end what was installed after it.
        await add_to_slack(address, slack.oauth, other)
        await other.redeliver(events[1]).acknowledged()
        await ask(other, "Which capital?")
        await ask(slack, "Which capital?")


async def test_a_workspace_whose_token_is_refused_does_not_end_the_others(
    slack: FakeSlack, other: FakeSlack, toy_bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    async with on_slack(toy_bot, slack, installable=True, token=False) as address:
        for one in (slack, other):
            await add_to_slack(address, slack.oauth, one)
        other.revoke_token(other.bot_token, "token_revoked")
        await other.say(other.ann, other.channel, "Which capital?", mention=True)
        await slack.until(lambda: "is left out until it adds me again: token_revoked" in caplog.text)
        await ask(slack, "Which capital?")
    assert other.bot_token not in caplog.text


async def test_a_workspace_whose_token_is_refused_for_a_while_is_opened_again(
    slack: FakeSlack, other: FakeSlack, toy_bot: Bot, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspaces, "FAILURE_SECONDS", 0.1)
    async with on_slack(toy_bot, slack, installable=True, token=False) as address:
        for one in (slack, other):
            await add_to_slack(address, slack.oauth, one)
        other.revoke_token(other.bot_token, "invalid_auth")
        await other.say(other.ann, other.channel, "Which capital?", mention=True)
        await slack.until(lambda: f"{other.team} cannot be served: invalid_auth" in caplog.text)
        other.revoke_token(other.bot_token, "")
        await slack.until(lambda: f"slack/{other.team}" in toy_bot.adapters._adapters)
        await ask(other, "Which capital?")


async def test_a_configured_token_that_is_refused_does_not_end_the_others(
    slack: FakeSlack, other: FakeSlack, toy_bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    async with on_slack(toy_bot, slack, installable=True) as address:
        await add_to_slack(address, slack.oauth, other)
        slack.revoke_token(slack.bot_token, "token_revoked")
        await slack.say(slack.ann, slack.channel, "Which capital?", mention=True)
        await slack.until(lambda: "The other workspaces are served." in caplog.text)
        await ask(other, "Which capital?")
    caplog.clear()
    async with on_slack(toy_bot, slack, installable=True):
        assert "The other workspaces are served." in caplog.text
        await ask(other, "Which capital?")


@pytest.mark.parametrize("error", ["internal_error", "invalid_auth"])
async def test_a_removal_that_cannot_be_asked_about_is_tried_again(
    slack: FakeSlack,
    other: FakeSlack,
    toy_bot: Bot,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: str,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("bot.platforms.slack.workspaces.FAILURE_SECONDS", 0.1)
    async with on_slack(toy_bot, slack, installable=True, token=False) as address:
        for one in (slack, other):
            await add_to_slack(address, slack.oauth, one)
        events = slack.oauth.remove(other)
        other.refuse("auth.test", error)
        for event in events:
            await event.acknowledged()
        await slack.until(lambda: f"could not be asked: {error}" in caplog.text)
        await slack.until(lambda: "removed the bot, and its" in caplog.text)
