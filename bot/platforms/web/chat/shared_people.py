"""The visitors of several processes: each tells the others who has its pages open, and who waits to be let in."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from bot.core.errors import UserError
from bot.core.messages import User
from bot.platforms.web.access.people import RemotePage
from bot.platforms.web.chat.attendance import show_given_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from bot.platforms.web.access.people import Person
    from bot.platforms.web.chat.services import WebServices
    from bot.storage.process_events import ProcessEvents

PEOPLE = "web people"
STORED = "web stored people"
"""The event after a change of what is stored of people: given names, who may come in, who is a moderator."""
TICK_SECONDS = 1.0
"""How often it is looked who came and went."""
REPEAT_SECONDS, SILENT_SECONDS = 10.0, 30.0
"""How often all are told again, and after which silence a process, and with it its visitors, is gone."""
MAX_TOLD = 2000
"""How many visitors a process tells of."""


def tell_of_stored(events: ProcessEvents) -> None:
    """Have other processes read at once what is stored of people."""
    events.publish(STORED, key=STORED)


class SharedPeople:
    """Tells other processes who is here, and remembers here who is there."""

    def __init__(self, services: WebServices, open_door: Callable[[], Awaitable[None]]) -> None:
        """`open_door` closes the pages of those whose visit was ended, and lets nobody wait who may come in."""
        self._services = services
        self._open_door = open_door
        self._events = services.bot.events
        self._people, self._known, self._waiting = services.people, services.known, services.waiting
        self._told: Mapping[str, Any] = {}
        self._told_at = -math.inf
        self._heard: dict[str, float] = {}
        self._pages: dict[str, dict[str, tuple[RemotePage, Any]]] = {}
        self._waiting_there: dict[str, set[str]] = {}

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hear of the visitors of others for as long as the context lasts; afterwards nobody is here any more."""
        tell = partial(tell_of_stored, self._events)
        self._services.moderators.listeners.add(tell)
        with self._events.handled(PEOPLE, self._show), self._events.handled(STORED, self._read_stored):
            try:
                yield
            finally:
                self._services.moderators.listeners.discard(tell)
        self._events.publish(PEOPLE, {"people": [], "waiting": [], "turned_away": {}}, key=PEOPLE)

    async def tick(self) -> None:
        """Tell the others who is here, if that has changed, and forget processes that tell nothing any more."""
        await self._follow_given_names()
        now = time.monotonic()
        for process in [one for one, heard in self._heard.items() if heard < now - SILENT_SECONDS]:
            self._forget(process)
        described = self._describe()
        if described != self._told or self._told_at < now - REPEAT_SECONDS:
            self._told, self._told_at = described, now
            self._events.publish(PEOPLE, described, key=PEOPLE)

    def _describe(self) -> dict[str, Any]:
        there = {one for ids in self._waiting_there.values() for one in ids}
        waiting = [one for one in self._waiting.waiting if one.id not in there]
        found = (self._people.find(one.id) for one in waiting)
        return {
            "people": [_person_as_json(one) for one in self._here()[-MAX_TOLD:]],
            "waiting": [_person_as_json(one) for one in found if one is not None],
            "turned_away": dict(self._waiting.turned_away),
        }

    def _here(self) -> Sequence[Person]:
        """Return those who have a page of this process open."""
        people = self._people.seen_since(math.inf)
        return [one for one in people if one.is_here and not one.is_elsewhere]

    async def _follow_given_names(self) -> None:
        """Show the names that moderators in other processes gave to visitors, and tell these why."""
        for person in self._here():
            if (name := self._known[person.id].name) and name != person.name:
                try:
                    self._people.give_name(self._services.resolve(User(person.id, person.name)), name)
                except UserError:
                    # Somebody has just chosen it here. It is given once it is free.
                    continue
                await show_given_name(self._services, person)

    async def _read_stored(self, process: str, data: object) -> None:
        await self._known.refresh()
        await self._services.moderators.refresh()
        await self._open_door()
        await self._follow_given_names()

    async def _show(self, process: str, data: Mapping[str, Any]) -> None:
        """Take over who is in another process."""
        self._heard[process] = time.monotonic()
        pages = self._pages.setdefault(process, {})
        told = {one["id"]: one for one in data["people"]}
        for user_id in pages.keys() - told:
            page, _ = pages.pop(user_id)
            self._people.leave(page, user_id)
        for user_id, person in told.items():
            page, before = pages.get(user_id, (RemotePage(), None))
            if person != before:
                pages[user_id] = page, person
                self._arrive(page, person)
        waiting = {one["id"]: one for one in data["waiting"] if not self._known[one["id"]].let_in}
        self._waiting.remove(self._waiting_there.get(process, set()) - waiting.keys())
        self._waiting_there[process] = set(waiting)
        for user_id, person in waiting.items():
            user = self._user(person)
            # Two who knock in the same moment, each in another process, may have said the same name.
            name = self._people.nearest(user, person["name"])
            self._people.expect(user, name, person["address"], person["agent"])
            self._waiting.knock(user_id, person["address"])
        self._waiting.adopt_turned_away(data["turned_away"])

    def _arrive(self, page: RemotePage, person: Mapping[str, Any]) -> None:
        name = self._known[person["id"]].name or (person["name"] if person["is_named"] else "")
        self._people.arrive(page, self._user(person), name, person["address"], person["agent"])
        known = self._people.find(person["id"])
        if known is not None and known.is_elsewhere:
            known.room, known.since = person["room"], min(known.since, person["since"])

    def _user(self, person: Mapping[str, Any]) -> User:
        return self._services.resolve(User(person["id"], person["name"], locale=person["locale"]))

    def _forget(self, process: str) -> None:
        del self._heard[process]
        for user_id, (page, _) in self._pages.pop(process, {}).items():
            self._people.leave(page, user_id)
        self._waiting.remove(self._waiting_there.pop(process, set()))


def _person_as_json(person: Person) -> dict[str, Any]:
    names = ("id", "name", "is_named", "since", "address", "agent", "room", "locale")
    return {name: getattr(person, name) for name in names}
