"""response_url: up to five answers in thirty minutes to an interaction, even where the bot is not a member."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web
from fakes.slack import contract, limits
from fakes.slack.chat import find_unfurls
from fakes.slack.workspace import FakeMessage

if TYPE_CHECKING:
    from fakes.slack.server import Server

Json = dict[str, Any]

USES, SECONDS = 5, 30 * 60.0
KNOWN = frozenset(
    {
        "text",
        "blocks",
        "attachments",
        "response_type",
        "replace_original",
        "delete_original",
        "thread_ts",
        "unfurl_links",
        "unfurl_media",
        "metadata",
        "mrkdwn",
    }
)


@dataclass
class ResponseUrl:
    """One response_url: the user and channel of the interaction, the message with the button, and the uses so far."""

    channel: str
    user: str
    message: FakeMessage | None = None
    at: float = field(default_factory=time.monotonic)
    uses: int = 0


class ResponseUrls:
    """The issued response_urls; each is valid for `seconds`.

    `public` counts the answers for everybody; those whose number, from 1, is in `failing` get a server error.
    """

    def __init__(self) -> None:
        self.seconds = SECONDS
        self.failing: set[int] = set()
        self.public = 0
        self._by_name: dict[str, ResponseUrl] = {}

    def new(self, base: str, response_url: ResponseUrl) -> str:
        """Issue a response_url and return its address."""
        name = uuid.uuid4().hex
        self._by_name[name] = response_url
        return f"{base}/hooks/{name}"

    def use(self, name: str) -> ResponseUrl | str:
        """Count one use; return the response_url, or the error that Slack answers."""
        response_url = self._by_name.get(name)
        if response_url is None or time.monotonic() - response_url.at > self.seconds:
            return "expired_url"
        if response_url.uses >= USES:
            return "used_url"
        response_url.uses += 1
        return response_url


async def respond(slack: Server, request: web.Request) -> web.Response:
    """Handle what a bot posts to a response_url."""
    body = await request.json()
    slack.response_urls.public += body.get("response_type") == "in_channel"
    if slack.response_urls.public in slack.response_urls.failing:
        return web.Response(status=500, text="internal_error")
    response_url = slack.response_urls.use(request.match_info["name"])
    if isinstance(response_url, str):
        return web.json_response({"ok": False, "error": response_url}, status=404)
    slack.violations += [f"response_url knows no “{name}”" for name in sorted(body.keys() - KNOWN)]
    if error := show(slack, response_url, body, "response_url"):
        return web.json_response({"ok": False, "error": error}, status=400)
    return web.json_response({"ok": True})


def show(slack: Server, response_url: ResponseUrl, body: Json, via: str) -> str:
    """Show a message from a response_url or an acknowledgement; return the error, "" for success."""
    blocks = body.get("blocks") or []
    text = body.get("text") or ""
    slack.violations += contract.block_problems(blocks)
    original = response_url.message
    if body.get("delete_original") and original is not None:
        slack.remove_message(original)
        return ""
    if limits.block_errors(blocks):
        return "invalid_blocks"
    if not text and not blocks and not body.get("attachments"):
        return "no_text"
    if len(text) > limits.POST_TEXT:
        return "msg_too_long"
    if body.get("replace_original") and original is not None:
        before = slack.as_json(original)
        original.text, original.blocks, original.via = text, blocks, via
        slack.record_edit(original, before)
        return ""
    message = FakeMessage(response_url.channel, slack.workspace.new_ts(), slack.bot_user, text, blocks, via=via)
    message.thread_ts = body.get("thread_ts") or ""
    if body.get("response_type") != "in_channel":
        message.ephemeral_to = response_url.user
    slack.add_message(message)
    message.unfurls = find_unfurls(body, message)
    return ""
