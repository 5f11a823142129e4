"""One call of a Web API method: its arguments as Slack reads them, and how it is refused."""

from __future__ import annotations

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
            self.extra["response_metadata"] = {"messages": limits.listed(messages)}


@dataclass(frozen=True)
class Method:
    """What Slack says of a method: its rate tier, the scopes it needs (one of them) and the arguments it requires."""

    handler: Handler
    tier: int
    scopes: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    app_token: bool = False


@dataclass
class Call:
    """A call as it came in: `at` is monotonic, `error` what it was answered with, "" for success."""

    method: str
    arguments: Json
    token: str
    at: float
    error: str = ""
    result: Json = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A string argument, "" if it was left out."""
        return str(self.arguments.get(name) or "")


async def arguments(request: web.Request) -> tuple[Json, str]:
    """The arguments of a request, whichever way they were sent, with their types; and the token."""
    given: Json = dict(request.query)
    if request.content_type == "application/json":
        body = await request.json()
        given |= body
    elif request.method == "POST":
        given |= dict(await request.post())
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer":
        token = str(given.pop("token", ""))
    given.pop("token", None)
    return {name: _typed(name, value) for name, value in given.items()}, token


def _typed(name: str, value: Any) -> Any:
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
