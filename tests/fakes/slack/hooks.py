"""response_url: five answers in thirty minutes to one thing that a user did, wherever the bot is."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web
from fakes.slack import contract, limits
from fakes.slack.chat import unfurls
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
class Hook:
    """One response_url: who did what where, the message that a button was under, and how often it was used."""

    channel: str
    user: str
    message: FakeMessage | None = None
    at: float = field(default_factory=time.monotonic)
    uses: int = 0


class Hooks:
    """The response_urls that were given out; `seconds` is how long one lives.

    Of the answers that are for all, those with numbers in `failing`, counted from 1, get an error of Slack's own.
    """

    def __init__(self) -> None:
        self.seconds = SECONDS
        self.failing: set[int] = set()
        self.public = 0
        self._hooks: dict[str, Hook] = {}

    def new(self, base: str, hook: Hook) -> str:
        """The address of a new one."""
        name = uuid.uuid4().hex
        self._hooks[name] = hook
        return f"{base}/hooks/{name}"

    def use(self, name: str) -> Hook | str:
        """The hook, or the error that Slack answers."""
        hook = self._hooks.get(name)
        if hook is None or time.monotonic() - hook.at > self.seconds:
            return "expired_url"
        if hook.uses >= USES:
            return "used_url"
        hook.uses += 1
        return hook


async def respond(slack: Server, request: web.Request) -> web.Response:
    """What a bot posts to a response_url."""
    body = await request.json()
    slack.hooks.public += body.get("response_type") == "in_channel"
    if slack.hooks.public in slack.hooks.failing:
        return web.Response(status=500, text="internal_error")
    hook = slack.hooks.use(request.match_info["hook"])
    if isinstance(hook, str):
        return web.json_response({"ok": False, "error": hook}, status=404)
    slack.violations += [f"response_url knows no “{name}”" for name in sorted(body.keys() - KNOWN)]
    if error := show(slack, hook, body, "response_url"):
        return web.json_response({"ok": False, "error": error}, status=400)
    return web.json_response({"ok": True})


def show(slack: Server, hook: Hook, body: Json, via: str) -> str:
    """Show what was posted to a response_url or came with an acknowledgement; an error, or "" if it was fine."""
    blocks = body.get("blocks") or []
    text = body.get("text") or ""
    slack.violations += contract.block_problems(blocks)
    original = hook.message
    if body.get("delete_original") and original is not None:
        slack.withdrawn(original)
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
        slack.edited(original, before)
        return ""
    message = FakeMessage(hook.channel, slack.workspace.new_ts(), slack.bot_user, text, blocks, via=via)
    message.thread_ts = body.get("thread_ts") or ""
    if body.get("response_type") != "in_channel":
        message.ephemeral_to = hook.user
    slack.posted(message)
    message.unfurls = unfurls(body, message)
    return ""
