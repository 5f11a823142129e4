"""The objects that all pages and connections of the web chat share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from bot.answers.context_factory import PAGES_PATH
from bot.core.errors import RequestRefused
from bot.core.i18n import Sentence, translate
from bot.core.messages import Request
from bot.moderation.audit_view import plain_name
from bot.platforms.web.access.visitors import read_or_create_secret, user_from_secret
from bot.settings.builtin import LOG_CHANNEL
from http_server.addresses import network_of

if TYPE_CHECKING:
    from aiohttp import web

    from bot.app import Bot
    from bot.core.errors import UserError
    from bot.core.messages import Place, User
    from bot.platforms.web.access.known import KnownVisitors
    from bot.platforms.web.access.people import People
    from bot.platforms.web.access.teachers import WebModerators
    from bot.platforms.web.chat.answers import WebAnswers
    from bot.platforms.web.chat.files import Files
    from bot.platforms.web.chat.rooms import Rooms

DIAL_COMMAND = "odds"
"""The command whose rules hold for the dial page, too. If it is not loaded, everybody may use the page."""


@dataclass(frozen=True, slots=True)
class WebServices:
    """The bot, the rooms and their answers, the moderators, who is here, and the files that pages show and upload."""

    bot: Bot
    rooms: Rooms
    answers: WebAnswers
    moderators: WebModerators
    people: People
    known: KnownVisitors
    files: Files
    uploads: Files

    def identify(self, secret: str, name: str, locale: str) -> User:
        """Return the user who has this secret, with their present name and rights in this chat.

        `name` is what they wish to be called, which counts only while no page of theirs is open.
        """
        user = self.resolve(user_from_secret(secret, "", locale))
        return replace(user, name=self.people.name_of(user, self.known[user.id].name or name))

    def resolve(self, user: User) -> User:
        """Return a visitor with the rights that they have in this chat now."""
        user = replace(user, is_moderator=user.id in self.moderators)
        return self.bot.resolve_user(user, self.rooms.get("").place())

    def show_badges(self) -> None:
        """Show the badge of a moderator at all that present moderators asked, and at nothing else."""
        for room, exchange in self.rooms.all_exchanges():
            room.change_author(exchange, self.resolve(exchange.author))

    def identify_request(self, request: web.Request) -> User:
        """Return the user who sends a request, with the name and the locale of its query."""
        secret = read_or_create_secret(request)
        user = self.identify(secret, request.query.get("name", ""), request.query.get("locale", ""))
        self.moderators.note_use(user)
        return user

    def address_of(self, request: web.Request) -> str:
        """Return the `Request.address` of what comes with a request."""
        return self.bot.timeouts.hash_person("address", network_of(request.remote or ""))

    async def record_refusal(self, error: UserError, user: User, what: str, place: Place | None = None) -> None:
        """Record in the audit that `user` was refused `what`, which is no command. Other errors are not recorded.

        `place` is where it happened; None is the room that always exists.
        """
        if isinstance(error, RequestRefused):
            error.what = error.what or what
            await self.bot.refusals.record(Request(user=user, place=place or self.rooms.get("").place()), error)

    def tell_of_sign_in(self, user: User) -> None:
        """Tell the other moderators, if there are any, that `user` has become one."""
        sentence = (
            "{name} has signed in as a moderator. On the page Settings, moderators see all sign-ins, and can end them."
        )
        self._tell_moderators(Sentence(sentence, {"name": plain_name(user.name)}), user.id)

    def tell_of_end(self, caller: User, name: str) -> None:
        """Tell the other moderators, if there are any, that `caller` has ended somebody's sign-in."""
        names = {"moderator": plain_name(caller.name), "name": plain_name(name)}
        self._tell_moderators(Sentence("{moderator} has ended the sign-in of {name}.", names), caller.id)

    def _tell_moderators(self, sentence: Sentence, user_id: str) -> None:
        """Show a sentence in “general” if there are other moderators than this one. A log channel has the audit."""
        room = self.rooms.get("")
        place, settings = room.place(), self.bot.settings
        others = [one for one in self.moderators.signed_in if one.id != user_id]
        if (others or settings.value("moderators.users", place)) and not settings.value(LOG_CHANNEL, place):
            room.tell_moderators(sentence.in_language(settings.language(place, "en")))

    async def page_links(self, place: Place, user: User) -> list[tuple[str, str]]:
        """Return the address and the name of each page beside the chat that this user may open."""
        links: list[tuple[str, str]] = []
        allowed = {command.name for command in self.bot.commands_for(user, place)}
        if DIAL_COMMAND in allowed or self.bot.registry.get(DIAL_COMMAND) is None:
            links.append((f"/dial?room={quote(place.channel)}", translate("The temperature dial", user.locale)))
        for plugin, pages in (await self.bot.pages(place)).items():
            label = pages[0].title if len(pages) == 1 else translate("Lessons", user.locale)
            links.append((f"{PAGES_PATH}/{plugin}?room={quote(place.channel)}", label))
        if user.is_moderator:
            links.append(("/people", translate("Who is here", user.locale)))
            links.append(("/settings", translate("Settings", user.locale)))
            links.append(("/statistics", translate("Statistics", user.locale)))
        return links
