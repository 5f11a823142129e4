"""What the bot says in the web chat without being asked: the lines of a log channel, for moderators alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.core.i18n import Sentence
from bot.core.messages import Reply, User
from bot.moderation.log_channel import CannotPost

if TYPE_CHECKING:
    from bot.platforms.web.chat.rooms import Rooms

NO_ROOM = Sentence("there is no such room.")
MYSELF = User("", "Tempera")


class WebVoice:
    """Speaks in rooms. Everybody may enter one, but what is said of pupils there only moderators see."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def locale(self, server: str) -> str:
        """English: the chat has no language of its own."""
        return "en"

    async def say(self, server: str, channel: str, text: str) -> None:
        """Show it in a room to those who moderate the chat. Raises CannotPost."""
        if channel not in self._rooms.names:
            raise CannotPost(NO_ROOM)
        room = self._rooms.get(channel)
        exchange = room.begin(MYSELF, "", private=True, for_moderators=True)
        room.show(exchange, Reply(text=text.replace("\n", "\n\n"), final=True, private=True))
