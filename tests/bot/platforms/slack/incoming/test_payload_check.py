"""Payloads without something that the bot reads: acknowledged, told in one line of the log, and ignored."""

import logging
from typing import Any

import pytest
from fakes.platforms.slack_bot import run_command
from fakes.slack import FakeSlack
from fakes.slack.delivery import Delivery, Kind

USER = {"user": {"id": "U1", "name": "ann"}}
ABOUT = {"trigger_id": "1.2", **USER}
BLOCKS = [{"type": "input", "block_id": "prompt"}]
VIEW = {
    "id": "V1",
    "type": "modal",
    "callback_id": "c:ask",
    "blocks": BLOCKS,
    "private_metadata": '{"channel": "C1", "user": "U1"}',
}
VALUES = {"prompt": {"value": {"type": "plain_text_input", "value": "Why?"}}}
MESSAGE = {"type": "message", "channel": "D1", "user": "U1", "ts": "1.2", "text": "Why?"}


def submission(**changes: Any) -> dict[str, Any]:
    return {"type": "view_submission", "view": VIEW | {"state": {"values": VALUES}} | changes, **ABOUT}


def event(**changes: Any) -> dict[str, Any]:
    return {"type": "event_callback", "event_id": "Ev1", "event": MESSAGE | changes}


@pytest.mark.parametrize(
    ("kind", "payload", "place"),
    [
        ("slash_commands", {"command": "/ask", "text": "Why?", "channel_id": "C1", "user_id": "U1"}, "trigger_id"),
        ("interactive", {"type": "block_actions", "actions": [{"type": "button"}], **ABOUT}, "actions.0.action_id"),
        ("interactive", {"type": "block_actions", "actions": [{"action_id": "t:again:1"}], **ABOUT}, "channel"),
        ("interactive", {"type": "message_action", "callback_id": "m:explain", **ABOUT}, "channel"),
        ("interactive", submission(private_metadata="[["), ""),
        ("interactive", submission(private_metadata='{"channel": "C1"}'), "user"),
        ("interactive", submission(blocks=[]), "view.blocks"),
        ("interactive", submission(state={"values": {"prompt": {"other": {}}}}), "view.state.values.prompt.value"),
        ("interactive", submission(state={"values": {"prompt": {"value": {}}}}), "view.state.values.prompt.value.type"),
        ("events_api", event(channel=None), "channel"),
        ("events_api", event(text=["Why?"]), "text"),
        ("events_api", event(subtype=["message_deleted"]), "subtype"),
        ("events_api", event(subtype="message_deleted"), "deleted_ts"),
        ("events_api", event(type="app_home_opened", user=None), "user"),
        ("events_api", {"type": "event_callback", "event": {}}, "type"),
    ],
)
async def test_what_lacks_something_is_told_in_one_line(
    slack: FakeSlack, caplog: pytest.LogCaptureFixture, kind: Kind, payload: dict[str, Any], place: str
) -> None:
    slack.courier.retry_seconds = ()
    with caplog.at_level(logging.WARNING):
        ack = await slack.courier.send(Delivery(kind, payload)).acknowledged()
        await run_command(slack, "/tempera", "help")
        await slack.until(lambda: slack.ephemeral(slack.ann))
    [line] = caplog.records
    assert line.getMessage().startswith(
        f"Slack sent something of another form than it should, which is ignored: {place}:"
    )
    assert line.exc_info is None
    assert ack.payload == {}
