"""Exchanges as JSON, by which processes show each other's rooms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.core.i18n import Sentence
from bot.core.messages import Attachment, Button, Cause, Column, Reply, User
from bot.platforms.web.chat.room import Exchange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.platforms.web.chat.room import Room

FLAGS = ("private", "for_moderators", "read_along", "announcement", "notice")
REPLY_VALUES = ("text", "status", "final", "private", "error", "quote", "row", "option", "partial", "refused")
BUTTON_VALUES = ("label", "command", "action", "id", "style", "turns", "title", "picture", "aside", "choices")
"""Those that a page needs; what a button does is in the row of the answer."""
FILE_VALUES = ("filename", "media_type", "alt", "spoiler")


def exchange_as_json(room: Room, exchange: Exchange, files: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return an exchange; `files` are the descriptions of those of its reply that the others can fetch."""
    author = exchange.author
    return {
        "room": room.name,
        "key": exchange.key,
        "author": {"id": author.id, "name": author.name, "is_moderator": author.is_moderator},
        "question": exchange.question,
        "client_ref": exchange.client_ref,
        "began": exchange.began,
        "thread": exchange.thread,
        "parent": exchange.parent,
        **{name: getattr(exchange, name) for name in FLAGS},
        "reply": _reply_as_json(exchange.reply),
        "files": list(files),
    }


def read_exchange(data: Mapping[str, Any]) -> Exchange:
    """Return such an exchange, without its reply."""
    names = ("question", "client_ref", "began", "thread", "parent", *FLAGS)
    return Exchange(User(**data["author"]), **{name: data[name] for name in names})


def file_as_json(file: Attachment, digest: str) -> dict[str, Any]:
    """Return the description of a file that is kept under its digest."""
    return {name: getattr(file, name) for name in FILE_VALUES} | {"digest": digest}


def read_file(described: Mapping[str, Any], data: bytes) -> Attachment:
    """Return the file of such a description."""
    return Attachment(data=data, **{name: described[name] for name in FILE_VALUES})


def read_reply(data: Mapping[str, Any], attachments: Sequence[Attachment]) -> Reply:
    """Return the reply of an exchange."""
    return Reply(
        **{name: data[name] for name in REPLY_VALUES},
        card=data["card"],
        columns=tuple(Column(text, final) for text, final in data["columns"]),
        buttons=tuple(Button(**button) for button in data["buttons"]),
        cause=_read_cause(data["cause"]),
        attachments=tuple(attachments),
    )


def _reply_as_json(reply: Reply) -> dict[str, Any]:
    cause = reply.cause
    return {
        **{name: getattr(reply, name) for name in REPLY_VALUES},
        "card": dict(reply.card),
        "columns": [[column.text, column.final] for column in reply.columns],
        "buttons": [{name: getattr(button, name) for name in BUTTON_VALUES} for button in reply.buttons],
        "cause": None if cause is None else _cause_as_json(cause),
    }


def _cause_as_json(cause: Cause) -> dict[str, Any]:
    values = {"source": cause.source, "mark": cause.mark, "at": cause.at, "asks": cause.asks}
    return values | {"sentence": _value_as_json(cause.sentence)}


def _read_cause(data: Mapping[str, Any] | None) -> Cause | None:
    return None if data is None else Cause(**{**data, "sentence": _read_value(data["sentence"])})


def _value_as_json(value: object) -> Any:
    """Return a value of a sentence; one that is a sentence itself as an object, several as a list."""
    if isinstance(value, Sentence):
        return {"sentence": value.text, "values": {name: _value_as_json(one) for name, one in value.values.items()}}
    return [_value_as_json(one) for one in value] if isinstance(value, tuple) else value


def _read_value(value: Any) -> Any:
    if isinstance(value, dict):
        return Sentence(value["sentence"], {name: _read_value(one) for name, one in value["values"].items()})
    return tuple(map(_read_value, value)) if isinstance(value, list) else value
