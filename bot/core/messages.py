"""What travels between a platform and the core: a `Request` in, snapshots of a `Reply` out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bot.core.model_events import Token


PRIVATE_THREAD = "private_thread"
"""The key of `Request.resume` that is true in a thread that only some in its channel may read."""


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. The adapter says whether the platform's rights make them a moderator here."""

    id: str
    name: str
    is_moderator: bool = False
    is_operator: bool = False
    """Runs this deployment: the person at the terminal."""
    locale: str = "en"
    roles: tuple[str, ...] | None = ()
    """Their ids; None where they could not be found out."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel given as an option."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Role:
    """A role given as an option."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file. `alt` says in words what a picture shows, for those who cannot see it."""

    filename: str
    data: bytes
    media_type: str = "application/octet-stream"
    alt: str = ""
    spoiler: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was said.

    `server` is empty in direct messages, those of people among themselves included, and `thread` outside threads.
    """

    platform: str
    channel: str
    server: str = ""
    thread: str = ""


@dataclass(frozen=True, slots=True)
class Button:
    """Something to press under a reply.

    A plugin's button runs `command` with `options`, as whoever presses it; the core's own carry an `action`
    ("stop", "again" …). `id` is set by the core once the message is stored.
    """

    label: str
    command: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    action: str = ""
    id: str = ""
    style: str = "secondary"
    """"primary", "secondary" or "danger"."""
    turns: bool = False
    """Whether the answer it leads to takes the place of the one that it stands under, where a platform can do that."""


@dataclass(frozen=True, slots=True)
class Action:
    """A button that was pressed, or a form that was sent: `id` is the button's, `fields` the form's values."""

    id: str
    fields: Mapping[str, Any] | None = None
    private: bool = False
    """Whether the message with the button is for the asker alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One thing that a user wants, in one of three shapes.

    - `text`: a line as typed, "/ask temperature:0.2 Why?" or, without a slash, words for the default command;
    - `command` and `options`: what a typed interface collected;
    - `action`: a button or a form.

    Whatever the shape, a handler finds in `options` what whoever asks named themselves, as they gave it.
    """

    user: User
    place: Place
    text: str = ""
    command: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    action: Action | None = None
    message: str = ""
    """The platform's id of the user's own message, where there is one."""
    reply_to: str = ""
    """The platform's id of the message this one replies to, where there is one."""
    alone: bool = False
    """Whether nobody but whoever asks, and the bot, reads what is said there."""
    can_show_forms: bool = False
    """Whether the platform can answer with a form, so that a bare "/ask" opens one."""
    can_turn_pages: bool = False
    """Whether the platform can give a message other words and other files."""
    resume: Mapping[str, Any] = field(default_factory=dict)
    """What the adapter wants to know again after a restart, as JSON; of this the core reads `PRIVATE_THREAD`."""


@dataclass(frozen=True, slots=True)
class Column:
    """One of several parts of an answer that are made at the same time. `text` (Markdown) only grows until `final`."""

    text: str
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The whole message as it should look now, never a change to it.

    `text` (Markdown) only grows until `final`; `status` is a passing line beside it (queue place, step), and on
    a final reply a note on how it ended. `card` holds the facts of how it was made, name to value, in order. `tokens`
    are what a language model wrote, to be kept with the answer.
    Where parts grow at the same time, they are `columns` until the answer is whole: the core makes `text` of them, up
    to the first one that still grows, and a platform with room shows them side by side. The last reply has its text.
    The core fills in the rest: `quote`, the question that a public answer begins with; `row`, its number for the
    message; `deleted`, when the message is to go; `option`, the one that an error is about, for forms; `partial`, when
    an error ends what had begun to be told; `refused`, when a rule says no to whoever asks, which is nobody else's
    business.
    """

    text: str = ""
    status: str = ""
    final: bool = False
    attachments: tuple[Attachment, ...] = ()
    buttons: tuple[Button, ...] = ()
    card: Mapping[str, str] = field(default_factory=dict)
    private: bool = False
    error: bool = False
    quote: str = ""
    row: int = 0
    deleted: bool = False
    option: str = ""
    partial: bool = False
    refused: bool = False
    tokens: tuple[Token, ...] = ()
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True)
class Provenance:
    """How an answer came to be: what was asked for, and the facts on its card."""

    command: str
    options: Mapping[str, Any]
    card: Mapping[str, str]
    author_name: str
    created: datetime


@dataclass(frozen=True, slots=True)
class Form:
    """A form to show at once: one field per option. `id` comes back as the action's id with the fields."""

    id: str
    title: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form. `kind` is "text", "integer", "number", "boolean", "choice" or "attachment"."""

    name: str
    label: str
    kind: str
    value: str = ""
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a page: Markdown below a heading."""

    heading: str
    text: str
    anchor: str
    """Its id on the page, for links."""
    level: int = 2
    """Of the heading: 1 is the page's own title."""
    ask: str = ""
    """A line that asks about it, for the message box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Something to read beside the chat. `name` is its address among the pages of a plugin."""

    name: str
    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class StoredQuestion:
    """Something that somebody wrote: in which server, and to which command."""

    server: str
    command: str
    text: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who wants to know what is stored about them, or have it deleted, and what they wrote that is stored."""

    platform: str
    id: str
    name: str
    asked: tuple[StoredQuestion, ...] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """What a plugin knows about a question, as a language model shall read it, and where it stands, in words."""

    text: str
    source: str
