"""A call of a Web API method: its arguments as Slack reads them, and its error."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fakes.slack import limits

if TYPE_CHECKING:
    from aiohttp import web
    from fakes.slack.server import Server

Json = dict[str, Any]
Handler = Callable[["Server", "Call"], Awaitable[Json]]

SCOPES = frozenset(
    {
        "app_mentions:read",
        "assistant:write",
        "channels:history",
        "channels:read",
        "chat:write",
        "commands",
        "files:read",
        "files:write",
        "groups:history",
        "groups:read",
        "im:history",
        "im:read",
        "im:write",
        "mpim:history",
        "mpim:read",
        "reactions:write",
        "users:read",
    }
)
"""The scopes of the bot token."""
STRUCTURED = frozenset(
    {"blocks", "attachments", "view", "files", "metadata", "chunks", "prompts", "loading_messages", "file_ids"}
)
FLAGS = frozenset(
    {
        "as_user",
        "include_all_metadata",
        "include_locale",
        "include_num_members",
        "inclusive",
        "link_names",
        "mrkdwn",
        "prevent_creation",
        "reply_broadcast",
        "return_im",
        "unfurl_links",
        "unfurl_media",
    }
)
NUMBERS = frozenset({"length", "limit", "count", "page"})


class ApiError(Exception):
    """The method answers with `ok: false` and this error."""

    def __init__(self, error: str, *messages: str, status: int = 200, retry_after: int = 0, **extra: Any) -> None:
        super().__init__(error)
        self.error = error
        self.status = status
        self.retry_after = retry_after
        self.extra = extra
        if messages:
            self.extra["response_metadata"] = {"messages": limits.format_errors(messages)}


@dataclass(frozen=True)
class Method:
    """A Web API method: its rate tier, the scopes of which it needs one, and its required arguments."""

    handler: Handler
    tier: int
    scopes: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    app_token: bool = False


@dataclass
class Call:
    """A received call: `at` is its monotonic time, `error` the error of its answer, "" for success."""

    method: str
    arguments: Json
    token: str
    at: float
    error: str = ""
    result: Json = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Return a string argument, "" if it is missing."""
        return str(self.arguments.get(name) or "")


async def read_arguments(request: web.Request) -> tuple[Json, str]:
    """Return the arguments of a request with their types, however they were sent, and the token."""
    given: Json = dict(request.query)
    if request.content_type == "application/json":
        body = await request.json()
        given |= body
    elif request.method == "POST":
        given |= dict(await request.post())
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Basic":
        given["client_id"], _, given["client_secret"] = base64.b64decode(token).decode().partition(":")
        token = ""
    elif scheme != "Bearer":
        token = str(given.pop("token", ""))
    given.pop("token", None)
    return {name: _parse_value(name, value) for name, value in given.items()}, token


def _parse_value(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if name in STRUCTURED:
        try:
            return json.loads(value)
        except ValueError:
            return value
    if name in FLAGS:
        return value.casefold() in ("1", "true")
    if name in NUMBERS and value.isdecimal():
        return int(value)
    return value
