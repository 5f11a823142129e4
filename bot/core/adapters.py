"""The interface between the core and the platforms, and the registry of the platforms that run."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any, Protocol

from bot.core.errors import UserError
from bot.core.messages import base_platform

if TYPE_CHECKING:
    import re
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from bot.core.messages import Place, User


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """The features of a platform and the form of its ids. The defaults describe a platform with none of them."""

    ids: re.Pattern[str] | None = None
    """The form of an id, or None if the name of a channel or a role is its id."""
    home: Place | None = None
    """The only place that has settings, or None if there are many servers, each with its own moderators."""
    is_local: bool = False
    """True if its only user sits at this machine and runs the bot."""
    has_pages: bool = False
    """True if it shows the pages of plugins itself."""
    translates_notes: bool = False
    """True if it translates the notes below an answer for each reader."""
    keeps_messages: bool = False
    """True if it stores messages itself, so that they stay there when the bot deletes its own data."""
    channel_mention: str = ""
    """The Markdown that shows a channel by its name, with “{id}” for its id. Empty if there is none."""
    time_mention: str = ""
    """The Markdown that shows a time in the reader's time zone, with “{seconds}” since 1970. Empty if there is none."""

    countdown: str = ""
    """The Markdown that counts down to a time by itself, with “{seconds}” since 1970. Empty if there is none."""

    def is_id(self, text: str) -> bool:
        """Return whether `text` is an id; False on platforms where names are ids."""
        return self.ids is not None and self.ids.fullmatch(text) is not None

    def mention_channel(self, channel: str) -> str:
        """Return the Markdown that shows a channel by its name, or "" if there is none."""
        return self.channel_mention.format(id=channel)

    def show_countdown(self, seconds: float) -> str:
        """Return the Markdown that counts down to a time in seconds since 1970, or "" if there is none."""
        return self.countdown.format(seconds=round(seconds))

    def show_time(self, moment: datetime) -> str:
        """Return a time to the minute, in the reader's time zone if the platform knows that; else it says its zone."""
        if self.time_mention:
            return self.time_mention.format(seconds=int(moment.timestamp()))
        # At the terminal, the reader's zone is that of this machine.
        return f"{moment.astimezone(None if self.is_local else UTC):%Y-%m-%d %H:%M %Z}"


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """A message on a platform; `external` is the platform's id of it.

    `row` is the answer that the message shows, if known, and `resume` what the adapter stored with that answer.
    `question` is the platform's id of the question, and `is_last` is true if the question has no other answer.
    """

    place: Place
    external: str = ""
    row: int = 0
    resume: Mapping[str, Any] = field(default_factory=dict)
    is_last: bool = False
    question: str = ""


class PlatformAdapter(Protocol):
    """The methods that the core calls on a platform."""

    @property
    def capabilities(self) -> Capabilities:
        """The features of this platform."""

    async def find_user(self, name: str, place: Place) -> User | None:
        """Return the user with this id or, on platforms that show no ids, this name, with their rights in `place`.

        The roles of a user who is not in the server of `place` are None. Returns None if the user is not certain.
        """

    async def find_channels(self, name: str, place: Place) -> Sequence[str]:
        """Return the ids of the channels in the server of `place` that have this name or this id.

        Raises UserError if they cannot be looked up.
        """

    def parse_link(self, link: str, place: Place) -> ShownMessage | None:
        """Return the message that a link leads to; None if it is not a link to a message."""

    async def delete_messages(self, shown: ShownMessage, externals: Sequence[str]) -> bool:
        """Delete messages of the bot; return False if one of them is not the bot's or cannot be deleted."""

    async def forget_user(self, user_id: str, gone: Collection[int]) -> None:
        """Stop showing what a user wrote, and the answers to others whose rows are in `gone`.

        This concerns only what this process shows. The messages that the platform stores stay.
        """

    async def locale(self, server: str) -> str:
        """Return the language of a server."""

    async def post(self, server: str, channel: str, text: str) -> None:
        """Post Markdown of at most 1800 characters in a channel without notifying anybody. Raises CannotPost."""


class Adapters:
    """The adapters of the platforms that run in this process, and the capabilities of all known platforms."""

    def __init__(self, known: Mapping[str, Capabilities] | None = None) -> None:
        """`known` maps the name of each platform to its capabilities, also of those that do not run in this process."""
        self._known = dict(known or {})
        self._adapters: dict[str, PlatformAdapter] = {}

    @contextmanager
    def registered(self, platform: str, adapter: PlatformAdapter) -> Iterator[None]:
        """Use `adapter` for as long as the context lasts."""
        self._adapters[platform] = adapter
        try:
            yield
        finally:
            del self._adapters[platform]

    def get(self, platform: str) -> PlatformAdapter | None:
        """Return the adapter of a platform, or None if the platform does not run in this process."""
        return self._adapters.get(platform)

    def is_known(self, platform: str) -> bool:
        """Return whether there is a platform of this name, here or in another process."""
        return base_platform(platform) in self._known or platform in self._adapters

    def server_forms(self) -> list[str]:
        """Return how servers are named on each known platform: "web", or "discord:ID" where there are many."""
        return [f"{name}:ID" if one.home is None else name for name, one in self._known.items()]

    def capabilities(self, platform: str) -> Capabilities:
        """Return the capabilities of a platform, whether it runs in this process or in another."""
        if (adapter := self.get(platform)) is not None:
            return adapter.capabilities
        return self._known.get(base_platform(platform), Capabilities())

    async def resolve_channel(self, typed: str, place: Place) -> str:
        """Return the id of a channel given as #name or as its id; `typed` itself if the platform runs elsewhere.

        Raises UserError if no channel has this name, or several have it.
        """
        if (adapter := self.get(place.platform)) is None:
            return typed
        name = typed.removeprefix("#")
        channels = await adapter.find_channels(name, place)
        if len(channels) == 1:
            return channels[0]
        if not channels:
            sentence = "I know no channel “{name}” here. Pick it from the list that appears, or give its id."
            raise UserError(sentence, name=name[:60])
        one = "A channel is called “{name}” here. Pick it from the list that appears, or give its id."
        several = "{count} channels are called “{name}” here. Pick one from the list that appears, or give its id."
        raise UserError(one, several, name=name[:60], count=len(channels))
