"""chat.startStream, appendStream and stopStream: a message that grows, and that Slack closes after some minutes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fakes.slack import limits
from fakes.slack.calls import ApiError, Call, Method
from fakes.slack.chat import WRITE, check_thread, find_channel
from fakes.slack.workspace import LINK, FakeMessage

if TYPE_CHECKING:
    from fakes.slack.server import Server

Json = dict[str, Any]


def _read_piece(call: Call, before: str = "") -> str:
    """Return the text that a call appends: `markdown_text`, or the text of its chunks."""
    chunks = call.arguments.get("chunks") or []
    if not isinstance(chunks, list) or not all(isinstance(chunk, dict) and "type" in chunk for chunk in chunks):
        raise ApiError("invalid_chunks")
    found = call.text("markdown_text") + "".join(
        chunk.get("text", "") for chunk in chunks if chunk["type"] == "markdown_text"
    )
    # The documents give the limit for one call, but Slack also applies it to the whole message.
    if len(before) + len(found) > limits.MARKDOWN_TEXT:
        raise ApiError("msg_too_long")
    return found


def _find_stream(slack: Server, call: Call) -> FakeMessage:
    place = find_channel(slack, call.text("channel"))
    message = slack.workspace.find(place.id, call.text("ts"))
    if message is None:
        raise ApiError("message_not_found")
    if message.user != slack.bot_user:
        raise ApiError("message_not_owned_by_app")
    if not slack.is_streaming(message):
        raise ApiError("message_not_in_streaming_state")
    return message


async def start(slack: Server, call: Call) -> Json:
    place = find_channel(slack, call.text("channel"))
    if not call.text("thread_ts"):
        raise ApiError("invalid_arguments", "missing required field: thread_ts")
    if not place.user:
        for name in ("recipient_user_id", "recipient_team_id"):
            if not call.text(name):
                raise ApiError(f"missing_{name}")
    if (recipient := call.text("recipient_user_id")) and recipient not in slack.workspace.users:
        raise ApiError("user_not_found")
    recipients_team = recipient and (slack.workspace.users[recipient].team or slack.team)
    if (team := call.text("recipient_team_id")) and team != recipients_team:
        raise ApiError("team_not_found")
    thread_ts = check_thread(slack, place, call.text("thread_ts"))
    message = FakeMessage(place.id, slack.workspace.new_ts(), slack.bot_user, _read_piece(call), thread_ts=thread_ts)
    message.streaming = message.streamed = True
    message.stream_until = time.monotonic() + slack.stream_seconds
    slack.add_message(message)
    return {"channel": place.id, "ts": message.ts}


async def append(slack: Server, call: Call) -> Json:
    message = _find_stream(slack, call)
    piece = _read_piece(call, message.text)
    if not piece and not call.arguments.get("chunks"):
        raise ApiError("no_text")
    message.text += piece
    slack.record_growth(message)
    return {"channel": message.channel, "ts": message.ts}


async def stop(slack: Server, call: Call) -> Json:
    message = _find_stream(slack, call)
    blocks = call.arguments.get("blocks") or []
    if problems := limits.block_errors(blocks):
        raise ApiError("invalid_blocks", *problems)
    if limits.are_too_long(blocks):
        raise ApiError("msg_blocks_too_long")
    before = slack.as_json(message)
    message.text += _read_piece(call, message.text)
    message.blocks = blocks
    message.streaming = False
    message.unfurls = LINK.findall(message.text)
    slack.record_edit(message, before)
    return {"channel": message.channel, "ts": message.ts, "message": slack.as_json(message)}


METHODS = {
    "chat.startStream": Method(start, 2, WRITE, ("channel",)),
    "chat.appendStream": Method(append, 4, WRITE, ("channel", "ts")),
    "chat.stopStream": Method(stop, 2, WRITE, ("channel", "ts")),
}
