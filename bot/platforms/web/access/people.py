"""The visitors who are here or were lately: what each is called, where they are, and the pages that they have open."""

from __future__ import annotations

import time
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from bot.core.errors import UserError
from bot.core.i18n import Sentence
from bot.platforms.web.access.names import check_name, find_free, look_of, without_wrong_signs
from bot.platforms.web.access.visitors import clean_name, guest_name, is_guest_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bot.core.messages import User

LATELY_SECONDS = 12 * 3600.0
"""For how long nobody else can have the name of somebody who has left."""
SHORT_ABSENCE_SECONDS = 300.0
"""Whoever comes back within this time, as after a reload, has been here since they came first."""
MAX_PEOPLE = 4096
"""How many visitors are remembered. Whoever left first is forgotten first."""
MAX_AGENT_CHARS = 300
TAKEN = "Somebody here is called “{other}”, and names that look alike mix people up. “{free}” is free."
CHANGED = "{problem} You are called “{name}” now; press your name to choose another one."


class OpenPage(Protocol):
    """A page that a visitor has open. Its methods are called while the change is made, so they must be quick."""

    def name_changed(self) -> None:
        """Called when its visitor is called something else."""

    def end(self) -> None:
        """Called when the visit is ended: it closes, and nothing that it sends is done any more."""


class RemotePage:
    """A page that a visitor has open in another process, which also closes it where that has to be."""

    def name_changed(self) -> None:
        """Do nothing: the other process tells the page."""

    def end(self) -> None:
        """Do nothing: the other process reads in the database that the visit is ended."""


@dataclass(slots=True, eq=False)
class Person:
    """A visitor with their open pages. Times are in seconds since the epoch; `seen` is when they left.

    `room` is "" for newcomers who are not let in yet, and for those who were sent out.
    `address` is the `Request.address` of their last page, `agent` how its browser describes itself, and `room` what it
    shows. `is_named` is false for guests, who have chosen no name.
    """

    id: str
    name: str
    since: float
    seen: float
    is_named: bool = False
    address: str = ""
    agent: str = ""
    room: str = ""
    locale: str = "en"
    pages: set[OpenPage] = field(default_factory=set)

    @property
    def is_here(self) -> bool:
        """True if a page of theirs is open."""
        return bool(self.pages)

    @property
    def is_elsewhere(self) -> bool:
        """True if all the open pages of theirs are in other processes."""
        return self.is_here and all(isinstance(page, RemotePage) for page in self.pages)


class People:
    """All visitors who are here, and those who were lately. No two of them have names that look alike."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._people: OrderedDict[str, Person] = OrderedDict()
        self._ids_by_look: defaultdict[str, set[str]] = defaultdict(set)

    def find(self, user_id: str) -> Person | None:
        """Return a visitor; None if they are not remembered."""
        return self._people.get(user_id)

    def seen_since(self, moment: float) -> Sequence[Person]:
        """Return those who are here and those who left after `moment`, in the order in which they came."""
        found = (one for one in self._people.values() if one.is_here or one.seen >= moment)
        return sorted(found, key=lambda one: one.since)

    def remember(self, user: User, seen: float) -> None:
        """Keep the name of somebody whose messages are shown after a start for them, if they were here lately."""
        if seen > self._clock() - LATELY_SECONDS and user.id and user.id not in self._people:
            self._put(Person(user.id, user.name, seen, seen, is_named=not is_guest_name(user.name, user.id)))

    def name_of(self, user: User, wished: str) -> str:
        """Return what a visitor is called: as they wish as far as possible, if they have chosen no name yet."""
        known = self._people.get(user.id)
        if known is not None and (known.is_named or not wished):
            return known.name
        return self.nearest(user, clean_name(wished)) or user.name

    def nearest(self, user: User, name: str) -> str:
        """Return a name that a visitor can have, which is `name` if possible; "" if there is none."""
        allowed = clean_name(without_wrong_signs(name))
        try:
            check_name(allowed, is_moderator=user.is_moderator)
        except UserError:
            return ""
        return allowed if self._is_free(allowed, user.id) else self._find_free(allowed, user.id)

    def arrive(self, page: OpenPage, user: User, wished: str, address: str, agent: str) -> Sentence | None:
        """Add a page that a visitor has opened. Returns what they must be told if they cannot be called as they wish.

        `user` has the name of a guest, or the one that they have.
        """
        now = self._clock()
        known = self._people.pop(user.id, None) or Person(user.id, self._guest_name(user), now, now)
        if not known.is_here and now - known.seen > SHORT_ABSENCE_SECONDS:
            known.since = now
        known.seen, known.address, known.agent, known.locale = now, address, agent[:MAX_AGENT_CHARS], user.locale
        self._put(known)
        problem = self._settle(known, user, wished)
        known.pages.add(page)
        return problem

    def _settle(self, known: Person, user: User, wished: str) -> Sentence | None:
        # Also the name that they have: those whose messages were shown at the start may have the same one.
        name = clean_name(wished) or (known.name if known.is_named else "")
        if not name or (problem := self._problem(user, name)) is None:
            if name:
                self._call(known, name)
            return None
        if name == known.name or not known.is_named:
            nearest = self.nearest(user, name)
            self._call(known, nearest or self._guest_name(user), is_named=bool(nearest))
        return Sentence(CHANGED, {"problem": problem.sentence, "name": known.name})

    def leave(self, page: OpenPage, user_id: str) -> None:
        """Remove a page that has closed."""
        if (known := self._people.get(user_id)) is not None:
            known.pages.discard(page)
            known.seen = self._clock()
            self._people.move_to_end(user_id)

    def choose(self, user: User, wished: str) -> None:
        """Call a visitor as they wish, or a guest if that is nothing. Raises UserError if they cannot be called so."""
        known = self._people.get(user.id)
        name = clean_name(wished)
        if known is None or name == known.name:
            return
        if name and (problem := self._problem(user, name)) is not None:
            raise problem
        self._call(known, name or self._guest_name(user), is_named=bool(name))

    def give_name(self, user: User, wished: str) -> str:
        """Call a visitor as a moderator wishes, and return the name. Raises UserError if nobody can be called so."""
        name = clean_name(wished)
        if (problem := self._problem(user, name)) is not None:
            raise problem
        if (known := self._people.get(user.id)) is not None:
            self._call(known, name)
        return name

    def expect(self, user: User, wished: str, address: str, agent: str) -> None:
        """Keep a name for a newcomer who is not let in yet. Raises UserError if they cannot be called so."""
        name = clean_name(wished)
        if (problem := self._problem(user, name)) is not None:
            raise problem
        now = self._clock()
        known = self._people.get(user.id) or Person(user.id, user.name, now, now)
        known.seen, known.address, known.agent, known.room = now, address, agent[:MAX_AGENT_CHARS], ""
        self._put(known)
        self._call(known, name)

    def end(self, user_id: str) -> None:
        """Close the pages of a visitor, who keeps their name."""
        if (known := self._people.get(user_id)) is not None:
            known.room = ""
            for page in tuple(known.pages):
                page.end()

    def recheck(self, user: User) -> None:
        """Call a visitor a guest if they can no longer have their name, as one who was a moderator until now."""
        known = self._people.get(user.id)
        if known is not None and known.is_named and self._problem(user, known.name) is not None:
            self._call(known, self._guest_name(user), is_named=False)

    def forget(self, user_id: str) -> None:
        """Forget a visitor, unless a page of theirs is open."""
        known = self._people.get(user_id)
        if known is not None and not known.is_here:
            self._drop(known)

    async def drop_old(self) -> None:
        """Forget those who left too long ago."""
        before = self._clock() - LATELY_SECONDS
        for one in [known for known in self._people.values() if not known.is_here and known.seen < before]:
            self._drop(one)

    def _put(self, known: Person) -> None:
        self._people[known.id] = known
        for form in look_of(known.name):
            self._ids_by_look[form].add(known.id)
        if len(self._people) > MAX_PEOPLE:
            oldest = next((one for one in self._people.values() if not one.is_here), None)
            if oldest is not None:
                self._drop(oldest)

    def _drop(self, known: Person) -> None:
        del self._people[known.id]
        self._forget_look(known)

    def _call(self, known: Person, name: str, *, is_named: bool = True) -> None:
        if (known.name, known.is_named) == (name, is_named):
            return
        self._forget_look(known)
        known.name, known.is_named = name, is_named
        for form in look_of(name):
            self._ids_by_look[form].add(known.id)
        for page in tuple(known.pages):
            page.name_changed()

    def _forget_look(self, known: Person) -> None:
        for form in look_of(known.name):
            self._ids_by_look[form].discard(known.id)
            if not self._ids_by_look[form]:
                del self._ids_by_look[form]

    def _problem(self, user: User, name: str) -> UserError | None:
        """Return why a visitor cannot have this name; None if they can."""
        try:
            check_name(name, is_moderator=user.is_moderator)
        except UserError as error:
            return error
        if (other := self._find_holder(name, user.id)) is None:
            return None
        return UserError(TAKEN, other=other.name, free=self._find_free(name, user.id))

    def _find_free(self, name: str, user_id: str) -> str:
        return find_free(name, lambda numbered: self._is_free(numbered, user_id))

    def _is_free(self, name: str, user_id: str) -> bool:
        return self._find_holder(name, user_id) is None

    def _find_holder(self, name: str, user_id: str) -> Person | None:
        """Return somebody else whose name looks like this one, who is here or was lately."""
        after = self._clock() - LATELY_SECONDS
        ids = {one for form in look_of(name) for one in self._ids_by_look.get(form, ())}
        found = (self._people[one] for one in sorted(ids) if one != user_id)
        return next((one for one in found if one.is_here or one.seen > after), None)

    def _guest_name(self, user: User) -> str:
        """Return the name of a guest, with so much of their id that nobody else has it."""
        names = (guest_name(user.id, user.locale, length) for length in (4, 6, 8))
        return next((name for name in names if self._is_free(name, user.id)), guest_name(user.id, user.locale, 16))
