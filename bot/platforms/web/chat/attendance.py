"""The list of who is here, and what moderators do to the people in it."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from sqlalchemy import update

from bot.core.errors import Expired, UserError
from bot.core.i18n import Sentence
from bot.core.messages import Reply, User
from bot.moderation.audit_view import plain_name
from bot.platforms.web.access.devices import describe_device
from bot.platforms.web.chat.room import GENERAL_PLACE, Exchange, private_name
from bot.settings.scopes import server_scope
from bot.storage.audit import MODERATION, AuditEntry, add_entry
from bot.storage.database import MessageRow

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import timedelta

    from bot.core.caller import Caller
    from bot.platforms.web.access.people import Person
    from bot.platforms.web.chat.services import WebServices

LISTED_SECONDS = 15 * 60.0
"""How long somebody who has left is still in the list."""
MARK_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
MAX_ASKED_CHARS = 160
GONE = "This person is no longer here."
IS_MODERATOR = "This person is a moderator. Sign-ins of moderators are ended on the page Settings."
RENAMED = (
    "{moderator} has given you the name “{name}”. Names matter here: everybody must be able to tell who says what, and "
    "no name may hurt anybody. If you would like another one, ask them."
)


async def show_given_name(services: WebServices, person: Person) -> None:
    """Show somebody's given name at what they have asked, and tell them who gave it and why.

    The process that has their pages tells them, since it alone knows which room they look at.
    """
    known = services.known[person.id]
    author = services.resolve(User(person.id, known.name))
    for room, exchange in services.rooms.find_of_user(person.id, ()):
        room.change_author(exchange, author)
    if person.is_elsewhere:
        return
    is_alone = person.room == private_name(person.id)
    room = await services.open_private(person.id) if is_alone else services.rooms.at(person.room)
    told = room.open_exchange(Exchange(author, "", private=True, notice=True))
    sentence = Sentence(RENAMED, {"moderator": known.name_by or "…", "name": known.name})
    room.show(told, Reply(text=sentence.in_language(person.locale), final=True, private=True))


class Attendance:
    """The people who are here. Everything raises PermissionDenied unless the caller is a moderator."""

    def __init__(self, services: WebServices) -> None:
        self._services = services

    def list(self, caller: Caller) -> Sequence[dict[str, Any]]:
        """Return those who are here or left a short while ago, in the order in which they came, as JSON.

        `mark` tells people with similar names apart: two letters, and a hue in degrees. `at_address` is how many in the
        list come from the same IP address, `met` how many of them are no moderators, and `asked` what the person asked
        last.
        """
        caller.require_moderator()
        people = self._listed()
        counts = Counter(one.address for one in people)
        met = Counter(one.address for one in people if not self._user(one).is_moderator)
        asked = {
            exchange.author.id: exchange.question
            for _, exchange in self._services.rooms.all_exchanges()
            if exchange.question and exchange.is_visible_to(caller.user)
        }
        rows = []
        for one in people:
            user, timeouts = self._user(one), self._services.bot.timeouts
            timeout = None if user.is_moderator else timeouts.find_active(user, GENERAL_PLACE)
            row = {
                "moderator": user.is_moderator,
                "own": one.id == caller.user.id,
                "room": one.room,
                "here": one.is_here,
                "seen": one.seen,
                "mark": _mark(timeouts.hash_person("mark", one.id)),
                "met": met[one.address],
                "asked": asked.get(one.id, "")[:MAX_ASKED_CHARS],
                "timed_out": None if timeout is None else timeout.until.timestamp(),
                "given": bool(self._services.known[one.id].name),
            }
            rows.append(_describe(one, one.since, counts, caller) | row)
        return rows

    def _listed(self) -> Sequence[Person]:
        people = self._services.people.seen_since(time.time() - LISTED_SECONDS)
        return [one for one in people if one.room]

    async def time_out(self, caller: Caller, user_id: str, span: timedelta) -> None:
        """Keep somebody from the bot for a while."""
        caller.require_moderator()
        await self._time_out(caller, self._find(user_id), span)

    async def time_out_address(self, caller: Caller, user_id: str, span: timedelta, count: int) -> None:
        """Time out all who come from the same IP address as somebody, except moderators.

        `count` is how many the caller was told there are. Raises UserError if there are more or fewer by now.
        """
        caller.require_moderator()
        address = self._find(user_id).address
        met = [one for one in self._listed() if one.address == address and not self._user(one).is_moderator]
        if len(met) != count:
            one = "There is one person at this address by now. Look at the list again."
            several = "There are {count} people at this address by now. Look at the list again."
            raise UserError(one, several, count=len(met))
        for person in met:
            await self._time_out(caller, person, span)

    async def _time_out(self, caller: Caller, person: Person, span: timedelta) -> None:
        scope = server_scope(caller.place)
        await self._services.bot.moderation.time_out(caller, self._user(person), scope, span, "")

    async def lift(self, caller: Caller, user_id: str) -> None:
        """End somebody's time-out before its time."""
        caller.require_moderator()
        timeout = self._services.bot.timeouts.find_active(self._user(self._find(user_id)), caller.place)
        if timeout is None:
            raise Expired("This time-out has ended already.")
        await self._services.bot.moderation.lift(caller, timeout.id, server_scope(caller.place))

    async def rename(self, caller: Caller, user_id: str, wished: str) -> None:
        """Give somebody another name, also at what they have asked; they cannot change it, and are told why.

        Raises UserError if nobody can have this name.
        """
        caller.require_moderator()
        person = self._find_pupil(user_id)
        before = self._user(person)
        name = self._services.people.give_name(before, wished)
        given = {"name_by": plain_name(caller.user.name), "namer": caller.user.id}
        await self._services.known.change(user_id, name=name, **given)
        entry = AuditEntry(
            actor=caller.user,
            place=caller.place,
            kind=MODERATION,
            what="rename",
            subject=user_id,
            subject_name=before.name,
            after={"name": name},
        )
        theirs = update(MessageRow).where(MessageRow.platform == "web", MessageRow.author == user_id)
        async with self._services.bot.database.writing() as session:
            await session.execute(theirs.values(author_name=name))
            add_entry(session, entry)
        await show_given_name(self._services, person)

    async def end(self, caller: Caller, user_id: str) -> None:
        """End somebody's visit: their pages close, and they must join again."""
        caller.require_moderator()
        person = self._find_pupil(user_id)
        await self._services.known.change(user_id, ended=True, let_in=False)
        self._services.people.end(user_id)
        await self._record(caller, "end visit", person)

    def waiting(self, caller: Caller) -> Sequence[dict[str, Any]]:
        """Return the newcomers who wait to be let in, whoever knocked first first, as JSON."""
        caller.require_moderator()
        counts = Counter(one.address for one in self._listed())
        found = ((one, self._services.people.find(one.id)) for one in self._services.waiting.waiting)
        return [_describe(person, one.since, counts, caller) for one, person in found if person is not None]

    async def let_in(self, caller: Caller, user_ids: Collection[str]) -> None:
        """Let newcomers in who wait. Raises Expired if none of them waits any longer."""
        for person in self._find_waiting(caller, user_ids):
            await self._services.known.change(person.id, let_in=True)
            self._services.waiting.remove([person.id])
            await self._record(caller, "let in", person)

    async def turn_away(self, caller: Caller, user_ids: Collection[str]) -> None:
        """Do not let newcomers in for now. Raises Expired if none of them waits any longer."""
        for person in self._find_waiting(caller, user_ids):
            self._services.waiting.turn_away([person.id])
            self._services.people.forget(person.id)
            await self._record(caller, "turn away", person)

    def _find_waiting(self, caller: Caller, user_ids: Collection[str]) -> Sequence[Person]:
        caller.require_moderator()
        found = [self._services.people.find(one) for one in user_ids if one in self._services.waiting]
        if not found:
            raise Expired("Nobody of them waits any longer.")
        return [person for person in found if person is not None]

    async def _record(self, caller: Caller, what: str, person: Person) -> None:
        about = {"what": what, "subject": person.id, "subject_name": person.name}
        entry = AuditEntry(actor=caller.user, place=caller.place, kind=MODERATION, **about)
        await self._services.bot.audit.record(entry)

    def _find(self, user_id: str) -> Person:
        person = self._services.people.find(user_id)
        if person is None:
            raise Expired(GONE)
        return person

    def _find_pupil(self, user_id: str) -> Person:
        person = self._find(user_id)
        if self._user(person).is_moderator:
            raise UserError(IS_MODERATOR)
        return person

    def _user(self, person: Person) -> User:
        return self._services.resolve(User(person.id, person.name))


def _describe(person: Person, since: float, counts: Mapping[str, int], reader: Caller) -> dict[str, Any]:
    """Return what is told of everybody; `counts` says how many have each IP address."""
    return {
        "id": person.id,
        "name": person.name,
        "since": since,
        "device": describe_device(person.agent).in_language(reader.user.locale),
        "at_address": counts[person.address],
    }


def _mark(digest: str) -> dict[str, Any]:
    number = int(digest[:8], 16)
    letters = MARK_LETTERS[number % len(MARK_LETTERS)] + MARK_LETTERS[number // 64 % len(MARK_LETTERS)]
    return {"letters": letters, "hue": int(digest[8:12], 16) % 360}
