"""What all pages of one chat share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from bot.answers.context_factory import PAGES_PATH
from bot.core.errors import RequestRefused
from bot.core.i18n import translate
from bot.core.messages import Request
from bot.platforms.web.access.visitors import user_of

if TYPE_CHECKING:
    from bot.app import Bot
    from bot.core.errors import UserError
    from bot.core.messages import Place, User
    from bot.platforms.web.access.teachers import WebModerators
    from bot.platforms.web.chat.answers import WebAnswers
    from bot.platforms.web.chat.files import Files
    from bot.platforms.web.chat.rooms import Rooms

ODDS = "odds"
"""The command that the page of the dial is: its rules hold for the page, too. Where it is not loaded, everybody may."""


@dataclass(frozen=True, slots=True)
class WebServices:
    """The bot, the rooms, who moderates them, and the files that pages show and send."""

    bot: Bot
    rooms: Rooms
    answers: WebAnswers
    moderators: WebModerators
    files: Files
    uploads: Files

    def visitor(self, secret: str, name: str, locale: str) -> User:
        """The user behind a secret, with the rights that they have in this chat."""
        user = user_of(secret, name, locale)
        user = replace(user, is_moderator=user.id in self.moderators)
        return self.bot.resolve_user(user, self.rooms.get("").place())

    async def note(self, error: UserError, user: User, what: str, place: Place | None = None) -> None:
        """Note for the moderators that `user` was refused something that is no command, if that is what happened.

        `place` is where; with None the room that is always there.
        """
        if isinstance(error, RequestRefused):
            error.what = error.what or what
            await self.bot.refusals.record(Request(user=user, place=place or self.rooms.get("").place()), error)

    async def links(self, place: Place, user: User) -> list[tuple[str, str]]:
        """The pages beside the chat that there are for this user: address and name."""
        links: list[tuple[str, str]] = []
        may = {command.name for command in self.bot.commands_for(user, place)}
        if ODDS in may or self.bot.registry.get(ODDS) is None:
            links.append((f"/dial?room={quote(place.channel)}", translate("The temperature dial", user.locale)))
        for plugin, pages in (await self.bot.pages(place)).items():
            label = pages[0].title if len(pages) == 1 else translate("Lessons", user.locale)
            links.append((f"{PAGES_PATH}/{plugin}?room={quote(place.channel)}", label))
        if user.is_moderator:
            links.append(("/settings", translate("Settings", user.locale)))
            links.append(("/statistics", translate("Statistics", user.locale)))
        return links
