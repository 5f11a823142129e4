"""Time-outs: people who may not use the bot for a while, in a server and in direct messages.

People are known by a keyed hash. It is all that remains here after they have deleted their data, so that a deletion
does not end a time-out.
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
    """A stored time-out. `person` is the hash of the person who is timed out."""

    __tablename__ = "timeouts"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own way

    id: Mapped[int] = mapped_column(primary_key=True)
    platform: Mapped[str]
    server: Mapped[str]
    person: Mapped[str] = mapped_column(index=True)
    user: Mapped[str]
    """Their id; empty, like name and reason, after they have deleted their data."""
    name: Mapped[str]
    until: Mapped[datetime]
    reason: Mapped[str]
    """The reason in a moderator's words."""
    actor: Mapped[str]
    actor_name: Mapped[str]
    created: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class TimeOut:
    """A time-out that is in force."""

    id: int
    platform: str
    server: str
    person: str
    user: str
    name: str
    until: datetime
    reason: str
    actor_name: str

    def applies_in(self, place: Place) -> bool:
        """Return whether it is in force in `place`: its server and all direct messages."""
        return self.platform == place.platform and place.server in ("", self.server) and self.until > now()


class TimeOuts:
    """The time-outs of all servers, kept in memory, too, since requests are decided without waiting."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._key = b""
        self._by_person: dict[str, tuple[TimeOut, ...]] = {}

    async def start(self) -> None:
        """Read the key of the hashes and the time-outs in force."""
        self._key, is_new = await load_secret(self._database)
        if is_new:
            await self._rehash()
        await self.refresh()

    async def _rehash(self) -> None:
        """After a key was lost, compute the hashes again for the people whose ids are known."""
        async with self._database.writing() as session:
            for row in await session.scalars(select(TimeOutRow)):
                if row.user:
                    row.person = self.hash_person(row.platform, row.user)
                else:
                    log.warning(
                        "The key of the hashes was lost: a time-out of somebody who deleted their data has ended."
                    )

    def hash_person(self, platform: str, user: str) -> str:
        """Return the keyed hash of a person's id."""
        return hmac.new(self._key, f"{platform}\0{user}".encode(), hashlib.sha256).hexdigest()

    async def refresh(self) -> None:
        """Read what other processes stored, and delete the time-outs that are over."""
        async with self._database.reading() as session:
            rows = list(await session.scalars(select(TimeOutRow).order_by(TimeOutRow.id)))
        by_person: dict[str, tuple[TimeOut, ...]] = {}
        for row in rows:
            if row.until > now():
                by_person[row.person] = (*by_person.get(row.person, ()), _from_row(row))
        self._by_person = by_person
        if any(row.until <= now() for row in rows):
            async with self._database.writing() as session:
                await session.execute(delete(TimeOutRow).where(TimeOutRow.until <= now()))

    async def refresh_one(self, user: User, place: Place) -> None:
        """Read one person's time-outs again, so that one from another process applies to their next request."""
        person = self.hash_person(place.platform, user.id)
        async with self._database.reading() as session:
            rows = await session.scalars(select(TimeOutRow).where(TimeOutRow.person == person))
            self._remember(person, [_from_row(row) for row in rows])

    def find_active(self, user: User, place: Place) -> TimeOut | None:
        """Return the time-out of `user` in `place` that ends last; None if there is none."""
        timeouts = self._by_person.get(self.hash_person(place.platform, user.id), ())
        applicable = (timeout for timeout in timeouts if timeout.applies_in(place))
        return max(applicable, key=lambda timeout: timeout.until, default=None)

    def active_in(self, scope: Scope) -> Sequence[TimeOut]:
        """Return the time-outs in force in a server, the next to end first."""
        active = [
            timeout
            for timeouts in self._by_person.values()
            for timeout in timeouts
            if (timeout.platform, timeout.server) == (scope.platform, scope.server) and timeout.until > now()
        ]
        return sorted(active, key=lambda timeout: timeout.until)

    async def set(self, user: User, scope: Scope, until: datetime, reason: str, actor: User) -> TimeOut:
        """Time somebody out of a server; this replaces their time-out there, if they have one."""
        person = self.hash_person(scope.platform, user.id)
        same = (TimeOutRow.platform == scope.platform, TimeOutRow.server == scope.server, TimeOutRow.person == person)
        async with self._database.writing() as session:
            before = await session.scalar(select(TimeOutRow.until).where(*same, TimeOutRow.until > now()))
            await session.execute(delete(TimeOutRow).where(*same))
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
            timeout = _from_row(row)
        others = [other for other in self._by_person.get(person, ()) if other.server != scope.server]
        self._remember(person, [*others, timeout])
        return timeout

    async def lift(self, number: int, scope: Scope, actor: User) -> TimeOut | None:
        """End the time-out with this number and return it; None if there is none in `scope`."""
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
        lifted = _from_row(row)
        self._remember(row.person, [other for other in self._by_person.get(row.person, ()) if other.id != number])
        return lifted

    def _remember(self, person: str, timeouts: Sequence[TimeOut]) -> None:
        others = {other: kept for other, kept in self._by_person.items() if other != person}
        self._by_person = others | {person: tuple(timeouts)} if timeouts else others


def _from_row(row: TimeOutRow) -> TimeOut:
    identity = (row.id, row.platform, row.server, row.person, row.user, row.name)
    return TimeOut(*identity, row.until, row.reason, row.actor_name)
