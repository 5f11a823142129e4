"""Who may not use the bot for a while: in a server, and in direct messages with the bot.

People are known by a keyed hash, which is all that is left of them here once they have had deleted what is stored about
them; so that does not end a time-out.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - SQLAlchemy reads the types of columns
from typing import TYPE_CHECKING

from sqlalchemy import delete, select
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.audit import MODERATION, AuditEntry, add_entry
from bot.storage.database import Base, now
from bot.storage.secret_key import load_secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.core.messages import Place, User
    from bot.settings.setting import Scope
    from bot.storage.database import Database

log = logging.getLogger(__name__)


class TimeOutRow(Base):
    """A time-out. `person` is the hash of whom it is for."""

    __tablename__ = "timeouts"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own way

    id: Mapped[int] = mapped_column(primary_key=True)
    platform: Mapped[str]
    server: Mapped[str]
    person: Mapped[str] = mapped_column(index=True)
    user: Mapped[str]
    """Their id; empty, like name and reason, once they have had deleted what is stored about them."""
    name: Mapped[str]
    until: Mapped[datetime]
    reason: Mapped[str]
    """In a moderator's words."""
    actor: Mapped[str]
    actor_name: Mapped[str]
    created: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class TimeOut:
    """One that is in force."""

    id: int
    platform: str
    server: str
    person: str
    user: str
    name: str
    until: datetime
    reason: str
    actor_name: str

    def counts_in(self, place: Place) -> bool:
        """Whether it keeps its person from the bot in `place`."""
        return self.platform == place.platform and place.server in ("", self.server) and self.until > now()


class TimeOuts:
    """Those of all servers, kept in memory, too, since a request is decided without waiting."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._key = b""
        self._known: dict[str, tuple[TimeOut, ...]] = {}

    async def start(self) -> None:
        """Read the key and what is in force."""
        self._key, is_new = await load_secret(self._database)
        if is_new:
            await self._hash_anew()
        await self.refresh()

    async def _hash_anew(self) -> None:
        """Where a key was lost, let those still count who are known by more than their hash."""
        async with self._database.writing() as session:
            for row in await session.scalars(select(TimeOutRow)):
                if row.user:
                    row.person = self.person(row.platform, row.user)
                else:
                    log.warning("A key was lost, and with it a time-out of somebody who is known by their hash alone.")

    def person(self, platform: str, user: str) -> str:
        """What a person is called here."""
        return hmac.new(self._key, f"{platform}\0{user}".encode(), hashlib.sha256).hexdigest()

    async def refresh(self) -> None:
        """Follow what other processes did, and forget what is over."""
        async with self._database.reading() as session:
            rows = list(await session.scalars(select(TimeOutRow).order_by(TimeOutRow.id)))
        found: dict[str, tuple[TimeOut, ...]] = {}
        for row in rows:
            if row.until > now():
                found[row.person] = (*found.get(row.person, ()), _read(row))
        self._known = found
        if any(row.until <= now() for row in rows):
            async with self._database.writing() as session:
                await session.execute(delete(TimeOutRow).where(TimeOutRow.until <= now()))

    async def refresh_one(self, user: User, place: Place) -> None:
        """Follow what other processes did to one person, so that it counts at their next request already."""
        person = self.person(place.platform, user.id)
        async with self._database.reading() as session:
            rows = await session.scalars(select(TimeOutRow).where(TimeOutRow.person == person))
            self._know(person, [_read(row) for row in rows])

    def of(self, user: User, place: Place) -> TimeOut | None:
        """What keeps `user` from the bot in `place`, the longest first."""
        known = self._known.get(self.person(place.platform, user.id), ())
        return max((one for one in known if one.counts_in(place)), key=lambda one: one.until, default=None)

    def within(self, scope: Scope) -> Sequence[TimeOut]:
        """Those in force in a server, those that end first before the others."""
        known = [one for several in self._known.values() for one in several]
        here = [one for one in known if (one.platform, one.server) == (scope.platform, scope.server)]
        return sorted((one for one in here if one.until > now()), key=lambda one: one.until)

    async def set(self, user: User, scope: Scope, until: datetime, reason: str, actor: User) -> TimeOut:
        """Time somebody out of a server, in the place of what was in force there."""
        person = self.person(scope.platform, user.id)
        mine = (TimeOutRow.platform == scope.platform, TimeOutRow.server == scope.server, TimeOutRow.person == person)
        async with self._database.writing() as session:
            before = await session.scalar(select(TimeOutRow.until).where(*mine, TimeOutRow.until > now()))
            await session.execute(delete(TimeOutRow).where(*mine))
            row = TimeOutRow(
                platform=scope.platform,
                server=scope.server,
                person=person,
                user=user.id,
                name=user.name,
                until=until,
                reason=reason,
                actor=actor.id,
                actor_name=actor.name,
                created=now(),
            )
            session.add(row)
            entry = AuditEntry(
                actor=actor,
                place=scope.place,
                kind=MODERATION,
                what="timeout",
                subject=user.id,
                subject_name=user.name,
                before=before and before.isoformat(),
                after={"until": until.isoformat(), "reason": reason},
            )
            add_entry(session, entry)
            await session.flush()
            made = _read(row)
        others = [one for one in self._known.get(person, ()) if one.server != scope.server]
        self._know(person, [*others, made])
        return made

    async def lift(self, number: int, scope: Scope, actor: User) -> TimeOut | None:
        """End the time-out with this number; None if there is none in `scope`."""
        async with self._database.writing() as session:
            row = await session.get(TimeOutRow, number)
            if row is None or (row.platform, row.server) != (scope.platform, scope.server) or row.until <= now():
                return None
            await session.delete(row)
            entry = AuditEntry(
                actor=actor,
                place=scope.place,
                kind=MODERATION,
                what="lift",
                subject=row.user,
                subject_name=row.name,
                before={"until": row.until.isoformat(), "reason": row.reason},
            )
            add_entry(session, entry)
        lifted = _read(row)
        self._know(row.person, [one for one in self._known.get(row.person, ()) if one.id != number])
        return lifted

    def _know(self, person: str, found: Sequence[TimeOut]) -> None:
        others = {name: kept for name, kept in self._known.items() if name != person}
        self._known = others | {person: tuple(found)} if found else others


def _read(row: TimeOutRow) -> TimeOut:
    about = (row.id, row.platform, row.server, row.person, row.user, row.name)
    return TimeOut(*about, row.until, row.reason, row.actor_name)
