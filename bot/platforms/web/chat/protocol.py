"""What goes over the WebSocket, as JSON: what a page sends, checked, and what it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from bot.answers import buttons as actions
from bot.core.errors import UserError
from bot.core.i18n import translate
from bot.platforms.web.chat.files import PICTURE_TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.commands.command import Command
    from bot.core.messages import Form, Reply, User
    from bot.core.model_events import Token
    from bot.platforms.web.chat.files import File
    from bot.platforms.web.chat.room import Exchange, Room

MOST_BYTES = 512 << 10
"""Of one WebSocket message: the longest text, however it is escaped."""
MOST_TEXT = 64 << 10
"""Characters of one typed message."""

Short = Annotated[str, Field(max_length=200)]
Row = Annotated[int, Field(ge=0, lt=1 << 60)]


class ClientMessage(BaseModel):
    """The base of what a page sends."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Say(ClientMessage):
    """A line as typed. `ref` is the page's mark for it, so that sending it twice says it once.

    `thread` and `parent` are rows of answers, or 0; `files` names the uploads for options of the line's command.
    """

    type: Literal["say"]
    text: str
    ref: Short
    thread: Row = 0
    parent: Row = 0
    files: Annotated[dict[Short, Short], Field(max_length=25)] = {}


class Press(ClientMessage):
    """A button under an exchange; `thread` is the one that the page shows, or 0."""

    type: Literal["press"]
    exchange: int
    id: Short
    ref: Short
    thread: Row = 0


class Submit(ClientMessage):
    """A form, with its fields as typed; a file field holds the name that its upload was given.

    `ref` is the page's mark for it, so that sending it twice does it once.
    """

    type: Literal["submit"]
    id: Short
    fields: Annotated[dict[Short, str], Field(max_length=25)]
    files: Annotated[dict[Short, Short], Field(max_length=25)]
    ref: Short
    thread: Row = 0


class Complete(ClientMessage):
    """What fits an option's value so far? `line` is what stands before it."""

    type: Literal["complete"]
    command: Short
    option: Short
    typed: Short
    line: Short = ""
    ref: Short


class Name(ClientMessage):
    """The visitor wants to be called this."""

    type: Literal["name"]
    name: Short


class Enter(ClientMessage):
    """The page shows another room from now on."""

    type: Literal["enter"]
    room: Short


class Typing(ClientMessage):
    """The visitor is writing."""

    type: Literal["typing"]


class MakeRoom(ClientMessage):
    """A moderator wants a new room, once for each mark `ref`."""

    type: Literal["make_room"]
    name: Short
    ref: Short


class CloseRoom(ClientMessage):
    """A moderator wants a room to go, once for each mark `ref`."""

    type: Literal["close_room"]
    room: Short
    ref: Short


class Tokens(ClientMessage):
    """Of which tokens does this answer consist, and what else was likely?"""

    type: Literal["tokens"]
    exchange: int
    ref: Short


class SignOut(ClientMessage):
    """The visitor gives up the rights of a moderator."""

    type: Literal["sign_out"]


class Ping(ClientMessage):
    """The page wants to hear whether anybody is there."""

    type: Literal["ping"]


Incoming = Say | Press | Submit | Complete | Name | Enter | Typing | MakeRoom | CloseRoom | Tokens | SignOut | Ping
_INCOMING: TypeAdapter[Incoming] = TypeAdapter(Annotated[Incoming, Field(discriminator="type")])


def read(data: str) -> Incoming:
    """What the page sent. Raises UserError for what no page of ours would send."""
    try:
        return _INCOMING.validate_json(data)
    except ValidationError:
        raise UserError("The page sent something that the bot does not understand; reload the page.") from None


def welcome(
    user: User,
    room: Room,
    rooms: Sequence[str],
    commands: Sequence[Command],
    links: Sequence[tuple[str, str]],
) -> dict[str, Any]:
    """What a page is told when it opens, and when it enters another room: who you are, where, what can be asked, and
    what was said. `links` are further pages, each with its address and its name.
    """
    return {
        "type": "welcome",
        "you": person(user) | {"moderator": user.is_moderator},
        "room": room.name,
        "rooms": list(rooms),
        "links": [{"url": url, "label": label} for url, label in links],
        "commands": [_command(command, user.locale) for command in commands],
        "exchanges": [exchange_for(user, exchange) for exchange in room.seen_by(user)],
    }


def person(user: User) -> dict[str, Any]:
    """A user as others see them."""
    return {"id": user.id, "name": user.name}


def exchange_for(user: User, exchange: Exchange) -> dict[str, Any]:
    """The whole exchange as it is now, as `user` sees it."""
    reply = exchange.reply
    mine = exchange.author.id == user.id
    shown = [(file, name) for file, name in exchange.files if file.media_type in PICTURE_TYPES]
    return {
        "type": "exchange",
        "id": exchange.id,
        "at": exchange.at,
        "author": person(exchange.author),
        "mine": mine,
        "row": reply.row,
        "thread": exchange.thread,
        "parent": exchange.parent,
        "private": exchange.private,
        "for_moderators": exchange.for_moderators,
        "question": exchange.question or reply.quote,
        "reply": _reply(reply, user.locale, may=mine or user.is_moderator)
        | {
            "pictures": [_picture(file, name) for file, name in shown],
            "files": [_file(file, name) for file, name in exchange.files if (file, name) not in shown],
        },
    }


def form(shown: Form) -> dict[str, Any]:
    """A form to show at once."""
    fields = [
        {
            "name": field.name,
            "label": field.label,
            "kind": field.kind,
            "value": field.value,
            "required": field.required,
            "minimum": field.minimum,
            "maximum": field.maximum,
            "choices": list(field.choices),
        }
        for field in shown.fields
    ]
    return {"type": "form", "id": shown.id, "title": shown.title, "fields": fields}


def _reply(reply: Reply, locale: str, *, may: bool) -> dict[str, Any]:
    """What is stored has its buttons and its status in English, for each reader to see them in their own language."""
    return {
        "quote": reply.quote,
        "text": reply.text,
        "status": translate(reply.status, locale),
        "final": reply.final,
        "error": reply.error,
        "card": list(reply.card.items()),
        "columns": [[column.text, column.final] for column in reply.columns],
        "tokens": reply.final and not reply.error and bool(reply.text) and "tokens" in reply.card,
        "buttons": [
            # What a plugin's button says may be anything, such as a token.
            {
                "id": button.id,
                "label": translate(button.label, locale) if button.action else button.label,
                "style": button.style,
            }
            for button in reply.buttons
            if button.id and (may or button.command or button.action in actions.ANYBODY)
        ],
    }


def _picture(file: File, name: str) -> dict[str, Any]:
    width, height = file.pixels or (None, None)
    return _file(file, name) | {
        "alt": file.alt,
        "spoiler": file.spoiler,
        "width": width,
        "height": height,
    }


def _file(file: File, name: str) -> dict[str, Any]:
    return {"url": f"/files/{name}", "name": file.filename, "size": file.size}


def _command(command: Command, locale: str) -> dict[str, Any]:
    return {
        "name": command.name,
        "description": translate(command.description, locale),
        "usage": command.usage(),
        "options": [
            {
                "name": option.name,
                "description": translate(option.description, locale) if option.description else "",
                "kind": option.kind,
                "expects": option.expects().in_language(locale),
                "required": option.required,
                "default": None if option.default is None else str(option.default),
                "minimum": option.minimum,
                "maximum": option.maximum,
                "choices": [str(choice) for choice in option.choices],
                "free_text": option.free_text,
                "completes": option.complete is not None,
            }
            for option in command.options
        ],
    }


def tokens(found: Sequence[Token]) -> list[list[Any]]:
    """The tokens of an answer for the page: text, probability, and what else was likely with its probability.

    In place of a hidden text stands None.
    """
    return [
        [
            token.text,
            six_digits(token.probability),
            [[None if one.hidden else one.text, six_digits(one.probability)] for one in token.likely],
        ]
        for token in found
    ]


def six_digits(probability: float) -> float:
    """In six digits, however small it is: a token that was drawn was never impossible."""
    return float(f"{probability:.6g}")
