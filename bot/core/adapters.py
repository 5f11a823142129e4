"""What the adapters of platforms do for the core unasked: tell who somebody is, take messages down, forget people."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from bot.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from bot.core.messages import Place, User


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
    """One platform's."""

    async def person(self, name: str, place: Place) -> User | None:
        """Who has this id or, where there are no ids to see, this name, with the rights that they have in `place`.

        Without roles (None) whoever is not in its server. None where it cannot be found out for sure.
        """

    async def channels(self, name: str, place: Place) -> Sequence[str]:
        """The ids of the channels that are called so, or have this id, in the server of `place`.

        Raises UserError if nobody can say.
        """

    def message(self, link: str, place: Place) -> ShownMessage | None:
        """The message that a link leads to; None if it is no such link."""

    async def take_down(self, shown: ShownMessage, externals: Sequence[str]) -> bool:
        """Delete messages of the bot where one of them is; False if that is none of the bot's, or cannot be deleted."""

    async def forget(self, user_id: str, gone: Collection[int]) -> None:
        """Show no longer what somebody said, nor others' answers whose rows are `gone` with it.

        As far as these are shown from here, and not by the platform.
        """


class Adapters:
    """Those of all platforms that run in this process."""

    def __init__(self) -> None:
        self._hands: dict[str, PlatformAdapter] = {}

    @contextmanager
    def lent(self, platform: str, hand: PlatformAdapter) -> Iterator[None]:
        """Use `hand` for as long as the context lasts."""
        self._hands[platform] = hand
        try:
            yield
        finally:
            del self._hands[platform]

    def of(self, platform: str) -> PlatformAdapter | None:
        """The one of a platform, if that runs here."""
        return self._hands.get(platform)

    async def channel(self, typed: str, place: Place) -> str:
        """The id of the channel that somebody typed as #name, or as its id; as typed where its platform runs elsewhere.

        Raises UserError for what none is called, or several.
        """
        if (hand := self.of(place.platform)) is None:
            return typed
        name = typed.removeprefix("#")
        found = await hand.channels(name, place)
        if len(found) == 1:
            return found[0]
        sentence = "I know no channel “{name}” here. Pick it from the list that appears, or give its id."
        if found:
            sentence = "{count} channels are called “{name}” here. Pick one from the list that appears, or give its id."
        raise UserError(sentence, name=name[:60], count=len(found))
