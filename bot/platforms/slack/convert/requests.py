"""Turns Slack payloads into parts of a request: the place, the text and the files."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bot.commands.grammar import join_pairs
from bot.core.errors import UserError
from bot.core.files import MAX_FILE_BYTES, require_size
from bot.core.messages import Attachment, Place, RemoteFile, Request, User
from bot.core.splitting import append_typed_fields, select_typed_fields
from bot.core.text import strip_mentions
from bot.platforms.slack.api.errors import SlackError
from bot.platforms.slack.convert.commands import adapt_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.answers.decision import Answer
    from bot.core.messages import Reply
    from bot.platforms.slack.api.api import SlackApi
    from bot.platforms.slack.convert.people import UserDirectory

    Json = Mapping[str, Any]

log = logging.getLogger(__name__)

PLATFORM = "slack"
PAGE_SUFFIXES = (".html", ".htm", ".xhtml")
REFERENCE = re.compile(r"<(?P<sign>[@#!]?)(?P<target>[^<>|]+)(?:\|(?P<label>[^<>]*))?>")


@dataclass(frozen=True, slots=True, kw_only=True)
class BotIdentity:
    """The bot's ids in its workspace, and the name by which people invite it."""

    team: str
    user: str
    bot: str
    name: str
    workspace: str
    enterprise: str = ""
    """The organisation that the workspace belongs to, if any; its other workspaces share channels with this one."""
    platform: str = PLATFORM
    """The name under which the core stores what is of this workspace."""

    @property
    def workspaces(self) -> frozenset[str]:
        """The ids of the workspace and of its organisation."""
        return frozenset({self.team, self.enterprise} - {""})


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPlace:
    """The place of a question, and so of its answer. It is stored as JSON to survive restarts.

    `thread` is the ts of the first message of the answer's thread, "" while there is none. `question` is the ts of the
    message in which the bot repeats the question. `spoken` is true if people already talk in `thread`, so that
    ephemeral messages are visible there. `quoted` is true if the answer shall quote the question. `team` is the asker's
    workspace, "" if it is not known: in a channel that workspaces share, it may be another one than the bot's.
    """

    channel: str
    user: str
    locale: str = "en"
    thread: str = ""
    question: str = ""
    response_url: str = ""
    quoted: bool = True
    spoken: bool = False
    team: str = ""

    @property
    def is_direct(self) -> bool:
        """True for direct messages, of the asker with the bot or with somebody else."""
        return self.channel.startswith("D")

    @property
    def ephemeral_thread(self) -> str:
        """The thread for messages to the asker only, "" for none: Slack shows them only in threads with messages."""
        return self.thread if self.spoken else ""

    def to_place(self, team: str, platform: str = PLATFORM) -> Place:
        """Return the place as the core knows it: in the workspace `team`, whose rows are stored under `platform`."""
        return Place(platform, self.channel, server="" if self.is_direct else team, thread=self.thread)

    def limit_rights(self, user: User) -> User:
        """Return `user` with the rights that they have here: nobody is a moderator in direct messages."""
        return replace(user, is_moderator=user.is_moderator and not self.is_direct)

    @classmethod
    def from_stored(cls, resume: Mapping[str, Any]) -> AnswerPlace:
        """Return the place that was stored with an answer, beside values of the core, or in a modal."""
        return cls(**{name: value for name, value in resume.items() if name in cls.__slots__})

    def as_json(self) -> dict[str, Any]:
        """Return the fields as `Request.resume` and a modal's private_metadata store them."""
        return asdict(self)


def team_of(*named: str | None) -> str:
    """Return a user's workspace from the ids that Slack names for it, or else their organisation (E…)."""
    known = sorted(filter(None, named), key=lambda team: not team.startswith("T"))
    return known[0] if known else ""


async def read_text(text: str, bot_user: str, users: UserDirectory) -> str:
    """Return a message as plain text: without the bot's own mention, with names for ids and addresses for links."""
    text = strip_mentions(text, re.compile(rf"<@{re.escape(bot_user)}(?:\|[^<>]*)?>"))
    names = {}
    for match in REFERENCE.finditer(text):
        if match["sign"] == "@" and not match["label"] and match["target"] not in names:
            names[match["target"]] = await users.find_name(match["target"])
    return unescape(REFERENCE.sub(lambda match: _plain_reference(match, names), text)).strip()


def unescape(text: str) -> str:
    """Undo Slack's escapes of three characters."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _plain_reference(match: re.Match[str], names: Mapping[str, str]) -> str:
    sign, target, label = match["sign"], match["target"], match["label"] or ""
    if sign == "@":
        return f"@{label or names.get(target, target)}"
    if sign == "#":
        return f"#{label or target}"
    if sign == "!":
        return label or f"@{target.partition('^')[0]}"
    return target if label in ("", target, re.sub(r"^(?:https?://|mailto:)", "", target)) else f"{label} ({target})"


def question_text(decision: Answer, *, quoted: bool) -> str:
    """Return the text of a request for the message that repeats it: its free text, or the command as it would be typed.

    Without `quoted` it is the command's name alone.
    """
    command, options = decision.command, decision.request.options
    name = adapt_text(f"/{command.name}", [command.name])
    if not quoted:
        return name
    free_text_option = command.free_text
    if free_text_option is not None and str(options.get(free_text_option.name) or "").strip():
        return str(options[free_text_option.name]).strip()
    pairs = {option: _value_text(value) for option, value in options.items() if value not in ("", None)}
    return f"{name} {join_pairs(pairs)}" if pairs else name


def keep_form_input(reply: Reply, request: Request) -> Reply:
    """Return the reply; if it refuses a form, append what the user typed into it."""
    if request.action is None or not reply.error or reply.row:
        return reply
    typed = select_typed_fields(request.action.fields or {})
    return replace(reply, text=append_typed_fields(reply.text, typed, request.user.locale))


def _value_text(value: Any) -> str:
    return value.filename if isinstance(value, Attachment) else str(value)


# Files: a request is decided with their names only, and they are fetched once Slack's payload is acknowledged.


def with_empty_files(request: Request) -> Request:
    """Return the request with an empty attachment for each file."""
    return _with_files(request, {name: _empty_attachment(file) for name, file in form_files(request).items()})


async def fetch_files(request: Request, api: SlackApi) -> dict[str, Attachment]:
    """Download the files of a form; return them by field. Raises UserError if one cannot be fetched."""
    return {name: await _fetch(file, api) for name, file in form_files(request).items()}


async def files_of(message: Mapping[str, Any], api: SlackApi) -> tuple[RemoteFile, ...]:
    """Return the files of a message, as Slack describes it."""
    named = [file for file in message.get("files") or () if isinstance(file, dict)]
    described = await asyncio.gather(*(_describe_if_possible(file, api) for file in named))
    empty = [(file, _empty_attachment(file)) for file in described]
    return tuple(RemoteFile(shown.filename, shown.media_type, partial(_fetch, file, api)) for file, shown in empty)


def form_files(request: Request) -> dict[str, Mapping[str, Any]]:
    """Return the files of a form as Slack describes them, by field."""
    fields = request.action.fields if request.action is not None else None
    return {name: value for name, value in (fields or {}).items() if isinstance(value, dict)}


def _with_files(request: Request, attachments: Mapping[str, Attachment]) -> Request:
    if request.action is None or not attachments:
        return request
    return replace(request, action=replace(request.action, fields={**(request.action.fields or {}), **attachments}))


async def _describe(file: Mapping[str, Any], api: SlackApi) -> Mapping[str, Any]:
    """Return a file as Slack describes it. Of one that somebody of another workspace sent it tells just the id first.

    Raises SlackError.
    """
    is_described = file.get("file_access") != "check_file_info"
    return file if is_described else await api.file_info(str(file.get("id") or ""))


async def _describe_if_possible(file: Mapping[str, Any], api: SlackApi) -> Mapping[str, Any]:
    try:
        return await _describe(file, api)
    except SlackError as error:
        # Whoever needs the file is told.
        log.info("A file of another workspace could not be looked up: %s", error)
        return file


async def _fetch(file: Mapping[str, Any], api: SlackApi) -> Attachment:
    attachment = _empty_attachment(file)
    try:
        file = await _describe(file, api)
        attachment = _empty_attachment(file)
        require_size(attachment.filename, int(file.get("size") or 0))
        is_page = attachment.media_type == "text/html" or attachment.filename.lower().endswith(PAGE_SUFFIXES)
        data = await api.download(str(file.get("url_private") or ""), MAX_FILE_BYTES, is_page=is_page)
    except SlackError as error:
        raise UserError("{file} could not be fetched from Slack; send it again.", file=attachment.filename) from error
    return replace(attachment, data=data)


def _empty_attachment(file: Mapping[str, Any]) -> Attachment:
    media_type = str(file.get("mimetype") or "application/octet-stream")
    return Attachment(str(file.get("name") or "file"), b"", media_type, str(file.get("alt_txt") or ""))
