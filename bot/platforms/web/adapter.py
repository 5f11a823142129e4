"""The web chat as the core uses it: finds users and rooms, posts and deletes messages, forgets users."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bot.core.adapters import ShownMessage
from bot.core.errors import CannotPost
from bot.core.i18n import Sentence
from bot.core.messages import Place, Reply, User
from bot.platforms.capabilities import WEB

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from bot.platforms.web.chat.services import WebServices
    from bot.storage.process_events import ProcessEvents

ANSWER_LINK = re.compile(r"(?:https?://\S+#[^/\s]+/|#)?(?P<row>[0-9]{1,18})")
USER_ID = re.compile(r"[0-9a-f]{16}")
FORGET = "web forget"
NO_ROOM = Sentence("there is no such room.")


class WebAdapter:
    """The platform adapter of the web chat, over all rooms."""

    capabilities = WEB

    def __init__(self, services: WebServices) -> None:
        self._services = services
        self._rooms = services.rooms
        self._moderators = services.moderators
        self._events: ProcessEvents | None = None

    @contextmanager
    def forgetting_with_others(self, events: ProcessEvents) -> Iterator[None]:
        """Forget whom other processes forget, and tell them whom this one does, for as long as the context lasts."""

        async def forget(process: str, data: Mapping[str, Any]) -> None:
            await self._forget_here(data["user"], data["gone"])

        self._events = events
        with events.handled(FORGET, forget):
            yield

    async def find_user(self, name: str, place: Place) -> User | None:
        """Return a visitor by their id, or by a name that only one of those who wrote here lately has."""
        await self._moderators.refresh()
        names = {exchange.author.id: exchange.author.name for _, exchange in self._rooms.all_exchanges()}
        found = [name] if name in names or USER_ID.fullmatch(name) else [one for one in names if names[one] == name]
        if len(found) != 1:
            return None
        return User(found[0], names.get(found[0], found[0]), is_moderator=found[0] in self._moderators)

    async def find_channels(self, name: str, place: Place) -> Sequence[str]:
        """Return the room of this name."""
        return [name] if name in self._rooms.names else []

    def parse_link(self, link: str, place: Place) -> ShownMessage | None:
        """Read the address of an answer's thread, or its number alone."""
        match = ANSWER_LINK.fullmatch(link.strip())
        return None if match is None else ShownMessage(Place("web", place.channel, "web"), row=int(match["row"]))

    async def delete_messages(self, shown: ShownMessage, externals: Sequence[str]) -> bool:
        """Stop showing an answer, whichever room it is in."""
        found = self._rooms.find_by_row(shown.row)
        for room, exchange in found:
            room.show(exchange, Reply(deleted=True, final=True))
        return bool(found)

    async def forget_user(self, user_id: str, gone: Collection[int]) -> None:
        """Stop showing what a visitor asked, and the answers whose rows are `gone`.

        Their forms, the files that they uploaded, their rights as a moderator, and what moderators decided about them
        are forgotten, too, and other processes do the same.
        """
        if self._events is not None:
            self._events.publish(FORGET, {"user": user_id, "gone": list(gone)})
        await self._forget_here(user_id, gone)

    async def _forget_here(self, user_id: str, gone: Collection[int]) -> None:
        self._services.answers.forms.forget(user_id)
        self._services.uploads.drop_owner(user_id)
        for room, exchange in self._rooms.find_of_user(user_id, gone):
            # The answer to the command that deletes the data may itself be one of these, and is still being written.
            if exchange.reply.final or exchange.reply.row in gone:
                room.show(exchange, Reply(deleted=True, final=True))
        await self._moderators.refresh()
        self._services.people.forget(user_id)
        await self._services.known.forget(user_id)

    async def locale(self, server: str) -> str:
        """Return English: the chat has no language of its own."""
        return "en"

    async def post(self, server: str, channel: str, text: str) -> None:
        """Show a text in a room, to the chat's moderators alone. Raises CannotPost if there is no such room."""
        if channel not in self._rooms.names:
            raise CannotPost(NO_ROOM)
        self._rooms.get(channel).tell_moderators(text.replace("\n", "\n\n"))
