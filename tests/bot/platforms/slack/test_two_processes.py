"""Two processes of a bot on Slack, with Redis: what comes may reach either of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fakes.model_server.gateway import PATIENCE_SECONDS, eventually
from fakes.model_server.model_api import DUEL_MODEL, FakeModels
from fakes.platforms.discord_bot import bot_with_plugins
from fakes.platforms.slack_bot import add_to_slack, both_on_slack, find_answers, run_command, speed_up, wait_for_answer
from fakes.slack import FakeMessage, FakeSlack
from redis import Redis
from sqlalchemy import select

from bot import app
from bot.app import Bot
from bot.platforms import answer_tasks
from bot.platforms.slack.api import budgets
from bot.platforms.slack.outgoing import thread_view
from bot.storage.database import MessageRow
from plugins import duel

PARIS = "Paris is the capital of France."
FIRST, SECOND = 0, 1
"""The two processes. What a test does first reaches the first one."""


@pytest.fixture
async def pair(
    models: FakeModels, tmp_path: Path, redis: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Bot, Bot]]:
    """Two bots with one database. What one hears of the other within a test comes through Redis."""
    with Redis.from_url(redis) as client:
        # It has the calls of the test before.
        client.flushall()
    monkeypatch.setattr(app, "REFRESH_SECONDS", 1000)
    models.listed[DUEL_MODEL] = "faces"
    names = ("ask", "duel", "defaults")
    async with (
        bot_with_plugins(models, tmp_path, names, limits=redis) as first,
        bot_with_plugins(models, tmp_path, names, limits=redis) as second,
    ):
        for bot in (first, second):
            await asyncio.wait_for(bot.events.ready.wait(), PATIENCE_SECONDS)
        yield first, second


@pytest.fixture(params=[False, True], ids=["sockets", "http"])
async def slack(
    pair: tuple[Bot, Bot], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as server, both_on_slack(*pair, server, http=request.param):
        speed_up(server, monkeypatch)
        server.courier.chosen = FIRST
        yield server
        server.courier.chosen = None


async def press(slack: FakeSlack, on: FakeMessage, label: str, user: str = "") -> None:
    """Press a button, which reaches the second process."""
    slack.courier.chosen = SECOND
    await (await slack.press(user or slack.ann, on, label)).acknowledged()


def find_with(slack: FakeSlack, label: str) -> Any:
    """Return the newest message with this button; None if there is none."""
    found = [one for one in slack.workspace.messages if not one.deleted and label in one.buttons]
    return found[-1] if found else None


@pytest.mark.parametrize("streams", [True, False])
async def test_stop_ends_an_answer_of_the_other_process(
    slack: FakeSlack, models: FakeModels, streams: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stream has no room for buttons, so that the asker alone is offered Stop below it.
    monkeypatch.setattr(thread_view, "STOP_OFFER_SECONDS", 0.0)
    if not streams:
        slack.without_streaming()
    models.gate.clear()
    await run_command(slack, "/ask", "Which capital?")
    await press(slack, await slack.until(lambda: find_with(slack, "Stop")), "Stop")
    await wait_for_answer(slack, "Stopped.")
    await models.until(dropped=1)
    await slack.until(lambda: find_with(slack, "Stop") is None)
    models.gate.set()


async def test_a_message_that_somebody_deletes_ends_an_answer_of_the_other_process(
    pair: tuple[Bot, Bot], slack: FakeSlack, models: FakeModels
) -> None:
    models.gate.clear()
    await run_command(slack, "/ask", "Which capital?")
    growing = await slack.until(lambda: next((one for one in slack.workspace.messages if one.shown == "Paris"), None))

    async def is_known() -> bool:
        return bool(await pair[1].messages.find_answers("slack", [growing.ts]))

    await eventually(is_known)
    slack.courier.chosen = SECOND
    slack.delete(growing)
    await models.until(dropped=1)
    models.gate.set()
    await run_command(slack, "/ask", "And now?")
    await wait_for_answer(slack, PARIS)


async def test_the_buttons_of_an_answer_work_in_the_other_process(slack: FakeSlack, models: FakeModels) -> None:
    await run_command(slack, "/ask", "Which capital?")
    answer = await wait_for_answer(slack, PARIS)
    await press(slack, answer, "👍")
    await slack.until(lambda: "👍 1" in answer.buttons)
    await press(slack, answer, "Again")
    await slack.until(lambda: len(find_answers(slack, PARIS)) == 2)
    assert {one.thread_ts for one in find_answers(slack, PARIS)} == {answer.thread_ts}
    await press(slack, answer, "Edit")
    form = await slack.view(slack.ann)
    slack.courier.chosen = FIRST
    await slack.submit(slack.ann, form, {"prompt": "And now?"})
    await slack.until(lambda: len(find_answers(slack, PARIS)) == 3)
    for shown in find_answers(slack, PARIS):
        await press(slack, shown, "Delete")
    await slack.until(lambda: not find_answers(slack, PARIS))
    assert len(models.requests) == 3


async def test_a_round_of_duel_is_played_in_both(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duel, "TICK_SECONDS", 0.05)
    await run_command(slack, "/tempera", "duel seconds:300")
    await press(slack, await slack.until(lambda: find_with(slack, "Vote")), "Vote", slack.ben)
    [ballot] = await slack.until(lambda: slack.ephemeral(slack.ben))
    await press(slack, ballot, "2", slack.ben)
    await slack.until(lambda: "✗ 2" in slack.ephemeral(slack.ben)[-1].buttons)
    await slack.until(lambda: "1 has voted." in find_with(slack, "Vote").shown)
    await press(slack, find_with(slack, "Vote"), "Vote")
    [own] = await slack.until(lambda: slack.ephemeral(slack.ann))
    await press(slack, own, "Show the truth now")
    await slack.until(lambda: any("Forged: 2, 4, 6, 8, 10, 12." in one.shown for one in slack.workspace.messages))


async def test_of_two_choices_in_different_processes_the_newest_is_shown_last(
    pair: tuple[Bot, Bot], slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    apis = [bot.adapters.get("slack")._api for bot in pair]
    begun, done, may_answer = [asyncio.Event(), asyncio.Event()], asyncio.Semaphore(0), asyncio.Event()

    async def respond(number: int, send: Any, *given: Any, **more: Any) -> None:
        begun[number].set()
        if number == FIRST:
            await may_answer.wait()
        await send(*given, **more)
        done.release()

    await run_command(slack, "/tempera", "duel seconds:300")
    await press(slack, await slack.until(lambda: find_with(slack, "Vote")), "Vote", slack.ben)
    [ballot] = await slack.until(lambda: slack.ephemeral(slack.ben))
    for number, api in enumerate(apis):
        monkeypatch.setattr(api, "respond", partial(respond, number, api.respond))
    slack.courier.chosen = FIRST
    await (await slack.press(slack.ben, ballot, "2")).acknowledged()
    await asyncio.wait_for(begun[FIRST].wait(), PATIENCE_SECONDS)
    await press(slack, ballot, "4", slack.ben)
    with suppress(TimeoutError):
        # It does not answer before the first one has.
        await asyncio.wait_for(begun[SECOND].wait(), 1)
    may_answer.set()
    for _ in range(2):
        await asyncio.wait_for(done.acquire(), PATIENCE_SECONDS)
    assert {"✗ 2", "✗ 4"} <= slack.ephemeral(slack.ben)[-1].buttons.keys()


async def test_a_workspace_is_added_through_both_and_served_by_both(
    pair: tuple[Bot, Bot], models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        FakeSlack() as slack,
        both_on_slack(*pair, slack, http=True, installable=True, token=False) as (here, there),
    ):
        speed_up(slack, monkeypatch)
        await add_to_slack(here, slack.oauth, slack, last=there)
        for number in (FIRST, SECOND):
            slack.courier.chosen = number
            await run_command(slack, "/ask", "Which capital?")
            await slack.until(lambda number=number: len(find_answers(slack, PARIS)) == number + 1)


async def test_both_together_call_no_more_often_than_slack_allows(
    pair: tuple[Bot, Bot], slack: FakeSlack, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(budgets.PER_MINUTE, budgets.UPDATE, 8)
    # The last four answers are not shown before the end of the test.
    monkeypatch.setattr(answer_tasks, "GOODBYE_SECONDS", 0.1)
    slack.rate_tiers.per_minute[3] = 8
    slack.without_streaming()
    models.gate.clear()
    for number in range(12):
        slack.courier.chosen = number % 2
        await run_command(slack, "/ask", "Which capital?")
    # Each has a message already, which is edited at the end.
    await slack.until(lambda: sum("Stop" in one.buttons for one in slack.workspace.messages) == 12)
    models.gate.set()
    await slack.until(lambda: len(slack.called(budgets.UPDATE)) >= 8)

    async def are_stored() -> bool:
        async with pair[0].database.reading() as session:
            states = await session.scalars(select(MessageRow.state).where(MessageRow.role == "assistant"))
            return list(states) == ["done"] * 12

    await eventually(are_stored)
    assert (len(slack.called(budgets.UPDATE)), slack.rate_limited_calls) == (8, [])
