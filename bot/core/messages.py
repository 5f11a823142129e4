"""The objects that pass between a platform and the core: a `Request` goes in, snapshots of a `Reply` come out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from bot.core.i18n import language_code

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from bot.core.i18n import Sentence
    from bot.core.model_events import Token


PRIVATE_THREAD = "private_thread"
"""The key of `Request.resume` that is true in a thread that not everybody in its channel may read."""

ALONE, WITH_FILES = "alone", "files"
"""The key under which `Request.alone` is stored with a question and with its answers."""


MODEL_FACTS = frozenset({"model", "models"})
"""The facts on a card that name what made the answer."""


@dataclass(frozen=True, slots=True)
class User:
    """A user of a platform. The adapter decides by the platform's rights whether they are a moderator in a place."""

    id: str
    name: str
    is_moderator: bool = False
    is_operator: bool = False
    """True for the person who runs this deployment, at the terminal."""
    locale: str = "en"
    roles: tuple[str, ...] | None = ()
    """The ids of the roles; None if they are not known."""


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
    """A file. `alt` describes a picture in words for people who cannot see it."""

    filename: str
    data: bytes
    media_type: str = "application/octet-stream"
    alt: str = ""
    spoiler: bool = False
    confidential: bool = False
    """True if it is for the asker alone and for a short time, as an export is: what keeps it must not keep it long."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on a platform. `fetch` returns it, or raises UserError if it cannot be fetched or is too large."""

    filename: str
    media_type: str
    fetch: Callable[[], Awaitable[Attachment]]

    @classmethod
    def of(cls, file: Attachment) -> Self:
        """Return a file that is here already."""

        async def fetch() -> Attachment:
            return file

        return cls(file.filename, file.media_type, fetch)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFile:
    """A file of a question as a model reads it: a text, or a `picture` as JPEG.

    `characters` is the length of the whole text, of which `text` may be the beginning.
    """

    filename: str
    text: str = ""
    characters: int = 0
    picture: bytes = b""


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a message.

    `server` is empty in direct messages, also in those between people, and `thread` is empty outside threads.
    """

    platform: str
    channel: str
    server: str = ""
    thread: str = ""


def base_platform(platform: str) -> str:
    """Return the platform itself: “slack” for “slack/T0123”, the name of one of its workspaces.

    A platform whose ids count in one workspace alone has a name for each workspace, so that no row, limit or setting is
    found in another one.
    """
    return platform.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Button:
    """A button under a reply.

    A plugin's button runs `command` with `options` for the user who presses it. The core's own buttons have an `action`
    ("stop", "again" …). The core sets `id` when the message is stored.
    """

    label: str
    command: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    action: str = ""
    id: str = ""
    style: str = "secondary"
    """"primary", "secondary" or "danger"."""
    turns: bool = False
    """True if the new answer replaces the one above the button, on platforms that can do that."""
    title: str = ""
    """What it does, for platforms with room for more than the label."""
    picture: int = 0
    """The number of the picture in a grid that the button is about; 0 if it is about the whole answer."""
    aside: bool = False
    """True if it may stand in a menu, on platforms that have one."""
    choices: int = 0
    """If not 0, whoever presses it gets, for themselves alone, the reply of `command` with `choice=0`.

    Of the buttons of that reply, the first one runs the command with `choice=1`, the second one with `choice=2` and so
    on, up to this number, and each time the new reply takes the place of the one before. Neither presses nor replies
    are stored. A message has one such button at most.
    """


@dataclass(frozen=True, slots=True)
class Action:
    """A press of a button, or a form that was sent: `id` is the id of the button, `fields` the values of the form."""

    id: str
    fields: Mapping[str, Any] | None = None
    private: bool = False
    """True if only the asker sees the message with the button."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request of a user, in one of three forms.

    - `text`: a line as typed, "/ask temperature:0.2 Why?" or, without a slash, words for the default command;
    - `command` and `options`: the values that a platform's own command interface collected;
    - `action`: a button or a form.

    In all three forms, a handler finds in `options` the options that the user named, as the user gave them.
    """

    user: User
    place: Place
    text: str = ""
    command: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    action: Action | None = None
    message: str = ""
    """The platform's id of the user's own message, if there is one."""
    reply_to: str = ""
    """The platform's id of the message that this one replies to, if there is one."""
    alone: bool = False
    """True if nobody but the user and the bot reads the messages of the place."""
    can_show_forms: bool = False
    """True if the platform can answer with a form, so that “/ask” without options opens one."""
    can_turn_pages: bool = False
    """True if the platform can replace the text and the files of a message."""
    message_files: tuple[RemoteFile, ...] = ()
    """The files of the message in whose menu the command was chosen, or in which it was typed."""
    address: str = ""
    """A keyed hash of the IP address of the request, on platforms where anybody can come as a new user."""
    resume: Mapping[str, Any] = field(default_factory=dict)
    """Values, as JSON, that the adapter needs again after a restart; the core reads only `PRIVATE_THREAD` of them."""


@dataclass(frozen=True, slots=True)
class Column:
    """One of several parts of an answer that grow at the same time. `text` (Markdown) only grows until `final`."""

    text: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Cause:
    """The press of a button that led to an answer.

    `source` is the row of the answer with the button, 0 if unknown. Where a token was replaced, `mark` is the new one,
    and `at` its place in the text, in units of UTF-16. `asks` is true if the question is not that of the source.
    """

    sentence: Sentence
    source: int = 0
    mark: str = ""
    at: int = 0
    asks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The whole message as it should look now, never a change to it.

    `text` (Markdown) only grows until `final`. `status` is a passing line beside it (place in the queue, step), or on a
    final reply a note on how it ended. `card` has the facts of how the answer was made, value by name, in order.
    `tokens` are the tokens that a language model wrote; they are stored with the answer. Parts that grow at the same
    time are `columns` until the answer is complete. The core makes `text` of them, up to the first one that still
    grows, and a platform with enough room shows them side by side. The last reply has all in `text`. The buttons
    of a reply that is not final can be pressed while the handler goes on. The core sets the other fields: `quote`, the
    question that a public answer begins with; `cause`, the button that led here, if one did; `row`, the number of the
    message; `deleted`, true if the message must be removed; `option`, the option that an error is about, for forms;
    `partial`, true if an error ends an answer of which something was shown; `refused`, true if a rule forbids the
    request, which only the asker should see.
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
    cause: Cause | None = None
    row: int = 0
    deleted: bool = False
    option: str = ""
    partial: bool = False
    refused: bool = False
    tokens: tuple[Token, ...] = ()
    columns: tuple[Column, ...] = ()

    @property
    def is_unstored_error(self) -> bool:
        """True if the request failed before anything was stored, so that a button or form can show the error itself."""
        return self.error and not self.row


def is_made_by_ai(card: Mapping[str, str]) -> bool:
    """Return whether the card of an answer says that a model made it."""
    return not MODEL_FACTS.isdisjoint(card)


@dataclass(frozen=True, slots=True)
class Provenance:
    """How an answer was made: the request, and the facts on the card; and the pictures in it.

    `author_name` is empty, and so are `options`, for somebody who may not see the answer.
    """

    command: str
    options: Mapping[str, Any]
    card: Mapping[str, str]
    author_name: str
    created: datetime
    pictures: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """A form that is shown at once, with one field for each option. `id` becomes the id of the action that sends it."""

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
    """The id of the part on the page, for links."""
    level: int = 2
    """The level of the heading; 1 is the title of the page."""
    ask: str = ""
    """A line for the message box that asks about this part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page to read beside the chat. `name` is its address among the pages of a plugin."""

    name: str
    title: str
    parts: tuple[Part, ...]
    translations: Mapping[str, Page] = field(default_factory=dict)
    """The same page in other languages, by code ("de")."""

    def in_language(self, locale: str) -> Page:
        """Return the translation for `locale` ("de-AT"), or this page if there is none."""
        return self.translations.get(language_code(locale), self)


@dataclass(frozen=True, slots=True)
class Document:
    """A document that moderators keep with a plugin, such as a lesson.

    `page` is the name of its `Page`, `versions` are the number, the file and the time of each that is kept, the newest
    first; none if it belongs to the deployment. `problem` says why it is not used.
    """

    title: str
    page: str = ""
    versions: tuple[tuple[int, str, datetime], ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """What moderators keep with a plugin: documents, and what people looked for in vain, each with how often.

    `add`, `restore` and `remove` are the plugin's commands, with the options `title` and `file`, `title` and `version`,
    and `title`.
    """

    documents: tuple[Document, ...]
    missed: tuple[tuple[str, int], ...]
    unhelpful: tuple[tuple[str, int], ...]
    add: str
    restore: str
    remove: str


@dataclass(frozen=True, slots=True)
class StoredQuestion:
    """A stored text that a user wrote, with its server and its command."""

    server: str
    command: str
    text: str


@dataclass(frozen=True, slots=True)
class Person:
    """A user who exports or deletes the data that is stored about them; `asked` are their stored questions."""

    platform: str
    id: str
    name: str
    asked: tuple[StoredQuestion, ...] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """A text of a plugin that answers a question, for a language model to read, and the name of its source.

    `language` is the English name of the question's language, or "" if the plugin cannot tell or it is English.
    """

    text: str
    source: str
    language: str = ""


def add_texts(prompt: str, files: Sequence[ReadFile]) -> str:
    """Return a prompt with the texts of its files before it."""
    texts = [
        f"The file “{file.filename}” {'begins' if len(file.text) < file.characters else 'says'}:\n\n{file.text}"
        for file in files
        if file.text
    ]
    return "\n\n".join([*texts, f"Question: {prompt}"]) if texts else prompt


def has_files(request: Request, options: Mapping[str, Any]) -> bool:
    """Return whether files came with a question, in its message or as options."""
    return bool(request.message_files) or any(isinstance(value, Attachment) for value in options.values())
