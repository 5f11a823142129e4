"""chat.postMessage, postEphemeral, update, delete and getPermalink."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fakes.slack import limits
from fakes.slack.calls import ApiError, Call, Method
from fakes.slack.workspace import LINK, Channel, FakeMessage

if TYPE_CHECKING:
    from fakes.slack.server import Server

Json = dict[str, Any]


def find_channel(slack: Server, name: str, *, writing: bool = True) -> Channel:
    """Return the channel of an argument if the bot may see it, and with `writing` write there. Raises ApiError."""
    found = slack.workspace.channels.get(name)
    if found is None and name in slack.workspace.users:
        found = slack.workspace.dm(name, slack.bot_user)
    if found is None or (found.private and slack.bot_user not in found.members):
        raise ApiError("channel_not_found")
    if found.archived and writing:
        raise ApiError("is_archived")
    if slack.bot_user not in found.members and writing and (found.user or "chat:write.public" not in slack.scopes):
        raise ApiError("not_in_channel")
    return found


def check_thread(slack: Server, place: Channel, ts: str) -> str:
    """Return the thread of an argument, "" for none. Raises ApiError if its first message does not exist."""
    if not ts:
        return ""
    parent = slack.workspace.find(place.id, ts)
    if parent is None:
        raise ApiError("thread_not_found")
    if parent.thread_ts and parent.thread_ts != ts:
        slack.violations.append(f"thread_ts {ts} is a reply's, not that of the message that began the thread")
    return ts


def read_content(slack: Server, call: Call, maximum: int) -> tuple[str, list[Json]]:
    """Return the text and blocks of a message. Raises ApiError if they exceed the limits."""
    given = call.arguments
    text, markdown, blocks = call.text("text"), call.text("markdown_text"), given.get("blocks") or []
    if markdown and (text or blocks):
        raise ApiError("markdown_text_conflict")
    if problems := limits.block_errors(blocks) or _find_file_errors(slack, blocks):
        raise ApiError("invalid_blocks", *problems)
    if limits.are_too_long(blocks):
        raise ApiError("msg_blocks_too_long")
    if not (text or markdown or blocks or given.get("attachments")):
        raise ApiError("no_text")
    if len(markdown) > limits.MARKDOWN_TEXT:
        raise ApiError("msg_too_long")
    if len(text) > maximum:
        if call.method != "chat.postMessage":
            raise ApiError("msg_too_long")
        slack.violations.append(f"{call.method}: Slack would cut a text of {len(text)} characters at {maximum}")
        text = text[:maximum]
    return markdown or text, blocks


def _find_file_errors(slack: Server, blocks: list[Json]) -> list[str]:
    """Return the problems of files in blocks: they must be pictures that Slack has processed."""
    found = []
    for number, block in enumerate(blocks):
        if "slack_file" in block:
            file = slack.workspace.files.get(block["slack_file"].get("id", ""))
            if file is None or not (file.complete and file.processed and file.mimetype.startswith("image/")):
                found.append(f"invalid slack file [json-pointer:/blocks/{number}/slack_file]")
    return found


def find_unfurls(given: Json, message: FakeMessage) -> list[str]:
    """Return the links that Slack would unfurl under the message."""
    if given.get("unfurl_links") is False and given.get("unfurl_media") is False:
        return []
    return LINK.findall(message.shown)


async def post_message(slack: Server, call: Call) -> Json:
    place = find_channel(slack, call.text("channel"))
    thread_ts = check_thread(slack, place, call.text("thread_ts"))
    text, blocks = read_content(slack, call, limits.POST_TEXT)
    message = slack.add_message(
        FakeMessage(place.id, slack.workspace.new_ts(), slack.bot_user, text, blocks, thread_ts)
    )
    message.unfurls = find_unfurls(call.arguments, message)
    return {"channel": place.id, "ts": message.ts, "message": slack.as_json(message)}


async def post_ephemeral(slack: Server, call: Call) -> Json:
    place = find_channel(slack, call.text("channel"))
    if call.text("user") not in place.members:
        raise ApiError("user_not_in_channel")
    thread_ts = check_thread(slack, place, call.text("thread_ts"))
    text, blocks = read_content(slack, call, limits.POST_TEXT)
    message = FakeMessage(place.id, slack.workspace.new_ts(), slack.bot_user, text, blocks, thread_ts)
    message.ephemeral_to = call.text("user")
    slack.add_message(message)
    return {"message_ts": message.ts}


async def update(slack: Server, call: Call) -> Json:
    place = find_channel(slack, call.text("channel"))
    message = slack.workspace.find(place.id, call.text("ts"))
    if message is None:
        raise ApiError("message_not_found")
    if message.user != slack.bot_user:
        raise ApiError("cant_update_message")
    if slack.is_streaming(message):
        raise ApiError("streaming_state_conflict")
    text, blocks = read_content(slack, call, limits.UPDATE_TEXT)
    if any("slack_file" in block and block not in message.blocks for block in blocks):
        # See github.com/slackapi/bolt-python/issues/1295.
        slack.violations.append("chat.update: people would see “file not found” for a file that was never shared")
    before = slack.as_json(message)
    # A text without blocks removes the existing blocks.
    message.text, message.blocks = text, blocks
    message.streamed = False
    slack.record_edit(message, before)
    return {"channel": place.id, "ts": message.ts, "text": message.text, "message": slack.as_json(message)}


async def delete(slack: Server, call: Call) -> Json:
    place = find_channel(slack, call.text("channel"), writing=False)
    message = slack.workspace.find(place.id, call.text("ts"))
    if message is None:
        raise ApiError("message_not_found")
    if message.user != slack.bot_user:
        raise ApiError("cant_delete_message")
    slack.remove_message(message)
    return {"channel": place.id, "ts": message.ts}


async def get_permalink(slack: Server, call: Call) -> Json:
    place = find_channel(slack, call.text("channel"), writing=False)
    if slack.workspace.find(place.id, call.text("message_ts")) is None:
        raise ApiError("message_not_found")
    number = call.text("message_ts").replace(".", "")
    return {"channel": place.id, "permalink": f"https://tempera-test.slack.com/archives/{place.id}/p{number}"}


WRITE = ("chat:write",)
METHODS = {
    "chat.postMessage": Method(post_message, 5, WRITE, ("channel",)),
    "chat.postEphemeral": Method(post_ephemeral, 4, WRITE, ("channel", "user")),
    "chat.update": Method(update, 3, WRITE, ("channel", "ts")),
    "chat.delete": Method(delete, 3, WRITE, ("channel", "ts")),
    "chat.getPermalink": Method(get_permalink, 5, (), ("channel", "message_ts")),
}
