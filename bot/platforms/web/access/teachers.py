"""Moderators of the web chat, and the links that make a visitor one: each works once, within an hour."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bot.core.errors import UserError
from bot.core.messages import Place, User
from bot.settings.builtin import DAY_SECONDS
from bot.storage.audit import MODERATION, AuditEntry, add_entry
from bot.storage.database import PluginRow
from bot.storage.key_value import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bot.core.caller import Caller
    from bot.storage.database import Database

NAMESPACE = "web chat"
"""The namespace of the web chat in the key-value store. No plugin has it, since their names contain no spaces."""
LINKS_SCOPE, MODERATORS_SCOPE = "sign-in links", "moderators"
LINK_SECONDS = 3600.0
UNUSED_SECONDS = 30 * DAY_SECONDS
"""How long a sign-in lasts after its last use. A weekly lesson keeps it, and a browser left behind loses it."""
STORE_SECONDS = 600.0
"""How much later than the stored one a use must be to be stored."""
CHAT = Place("web", "", "web")
SIGNED_IN, SIGNED_OUT, ENDED, EXPIRED = "sign in", "sign out", "sign in ended", "sign in expired"


@dataclass(frozen=True, slots=True)
class SignIn:
    """A visitor who is a moderator since they signed in. Times are in seconds since the epoch."""

    id: str
    name: str
    since: float
    used: float

    @property
    def ends(self) -> float:
        """When it expires, unless it is used before."""
        return self.used + UNUSED_SECONDS

    @property
    def user(self) -> User:
        """The visitor."""
        return User(self.id, self.name)


class WebModerators:
    """The visitors who signed in as teachers. What is stored is cached in memory, and read again by `refresh`."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._store = Store(database, NAMESPACE)
        self._clock = clock
        self._known: dict[str, SignIn] = {}
        self._changing = asyncio.Lock()
        self.listeners: set[Callable[[], None]] = set()
        """Called whenever somebody becomes a moderator, or is one no longer."""

    def __contains__(self, user_id: str) -> bool:
        known = self._known.get(user_id)
        return known is not None and self._clock() < known.ends

    @property
    def signed_in(self) -> Sequence[SignIn]:
        """All sign-ins that are in force, the newest first."""
        return sorted((one for one in self._known.values() if one.id in self), key=lambda one: -one.since)

    def note_use(self, user: User) -> None:
        """Prolong the sign-in of `user`, who does something just now; nothing for anybody else."""
        if user.id in self:
            self._known[user.id] = replace(self._known[user.id], name=user.name, used=self._clock())

    async def refresh(self) -> None:
        """Store what was used, end what was not used for too long, and read what other processes changed."""
        async with self._changing:
            stored = {
                key: _read(key, value) for key, value in (await self._store.items(scope=MODERATORS_SCOPE)).items()
            }
            merged = [self._merge(one) for one in stored.values()]
            expired = [one for one in merged if one.ends <= self._clock()]
            used = [one for one in merged if one not in expired and _must_be_stored(one, stored[one.id])]
            if expired or used:
                await self._write(used, expired)
            ended = {one.id for one in expired}
            self._set({key: self._merge(one) for key, one in stored.items() if key not in ended})

    def _merge(self, stored: SignIn) -> SignIn:
        """Return what is stored, with the later use that this process knows of, if there is one."""
        known = self._known.get(stored.id, stored)
        return replace(stored, name=known.name, used=known.used) if known.used > stored.used else stored

    async def _write(self, used: Iterable[SignIn], expired: Iterable[SignIn]) -> None:
        async with self._database.writing() as session:
            for one in used:
                # Another process may have ended it.
                if (row := await session.get(PluginRow, _key(one.id))) is not None:
                    row.value = _value(one)
            for one in expired:
                if (row := await session.get(PluginRow, _key(one.id))) is not None:
                    await session.delete(row)
                    add_entry(session, _entry(one.user, EXPIRED))

    async def create_code(self) -> str:
        """Create a code that signs one visitor in within the next hour. Only its hash is stored."""
        now = self._clock()
        expired = [key for key, until in (await self._store.items(scope=LINKS_SCOPE)).items() if until < now]
        await self._store.delete(*expired, scope=LINKS_SCOPE)
        code = secrets.token_urlsafe(24)
        await self._store.set(_hash(code), now + LINK_SECONDS, scope=LINKS_SCOPE)
        return code

    async def sign_in(self, code: str, user: User) -> None:
        """Make a visitor a moderator. Raises UserError if the code is unknown, used or too old."""
        key = _hash(code.strip())
        # Read first, because nobody waits for readers: wrong codes must not take turns with what others write.
        self._require_valid(await self._store.get(key, scope=LINKS_SCOPE))
        new = SignIn(user.id, user.name, since=self._clock(), used=self._clock())
        async with self._changing:
            async with self._database.writing() as session:
                link = await session.get(PluginRow, (NAMESPACE, LINKS_SCOPE, key))
                self._require_valid(None if link is None else link.value)
                await session.delete(link)
                await session.merge(_row(new))
                add_entry(session, _entry(user, SIGNED_IN))
            self._set({**self._known, user.id: new})

    def _require_valid(self, until: float | None) -> None:
        if until is None or until < self._clock():
            raise UserError("This link was used already or is too old. `tempera teacher-link` prints a new one.")

    async def sign_out(self, user: User) -> None:
        """Take the rights of a moderator from a visitor who gives them up."""
        await self._end([user.id], user)

    async def end(self, caller: Caller, user_ids: Sequence[str]) -> None:
        """End the sign-ins of visitors. Raises PermissionDenied unless `caller` is a moderator."""
        caller.require_moderator()
        await self._end(user_ids, caller.user)

    async def _end(self, user_ids: Sequence[str], actor: User) -> None:
        async with self._changing:
            async with self._database.writing() as session:
                for user_id in user_ids:
                    if (row := await session.get(PluginRow, _key(user_id))) is not None:
                        await session.delete(row)
                        add_entry(session, _end_entry(actor, _read(user_id, row.value)))
            self._set({key: one for key, one in self._known.items() if key not in user_ids})

    def _set(self, known: dict[str, SignIn]) -> None:
        has_changed = known.keys() != self._known.keys()
        self._known = known
        if has_changed:
            for listener in tuple(self.listeners):
                listener()


def _key(user_id: str) -> tuple[str, str, str]:
    return NAMESPACE, MODERATORS_SCOPE, user_id


def _row(one: SignIn) -> PluginRow:
    return PluginRow(plugin=NAMESPACE, scope=MODERATORS_SCOPE, key=one.id, value=_value(one))


def _value(one: SignIn) -> dict[str, Any]:
    return {"name": one.name, "since": one.since, "used": one.used}


def _read(user_id: str, value: Mapping[str, Any]) -> SignIn:
    return SignIn(user_id, **value)


def _must_be_stored(one: SignIn, stored: SignIn) -> bool:
    return one.name != stored.name or one.used >= stored.used + STORE_SECONDS


def _entry(actor: User, what: str) -> AuditEntry:
    return AuditEntry(actor=actor, place=CHAT, kind=MODERATION, what=what)


def _end_entry(actor: User, ended: SignIn) -> AuditEntry:
    if ended.id == actor.id:
        return _entry(actor, SIGNED_OUT)
    return replace(_entry(actor, ENDED), subject=ended.id, subject_name=ended.name)


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode(errors="replace")).hexdigest()


def teacher_link(address: str, code: str) -> str:
    """Return the link for a teacher. The code stands after the #, which browsers do not send to the server."""
    return f"{address}/teacher#{code}"
