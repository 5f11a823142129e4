"""From what Slack sends to requests: who asks, where, in which words and with which files."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from bot.commands.grammar import join_pairs
from bot.core.errors import UserError
from bot.core.files import MAX_FILE_BYTES, require_size
from bot.core.messages import Attachment, Place, Request, User
from bot.core.splitting import append_typed_fields, select_typed_fields
from bot.platforms.slack.api.api import SlackError
from bot.platforms.slack.convert.commands import typed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.answers.decision import Decision
    from bot.core.messages import Reply
    from bot.platforms.slack.api.api import SlackApi
    from bot.platforms.slack.convert.people import UserDirectory

    Json = Mapping[str, Any]

PLATFORM = "slack"
PAGES = (".html", ".htm", ".xhtml")
SPECIAL = re.compile(r"<(?P<sign>[@#!]?)(?P<what>[^<>|]+)(?:\|(?P<label>[^<>]*))?>")


@dataclass(frozen=True, slots=True, kw_only=True)
class BotIdentity:
    """Who the bot is in its workspace: ids, and the name that it is invited by."""

    team: str
    user: str
    bot: str
    name: str
    workspace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPlace:
    """Where something was asked, and so where its answer goes. It can be kept as JSON for after a restart.

    `thread` is the ts of the message that the answer hangs on, "" while there is none. `question` is the ts of a
    message of ours that says what was asked, `spoken` whether what is meant for one goes into an existing `thread`,
    and `quoted` whether the question is to stand in the answer.
    """

    channel: str
    user: str
    locale: str = "en"
    thread: str = ""
    question: str = ""
    response_url: str = ""
    quoted: bool = True
    spoken: bool = False

    @property
    def is_direct(self) -> bool:
        """Whether it is a conversation of two, of whom the bot need not be one."""
        return self.channel.startswith("D")

    @property
    def aside(self) -> str:
        """The thread that a message for the asker alone goes into: Slack shows it only where one is under way."""
        return self.thread if self.spoken else ""

    def place(self, team: str) -> Place:
        """As the core knows it."""
        return Place(PLATFORM, self.channel, server="" if self.is_direct else team, thread=self.thread)

    def asker(self, user: User) -> User:
        """`user` with the rights that they have there: an admin of the workspace is none of a direct message."""
        return replace(user, is_moderator=user.is_moderator and not self.is_direct)

    def as_json(self) -> dict[str, Any]:
        """What `Request.resume` and a modal's private_metadata keep."""
        return asdict(self)


async def words(text: str, me: str, people: UserDirectory) -> str:
    """A message without Slack's escapes: its own mention cut out, others as names, links as their address."""
    own = rf"\s*<@{re.escape(me)}(?:\|[^>]*)?>\s*"
    text = re.sub(rf"\A(?:{own})+|(?:{own})+\Z", "", text)
    names = {}
    for match in SPECIAL.finditer(text):
        if match["sign"] == "@" and not match["label"]:
            names[match["what"]] = (await people.find(match["what"])).name
    return unescaped(SPECIAL.sub(lambda match: _plain(match, names), text)).strip()


def unescaped(text: str) -> str:
    """Text as it was typed, where Slack has escaped three characters of it."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _plain(match: re.Match[str], names: Mapping[str, str]) -> str:
    sign, what, label = match["sign"], match["what"], match["label"] or ""
    if sign == "@":
        return f"@{label or names.get(what, what)}"
    if sign == "#":
        return f"#{label or what}"
    if sign == "!":
        return label or f"@{what.partition('^')[0]}"
    return what if label in ("", what, re.sub(r"^(?:https?://|mailto:)", "", what)) else f"{label} ({what})"


def asked(decision: Decision, *, quoted: bool) -> str:
    """Return what a request asks, for a message that tells of it: its free text, or the command as it would be typed.

    Unless it is `quoted`, the command's name alone is told.
    """
    command, given = decision.command, decision.request.options
    if command is None:
        raise ValueError("Only commands ask something.")
    name = typed(f"/{command.name}", [command.name])
    if not quoted:
        return name
    free = command.free_text
    if free is not None and str(given.get(free.name) or "").strip():
        return str(given[free.name]).strip()
    pairs = {option: _text(value) for option, value in given.items() if value not in ("", None)}
    return f"{name} {join_pairs(pairs)}" if pairs else name


def with_typed(reply: Reply, request: Request) -> Reply:
    """The reply; one that refuses a form holds what was typed into it."""
    if request.action is None or not reply.error or reply.row:
        return reply
    typed = select_typed_fields(request.action.fields or {})
    return replace(reply, text=append_typed_fields(reply.text, typed, request.user.locale))


def _text(value: Any) -> str:
    return value.filename if isinstance(value, Attachment) else str(value)


# Files: a request is decided on with their names alone, and fetches them once it is acknowledged.


def announced(request: Request) -> Request:
    """The request with an empty file for each of Slack's."""
    return _with_files(request, {name: _empty(file) for name, file in files(request).items()})


async def fetch_files(request: Request, web: SlackApi) -> dict[str, Attachment]:
    """Return the files of a form, by field. Raises UserError if one cannot be had."""
    return {name: await _fetch(file, web) for name, file in files(request).items()}


def files(request: Request) -> dict[str, Mapping[str, Any]]:
    """The files that were put into a form, as Slack tells of them."""
    fields = request.action.fields if request.action is not None else None
    return {name: value for name, value in (fields or {}).items() if isinstance(value, dict)}


def _with_files(request: Request, found: Mapping[str, Attachment]) -> Request:
    if request.action is None or not found:
        return request
    return replace(request, action=replace(request.action, fields={**(request.action.fields or {}), **found}))


async def _fetch(file: Mapping[str, Any], web: SlackApi) -> Attachment:
    made = _empty(file)
    require_size(made.filename, int(file.get("size") or 0))
    try:
        is_page = made.media_type == "text/html" or made.filename.lower().endswith(PAGES)
        data = await web.fetch(str(file.get("url_private") or ""), MAX_FILE_BYTES, is_page=is_page)
    except SlackError as error:
        raise UserError("{file} could not be fetched from Slack; send it again.", file=made.filename) from error
    return replace(made, data=data)


def _empty(file: Mapping[str, Any]) -> Attachment:
    media_type = str(file.get("mimetype") or "application/octet-stream")
    return Attachment(str(file.get("name") or "file"), b"", media_type, str(file.get("alt_txt") or ""))
