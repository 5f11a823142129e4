"""The messages that a page sends over its WebSocket, validated."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from bot.core.errors import UserError
from bot.platforms.web.sent_json import parse_json

MAX_MESSAGE_BYTES = 512 << 10
"""Largest WebSocket message. The longest text fits, however it is escaped."""
MAX_TEXT_CHARS = 64 << 10
"""Longest typed message, and longest text in a form."""

ShortText = Annotated[str, Field(max_length=200)]
RowId = Annotated[int, Field(ge=0, lt=1 << 60)]


class ClientMessage(BaseModel):
    """The base of the messages that a page sends."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Say(ClientMessage):
    """Answer a typed line. The page chooses `ref`, so that a line which is sent twice is answered once.

    `thread` and `parent` are rows of answers, or 0; `files` has the names of uploads by option of the line's command.
    `again` says that the page has sent it before, perhaps to another process.
    """

    type: Literal["say"]
    text: str
    ref: ShortText
    again: bool = False
    thread: RowId = 0
    parent: RowId = 0
    files: Annotated[dict[ShortText, ShortText], Field(max_length=25)] = {}


class Press(ClientMessage):
    """Press a button under an exchange. `thread` is the thread that the page shows, or 0."""

    type: Literal["press"]
    exchange: RowId
    id: ShortText
    ref: ShortText
    thread: RowId = 0


class Submit(ClientMessage):
    """Carry out a form with its fields as typed; `files` has the names of uploads by field.

    The page chooses `ref`, so that a form which is sent twice is carried out once.
    """

    type: Literal["submit"]
    id: ShortText
    fields: Annotated[dict[ShortText, str], Field(max_length=25)]
    files: Annotated[dict[ShortText, ShortText], Field(max_length=25)]
    ref: ShortText
    thread: RowId = 0


class Complete(ClientMessage):
    """Suggest values for an option of which the beginning was `typed`; `line` is the text before it."""

    type: Literal["complete"]
    command: ShortText
    option: ShortText
    typed: ShortText
    line: ShortText = ""
    ref: ShortText


class Name(ClientMessage):
    """Change the visitor's name."""

    type: Literal["name"]
    name: ShortText
    ref: ShortText = ""


class Enter(ClientMessage):
    """Show another room on the page."""

    type: Literal["enter"]
    room: ShortText


class Typing(ClientMessage):
    """Tell the others that the visitor is writing."""

    type: Literal["typing"]


class MakeRoom(ClientMessage):
    """Open a room, as a moderator; once for each `ref`."""

    type: Literal["make_room"]
    name: ShortText
    ref: ShortText


class CloseRoom(ClientMessage):
    """Close a room, as a moderator; once for each `ref`."""

    type: Literal["close_room"]
    room: ShortText
    ref: ShortText


class Dismiss(ClientMessage):
    """Stop showing an exchange that the visitor alone sees."""

    type: Literal["dismiss"]
    exchange: RowId


class Tokens(ClientMessage):
    """Send the tokens of an answer, with the alternatives that were likely."""

    type: Literal["tokens"]
    exchange: RowId
    ref: ShortText


class SignOut(ClientMessage):
    """Take the rights of a moderator from the visitor."""

    type: Literal["sign_out"]


class Ping(ClientMessage):
    """Answer with “pong”, so that the page knows the connection works."""

    type: Literal["ping"]


Incoming = (
    Say | Press | Submit | Complete | Name | Enter | Typing | MakeRoom | CloseRoom | Dismiss | Tokens | SignOut | Ping
)
_INCOMING: TypeAdapter[Incoming] = TypeAdapter(Annotated[Incoming, Field(discriminator="type")])


def parse_message(data: str) -> Incoming:
    """Return a page's message. Raises UserError if it is invalid, which it never is from our own page."""
    return parse_json(_INCOMING, data)


def check_length(text: str) -> None:
    """Raise UserError if a text that somebody typed is too long."""
    if len(text) > MAX_TEXT_CHARS:
        sentence = "A message may have {most} characters; this one has {count}."
        raise UserError(sentence, most=MAX_TEXT_CHARS, count=len(text))
