"""What the core asks of a platform: to find people and channels, to post, to delete messages and to forget people."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from bot.core.errors import UserError

if TYPE_CHECKING:
    import re
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from bot.core.messages import Place, User


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a platform can do, and what its ids look like. The defaults describe a chat that can do none of it."""

    ids: re.Pattern[str] | None = None
    """The form of an id. None where the name of a channel or a role is its id."""
    home: Place | None = None
    """The one place that settings are for. None where there are many servers, each with its own moderators."""
    is_local: bool = False
    """True if its only user sits at this machine and runs the bot."""
    has_pages: bool = False
    """True if it shows the pages of plugins itself."""
    translates_notes: bool = False
    """True if it translates the notes below an answer for each reader."""
    keeps_messages: bool = False
    """True if it stores messages itself, so that the bot's deleting its data does not remove them there."""
    channel_mention: str = ""
    """The Markdown that shows a channel by its name, with “{id}” for its id. Empty if there is none."""
    time_mention: str = ""
    """The Markdown that shows a time in the reader's own zone, with “{seconds}” since 1970. Empty if there is none."""

    def is_id(self, text: str) -> bool:
        """Return whether this is an id; False where names are ids."""
        return self.ids is not None and self.ids.fullmatch(text) is not None

    def mention_channel(self, channel: str) -> str:
        """Return the Markdown that shows a channel by its name, or "" if there is none."""
        return self.channel_mention.format(id=channel)


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """A message on a platform: where, and what it is called there.

    `row` is the answer that it shows, if known, `resume` what the adapter keeps of that, and `is_last` says that its
    question, which the platform calls `question`, has no other answer.
    """

    place: Place
    external: str = ""
    row: int = 0
    resume: Mapping[str, Any] = field(default_factory=dict)
    is_last: bool = False
    question: str = ""


class PlatformAdapter(Protocol):
    """One platform, as the core uses it."""

    @property
    def capabilities(self) -> Capabilities:
        """What the platform can do."""

    async def find_user(self, name: str, place: Place) -> User | None:
        """Return who has this id or, where ids are not shown, this name, with the rights that they have in `place`.

        Somebody who is not in its server has no roles (None). Returns None where it cannot be found out for sure.
        """

    async def find_channels(self, name: str, place: Place) -> Sequence[str]:
        """Return the ids of the channels in the server of `place` that have this name or this id.

        Raises UserError if they cannot be looked up.
        """

    def parse_link(self, link: str, place: Place) -> ShownMessage | None:
        """Return the message that a link leads to; None if it is not a link to a message."""

    async def delete_messages(self, shown: ShownMessage, externals: Sequence[str]) -> bool:
        """Delete messages of the bot; False if one of them is not the bot's, or cannot be deleted."""

    async def forget_user(self, user_id: str, gone: Collection[int]) -> None:
        """Stop showing what somebody wrote, and the answers of others whose rows are in `gone`.

        This concerns what this process shows; what the platform itself stores stays.
        """

    def locale(self, server: str) -> str:
        """Return the language of a server."""

    async def post(self, server: str, channel: str, text: str) -> None:
        """Post Markdown of at most 1800 characters in a channel, so that it notifies nobody. Raises CannotPost."""


class Adapters:
    """The adapters of the platforms that run in this process, and the capabilities of all known platforms."""

    def __init__(self, known: Mapping[str, Capabilities] | None = None) -> None:
        """`known` has the platforms by their names, those included that do not run in this process."""
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
        return platform in self._known or platform in self._adapters

    def capabilities(self, platform: str) -> Capabilities:
        """Return what a platform can do, wherever it runs."""
        if (adapter := self.get(platform)) is not None:
            return adapter.capabilities
        return self._known.get(platform, Capabilities())

    async def resolve_channel(self, typed: str, place: Place) -> str:
        """Return the id of a channel given as #name or as its id; as typed where its platform runs elsewhere.

        Raises UserError if no channel has this name, or several have it.
        """
        if (adapter := self.get(place.platform)) is None:
            return typed
        name = typed.removeprefix("#")
        found = await adapter.find_channels(name, place)
        if len(found) == 1:
            return found[0]
        sentence = "I know no channel “{name}” here. Pick it from the list that appears, or give its id."
        if found:
            sentence = "{count} channels are called “{name}” here. Pick one from the list that appears, or give its id."
        raise UserError(sentence, name=name[:60], count=len(found))
