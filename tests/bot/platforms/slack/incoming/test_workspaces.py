"""Payloads for other workspaces than the bot's own, through a socket and by HTTP."""

import copy
import logging

import pytest
from fakes.model_server.model_api import FakeModels
from fakes.platforms.slack_bot import find_answers
from fakes.slack import FakeSlack
from fakes.slack.delivery import Delivery

PARIS = "Paris is the capital of France."


@pytest.fixture(params=[False, True], ids=["socket", "http"])
def http(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_what_comes_for_another_workspace_is_acknowledged_once_and_ignored(
    slack: FakeSlack, models: FakeModels, caplog: pytest.LogCaptureFixture
) -> None:
    own = slack.team
    await slack.say(slack.ann, slack.channel, "Which capital?", mention=True)
    await slack.until(lambda: find_answers(slack, PARIS))
    [answer] = find_answers(slack, PARIS)
    asked = len(models.requests)
    with caplog.at_level(logging.WARNING, logger="bot.platforms.slack"):
        slack.team = "T0STRANGER"
        said = await slack.say(slack.ann, slack.channel, "Which other capital?", mention=True)
        command = await slack.command(slack.ann, slack.channel, "/ask", "Which third one?")
        pressed = await slack.press(slack.ann, answer, "Again")
        for delivery in (*said.events, command, pressed):
            await delivery.acknowledged()
        slack.team = own
        last = await slack.say(slack.ben, slack.dm(slack.ben), "And now?")
        await slack.until(lambda: [one for one in find_answers(slack, PARIS) if one.thread_ts == last.ts])
    assert len(models.requests) == asked + 1
    assert [record.levelname for record in caplog.records if "another workspace" in record.message] == ["WARNING"]


async def test_somebody_of_another_workspace_is_answered_in_a_shared_channel(
    slack: FakeSlack, models: FakeModels
) -> None:
    async def wait_for_stream(count: int) -> None:
        """Wait until an answer has begun as a stream, and then until it is finished."""
        await slack.until(lambda: len(slack.called("chat.startStream")) == count)
        models.gate.set()
        await slack.until(lambda: len(find_answers(slack, PARIS)) == count)
        models.gate.clear()

    models.gate.clear()
    said = await slack.say(slack.ann, slack.channel, "Which capital?", mention=True)
    await wait_for_stream(1)
    slack.workspace.users[slack.ann].team = "T0PARTNER"
    shared = copy.deepcopy(said.events[0].payload)
    shared |= {"team_id": "T0PARTNER", "event_id": "Ev0SHARED", "is_ext_shared_channel": True}
    shared["event"] |= {"ts": "1700000000.000100", "thread_ts": said.ts, "user_team": "T0PARTNER", "team": "T0PARTNER"}
    await slack.courier.send(Delivery("events_api", shared)).acknowledged()
    await wait_for_stream(2)
    # What they press and send names their workspace as well.
    answer = find_answers(slack, PARIS)[-1]
    await (await slack.press(slack.ann, answer, "Again")).acknowledged()
    await wait_for_stream(3)
    await (await slack.press(slack.ann, answer, "Edit")).acknowledged()
    assert (await slack.submit(slack.ann, await slack.view(slack.ann), {"prompt": "And now?"})).closed
    await wait_for_stream(4)
    await (await slack.command(slack.ben, slack.channel, "/ask", "Which capital?")).acknowledged()
    await wait_for_stream(5)
    recipients = [call["recipient_team_id"] for call in slack.called("chat.startStream")]
    assert recipients == [slack.team, "T0PARTNER", "T0PARTNER", "T0PARTNER", slack.team]
