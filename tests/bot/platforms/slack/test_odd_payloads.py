"""Whatever strangers put into Slack's payloads is answered or ignored, and the bot goes on."""

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from fakes.core.examples import broken, changed, examples, failures, leaves, odd_lines, shape, texts, values
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import Toys, bot_with_plugins
from fakes.platforms.slack_bot import on_slack, run_command, speed_up, wait_for_answer
from fakes.slack import FakeSlack
from fakes.slack.delivery import Delivery
from fakes.slack.response_urls import ResponseUrl
from hypothesis import strategies as st

from bot.app import Bot
from bot.platforms import answer_tasks
from bot.platforms.slack.api import budgets

QUESTION, PARIS = "What is the capital of France?", "Paris is the capital of France."
WELL_FORMED = f"v0={'0' * 64}"
"""A signature that fits nothing."""
LASTING = {"slack token"}
"""Tasks that live as long as the platform."""
WRITTEN = {
    "text", "value", "initial_value", "action_id", "block_id", "callback_id", "private_metadata", "name", "user_name",
    "username", "title", "mimetype", "filetype", "alt_txt", "url_private", "fallback", "locale", "tab", "subtype",
}  # fmt: skip
"""Fields with something that people write, or that a form or a button gives back."""
NAMED = {
    "user", "user_id", "channel", "channel_id", "ts", "thread_ts", "message_ts", "deleted_ts", "selected_user",
    "selected_conversation", "bot_id",
}  # fmt: skip
"""Fields with the ids of what may not be there any more."""

lines = odd_lines | st.sampled_from([
    "x " + "<@U0000000001> " * 60 + "x", "/tempera", "/tempera help nothing", "home:change:", "home:change:nothing",
    "home:set:temperature", "home:setting:edit:answers.quote", "home:setting:save:answers.quote", "message_changed",
    "file_share", '{"channel": 1}', '{"channel": "C1", "user": "U1", "more": 1}',
])  # fmt: skip
ids = st.sampled_from(["U0NOBODY00", "W0NOBODY00", "C0NOWHERE0", "D0NOWHERE0", "G0NOWHERE0", "1700000000.000001"])


@pytest.fixture
async def bot(models: FakeModels, tmp_path: Path) -> AsyncIterator[Bot]:
    names = ("ask", "explain", "face", "inspect", "help", "config", "defaults", "moderation")
    async with bot_with_plugins(models, tmp_path, names, Toys()) as running:
        yield running


@pytest.fixture
async def slack(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as server:
        speed_up(server, monkeypatch)
        # Else most of the time would be spent waiting for the next minute.
        monkeypatch.setattr(budgets, "PER_MINUTE", {})
        monkeypatch.setattr(budgets, "TIER_4", 10**6)
        monkeypatch.setattr(answer_tasks, "RETRY_SECONDS", ())
        server.rate_tiers.burst, server.rate_tiers.per_minute = 10**6, dict.fromkeys(range(6), 10**6)
        server.courier.retry_seconds = ()
        yield server


async def record(slack: FakeSlack) -> list[Delivery]:
    """Use everything that the bot has on Slack, and return what Slack sent to it."""
    sent: list[Delivery] = []
    send = slack.courier.send

    def recording(delivery: Delivery, *, to: int | None = None) -> Delivery:
        sent.append(Delivery(delivery.kind, copy.deepcopy(delivery.payload)))
        return send(delivery, to=to)

    slack.courier.send = recording  # type: ignore[method-assign]
    await run_command(slack, "/ask", QUESTION)
    answer = await wait_for_answer(slack, PARIS)
    await slack.press(slack.ann, answer, "Edit")
    await submit(slack, slack.ann, {"prompt": "Why?"})
    await slack.press(slack.ann, answer, "Again")
    await run_command(slack, "/tempera", "weigh")
    file = slack.add_file(slack.ann, "note.txt", b"four")
    await submit(slack, slack.ann, {"file": file})
    await run_command(slack, "/face", "count:2")
    asked = await slack.say(slack.ben, slack.channel, QUESTION, mention=True)
    await slack.say(slack.ben, slack.channel, "Why?", thread_ts=asked.ts)
    direct = await slack.say(slack.ben, slack.dm(slack.ben), QUESTION, files=[("a.txt", b"a")])
    slack.edit(direct, "Why?")
    for name in ("m:explain", "m:inspect"):
        await slack.shortcut(slack.ben, asked, name)
    slack.delete(direct)
    await slack.open_home(slack.admin)
    home = await slack.view(slack.admin)
    await slack.press(slack.admin, home, "Change")
    await submit(slack, slack.admin, {})
    await slack.choose(slack.admin, home, "answers.quote")
    await submit(slack, slack.admin, {})
    slack.invite(slack.add_channel("other", member=False))
    await idle(slack)
    slack.courier.send = send  # type: ignore[method-assign]
    # Each shape once and in one order, so that examples do not depend on how often an answer was edited meanwhile.
    shapes = {f"{one.kind} {shape(one.payload)}": one for one in sent}
    return [shapes[name] for name in sorted(shapes)]


async def submit(slack: FakeSlack, user: str, fields: dict[str, Any]) -> None:
    await slack.submit(user, await slack.until(lambda: slack.modal(user)), fields)


async def idle(slack: FakeSlack) -> None:
    """Wait until the bot has handled everything."""

    def busy() -> list[str]:
        names = [task.get_name() for task in asyncio.all_tasks() if not task.done()]
        return [name for name in names if name.startswith("slack ") and name not in LASTING]

    await slack.until(lambda: not busy(), 60)


def renewed(slack: FakeSlack, kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a payload with new ids, since the bot handles each once."""
    payload = copy.deepcopy(payload)
    if kind == "events_api":
        payload["event_id"] = slack.workspace.new_id("Ev")
        if payload["event"]["type"] in ("message", "app_mention"):
            payload["event"]["ts"] = slack.workspace.new_ts()
    else:
        payload["trigger_id"] = slack.new_trigger(slack.ann)
        if "response_url" in payload:
            payload["response_url"] = slack.response_urls.new(slack.url, ResponseUrl(slack.channel, slack.ann))
        if "view" in payload:
            payload["view"]["hash"] = slack.workspace.new_ts()
    return payload


def paths(payload: dict[str, Any], names: set[str]) -> list[Any]:
    return [path for path in leaves(payload) if path[-1] in names]


async def try_examples(slack: FakeSlack, strategy: Any, count: int) -> None:
    async def check(sent: list[tuple[str, Any]]) -> None:
        deliveries = [slack.courier.send(Delivery(kind, payload)) for kind, payload in sent]
        for one in deliveries:
            await one.done.wait()

    await examples(st.lists(strategy, min_size=5, max_size=10), check, count)
    await idle(slack)
    asked = await slack.say(slack.ben, slack.dm(slack.ben), "/help")
    await slack.until(lambda: slack.thread(asked.channel, asked.ts))


@pytest.mark.parametrize("metadata", ["", "not JSON", "7", '{"place": 7}'])
async def test_a_form_that_the_bot_did_not_make_is_closed(slack: FakeSlack, bot: Bot, metadata: str) -> None:
    async with on_slack(bot, slack, http=True):
        forms = [one for one in await record(slack) if one.payload.get("type") == "view_submission"]
        form = next(one for one in forms if one.payload["view"]["private_metadata"].startswith("{"))
        payload = renewed(slack, form.kind, form.payload)
        payload["view"]["private_metadata"] = metadata
        delivery = slack.courier.send(Delivery(form.kind, payload))
        await asyncio.wait_for(delivery.done.wait(), 10)
        assert slack.lost == []


async def test_whatever_people_write_is_answered(slack: FakeSlack, bot: Bot, caplog: pytest.LogCaptureFixture) -> None:
    async with on_slack(bot, slack, http=True):
        seeds = [one for one in await record(slack) if paths(one.payload, WRITTEN)]

        @st.composite
        def written_payloads(draw: st.DrawFn) -> tuple[str, Any]:
            seed = draw(st.sampled_from(seeds))
            payload = renewed(slack, seed.kind, seed.payload)
            if draw(st.integers(0, 3)) == 0 and (named := paths(payload, NAMED)):
                return seed.kind, draw(changed(payload, named, ids))
            return seed.kind, draw(changed(payload, paths(payload, WRITTEN), texts | lines))

        await try_examples(slack, written_payloads(), 30)
        assert slack.lost == []
    assert failures(caplog) == []


async def test_a_payload_with_something_wrong_ends_nothing(slack: FakeSlack, bot: Bot) -> None:
    async with on_slack(bot, slack, http=True):
        seeds = await record(slack)

        @st.composite
        def broken_payloads(draw: st.DrawFn) -> tuple[str, Any]:
            seed = draw(st.sampled_from(seeds))
            return seed.kind, draw(broken(renewed(slack, seed.kind, seed.payload)))

        await try_examples(slack, broken_payloads(), 25)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Slack-Signature": "v0=ÿ", "X-Slack-Request-Timestamp": "1"},
        {"X-Slack-Signature": WELL_FORMED, "X-Slack-Request-Timestamp": "now"},
        {"X-Slack-Signature": WELL_FORMED, "X-Slack-Request-Timestamp": "1" * 5000},
        {"X-Slack-Signature": WELL_FORMED, "X-Slack-Request-Timestamp": "1"},
        {"X-Slack-Signature": WELL_FORMED, "X-Slack-Request-Timestamp": "1", "Content-Type": "a; charset=b"},
    ],
)
async def test_what_slack_did_not_sign_is_refused(
    slack: FakeSlack, bot: Bot, caplog: pytest.LogCaptureFixture, headers: dict[str, str]
) -> None:
    json_texts = values.map(json.dumps).map(str.encode)
    nested = st.sampled_from([b"[" * 100_000, b'{"authorizations":[' * 2000 + b"{}" + b"]}" * 2000, b"{}", b""])
    payloads = json_texts.map(lambda text: urlencode({"payload": text}).encode())
    bodies = st.binary() | json_texts | payloads | nested
    async with on_slack(bot, slack, http=True), aiohttp.ClientSession() as session:

        async def check(body: bytes) -> None:
            sent = {"Content-Type": "application/json"} | headers
            async with session.post(slack.http_url, data=body, headers=sent) as answer:
                assert answer.status in (400, 401), await answer.text()

        await examples(bodies, check, 40)
    assert failures(caplog) == []
