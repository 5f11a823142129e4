"""The objects that all pages and connections of the web chat share."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bot.answers.context_factory import PAGES_PATH
from bot.core.errors import RequestRefused, UserError
from bot.core.i18n import Sentence, translate
from bot.core.messages import Request
from bot.moderation.audit_view import plain_name
from bot.platforms.web.access.visitors import read_or_create_secret, user_from_secret
from bot.platforms.web.chat.protocol import command_json
from bot.platforms.web.chat.room import GENERAL, GENERAL_PLACE, PRIVATE_MARK, private_name, room_place
from bot.settings.builtin import LOG_CHANNEL, TASK, TEACHERS_READ
from bot.settings.setting import Scope
from http_server.addresses import network_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from aiohttp import web

    from bot.app import Bot
    from bot.commands.command import Command
    from bot.core.messages import Attachment, Place, User
    from bot.platforms.web.access.known import KnownVisitors
    from bot.platforms.web.access.people import People
    from bot.platforms.web.access.teachers import WebModerators
    from bot.platforms.web.access.waiting import WaitingRoom
    from bot.platforms.web.chat.answers import WebAnswers
    from bot.platforms.web.chat.files import Files
    from bot.platforms.web.chat.model_defaults import ModelDefaults
    from bot.platforms.web.chat.room import Room
    from bot.platforms.web.chat.rooms import Rooms
    from bot.platforms.web.chat.shared_uploads import SharedUploads

log = logging.getLogger(__name__)

DIAL_COMMAND = "odds"
"""The command whose rules hold for the dial page, too. If it is not loaded, everybody may use the page."""
DUEL_COMMAND = "duel"
"""The command whose rules hold for the page of forger and detective, too. If it is not loaded, there is no page."""


@dataclass(frozen=True, slots=True)
class WebServices:
    """The bot, the rooms and their answers, the moderators, who is here, and the files that pages show and upload."""

    bot: Bot
    rooms: Rooms
    answers: WebAnswers
    moderators: WebModerators
    people: People
    known: KnownVisitors
    waiting: WaitingRoom
    files: Files
    uploads: Files
    shared_uploads: SharedUploads
    model_defaults: ModelDefaults

    def identify(self, secret: str, name: str, locale: str) -> User:
        """Return the user who has this secret, with their present name and rights in this chat.

        `name` is what they wish to be called, which counts only while no page of theirs is open.
        """
        user = self.resolve(user_from_secret(secret, "", locale))
        return replace(user, name=self.people.name_of(user, self.known[user.id].name or name))

    def resolve(self, user: User) -> User:
        """Return a visitor with the rights that they have in this chat now."""
        user = replace(user, is_moderator=user.id in self.moderators)
        return self.bot.admission.resolve_user(user, GENERAL_PLACE)

    def must_knock(self) -> bool:
        """Return whether newcomers wait until a moderator lets them in."""
        return bool(self.bot.settings.value("access.knock", GENERAL_PLACE))

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

    async def open_private(self, user_id: str) -> Room:
        """Return the private place of a visitor."""
        return await self.rooms.private.open(user_id, self.answers.stored.restore_room)

    async def enter(self, user: User, name: str) -> tuple[Room, str]:
        """Return the room of this name, or the user's own private place.

        If they cannot be there, it is “general”, with a sentence that says why. Raises DatabaseUnavailable if their
        private place cannot be read: what they would write there must not be written where others read it.
        """
        if name == private_name(user.id):
            return await self.open_private(user.id), ""
        if (room := self.rooms.find(name)) is not None or not name:
            return room or self.rooms.get(""), ""
        closer = self.rooms.closers.get(name, "")
        sentence = "There is no room “{room}”. You are in “{here}” now."
        if name.startswith(PRIVATE_MARK):
            sentence = (
                "That is the private place of somebody else, and only they can be there. You are in “{here}” now."
            )
        elif closer:
            sentence = "{name} has closed the room “{room}”. You are in “{here}” now."
        values = {"room": name[:60], "name": closer, "here": GENERAL}
        return self.rooms.get(""), translate(sentence, user.locale, **values)

    def place_of(self, user: User, room: str) -> Place:
        """Return the place from which a user opened a page beside the chat: a room, or their own private place."""
        is_known = self.rooms.find(room) is not None or room == private_name(user.id)
        return room_place(room if is_known else GENERAL)

    def scope_of(self, room: str) -> Scope:
        """Return the scope of a room, or of the whole chat for "". Raises UserError if there is no such room."""
        if room and self.rooms.find(room) is None:
            raise UserError("There is no room “{name}”.", name=room)
        return Scope("web", "web", room)

    def reads_along(self, user: User) -> bool:
        """Return whether a user may read what others ask in private places."""
        return user.is_moderator and bool(self.bot.settings.value(TEACHERS_READ, GENERAL_PLACE))

    def may_read_files_of(self, reader: str, request: web.Request) -> bool:
        """Return whether a file may be sent that is for one `reader` alone; without one it is for everybody."""
        if not reader:
            return True
        user = self.identify_request(request)
        return user.id == reader or self.reads_along(user)

    async def make_offers(self, user: User, room: Room) -> dict[str, Any]:
        """Return what a page offers: commands with their limits, links, rules, and who can read a private place."""
        place = room.place()
        commands, usual = self.bot.admission.commands_for(user, place), self.model_defaults
        links = await self.page_links(place, user, commands)
        return {
            "links": [{"url": url, "label": label} for url, label in links],
            "commands": [command_json(command, usual.find(command, place), user.locale) for command in commands],
            "rules": self.rules_in(place),
            "about": self.about_place(room, user),
        }

    async def find_uploads(self, user: User, files: Mapping[str, str]) -> dict[str, Attachment]:
        """Return the files that a user uploaded, by field. Raises UserError if one is no longer kept."""
        uploads = {}
        for field, name in files.items():
            file = self.uploads.get(name, user.id) or await self.shared_uploads.find(name, user.id)
            if file is None:
                raise UserError("The file for “{field}” is no longer here; choose it again.", field=field)
            uploads[field] = file
        return uploads

    async def complete(self, request: Request, option: str, typed: str) -> Sequence[str]:
        """Return suggestions for the value of an option; none if it cannot be completed."""
        try:
            return await self.bot.complete(request, option, typed)
        except UserError:
            return ()
        except Exception:
            log.exception("Completion of %s in /%s failed", option, request.command)
            return ()

    async def record_refusal(self, error: UserError, user: User, what: str, place: Place | None = None) -> None:
        """Record in the audit that `user` was refused `what`, which is no command. Other errors are not recorded.

        `place` is where it happened; None is the room that always exists.
        """
        if isinstance(error, RequestRefused):
            error.what = error.what or what
            await self.bot.refusals.record(Request(user=user, place=place or GENERAL_PLACE), error)

    @asynccontextmanager
    async def recording(self, user: User, what: str, place: Place | None = None) -> AsyncIterator[None]:
        """Record in the audit if `user` is refused something in the body of the context, which is `what`."""
        try:
            yield
        except UserError as error:
            await self.record_refusal(error, user, what, place)
            raise

    def about_place(self, room: Room, user: User) -> str:
        """Return the sentence that says who can read a private place; "" for a room."""
        if not room.owner:
            return ""
        sentence = "Nobody else can read what you write here, except whoever runs the computer that Tempera is on."
        if self.answers.is_read_along(room):
            sentence = "Teachers can read along here, and so can whoever runs the computer that Tempera is on."
        return translate(sentence, user.locale)

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

    def rules_in(self, place: Place) -> dict[str, Any]:
        """Return what teachers have set for a room: who has paused it, or None; if it is read-only; the pinned task."""
        policy, task = self.bot.policy, self.bot.settings.value(TASK, place)
        return {"paused_by": policy.paused_by(place), "read_only": policy.is_read_only(place), "task": task}

    async def page_links(self, place: Place, user: User, commands: Sequence[Command]) -> list[tuple[str, str]]:
        """Return the address and the name of each page beside the chat that a user with these commands may open."""
        links: list[tuple[str, str]] = []
        if user.is_moderator:
            links.append((f"/class?room={quote(place.channel)}", translate("Teacher’s page", user.locale)))
        allowed = {command.name for command in commands}
        if DIAL_COMMAND in allowed or self.bot.registry.get(DIAL_COMMAND) is None:
            links.append((f"/dial?room={quote(place.channel)}", translate("The temperature dial", user.locale)))
        if DUEL_COMMAND in allowed:
            title = translate("Forger and detective", user.locale)
            links.append((f"/duel?room={quote(place.channel)}", title))
        for plugin, pages in (await self.bot.registry.pages(place)).items():
            label = pages[0].in_language(user.locale).title if len(pages) == 1 else translate("Lessons", user.locale)
            links.append((f"{PAGES_PATH}/{plugin}?room={quote(place.channel)}", label))
        if self.reads_along(user):
            links.append(("/private", translate("Private places", user.locale)))
        if user.is_moderator:
            links.append(("/people", translate("Who is here", user.locale)))
            links.append(("/settings", translate("Settings", user.locale)))
            links.append(("/statistics", translate("Statistics", user.locale)))
        return links
