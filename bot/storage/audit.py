"""What happened that somebody may have to answer for: settings that were changed, moderation, refusals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, Index, String, cast, func, null, or_, select, update
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage import counters
from bot.storage.database import MAX_ID, Base, now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import InstrumentedAttribute

    from bot.core.messages import Place, User
    from bot.storage.database import Database

SETTING, MODERATION, REFUSAL, APPEAL = KINDS = ("setting", "moderation", "refusal", "appeal")
"""The kinds of entries; `before` of the last two holds what somebody wrote, or the bot, if an answer was held back."""
MAX_ENTRIES = 1000
"""How many entries are read at once, unless somebody wants fewer."""


class AuditRow(Base):
    """One entry: who did what where, to what or whom, and what was before and after."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_server", "platform", "server", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    created: Mapped[datetime] = mapped_column(index=True)
    platform: Mapped[str]
    server: Mapped[str]
    channel: Mapped[str]
    actor: Mapped[str]
    actor_name: Mapped[str]
    kind: Mapped[str]
    """One of KINDS."""
    what: Mapped[str]
    """The setting's name, what a moderator did, or the command that was refused."""
    subject: Mapped[str]
    """What or whom it is about: a channel, a role, a user, a message; "" for the server or nobody."""
    subject_name: Mapped[str]
    before: Mapped[Any] = mapped_column(JSON, nullable=True)
    after: Mapped[Any] = mapped_column(JSON, nullable=True)
    reason: Mapped[str]
    """A code, such as "cooldown"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """What is to be noted; the fields are those of the row. `before` and `after` are anything that JSON can hold."""

    actor: User
    place: Place
    kind: str
    what: str
    subject: str = ""
    subject_name: str = ""
    before: Any = None
    after: Any = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries of a server are wanted: what is left empty may be anything.

    `what` is a whole name or the beginning of one, up to a dot or a space. `who` is the id or the name of somebody who
    did something, or to whom a moderator did. `since` is part of the span, `until` is not; `older` leaves out newer
    ids.
    """

    kind: str = ""
    what: str = ""
    who: str = ""
    channel: str = ""
    actor: str = ""
    subject: str = ""
    reason: str = ""
    since: datetime | None = None
    until: datetime | None = None
    older: int | None = None


def add_entry(session: AsyncSession, entry: AuditEntry) -> AuditRow:
    """Add an entry in the transaction of what it tells about, so that there is never one without the other."""
    place = entry.place
    row = AuditRow(
        created=now(),
        platform=place.platform,
        server=place.server,
        channel=place.channel,
        actor=entry.actor.id,
        actor_name=entry.actor.name,
        kind=entry.kind,
        what=entry.what,
        subject=entry.subject,
        subject_name=entry.subject_name,
        before=entry.before,
        after=entry.after,
        reason=entry.reason,
    )
    session.add(row)
    return row


class Audit:
    """The entries of all servers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, entry: AuditEntry) -> int:
        """Note an entry that stands for itself; its id."""
        async with self._database.writing() as session:
            row = add_entry(session, entry)
            if entry.kind == REFUSAL:
                where, day = (row.platform, row.server), counters.day_of(row.created)
                await counters.count(session, where, counters.REFUSAL, row.what, row.reason, day)
            await session.flush()
            return row.id

    async def get(self, row_id: int) -> AuditRow | None:
        """The entry with this id."""
        async with self._database.reading() as session:
            return await session.get(AuditRow, row_id)

    async def purge(self, days: float) -> None:
        """Forget the words in refusals older than `days`, and in appeals against them; that there was one stays."""
        old = AuditRow.created < now() - timedelta(days=days)
        refused = select(cast(AuditRow.id, String)).where(AuditRow.kind == REFUSAL, old)
        against = (AuditRow.kind == APPEAL) & AuditRow.subject.in_(refused)
        texts = or_(AuditRow.kind.in_([REFUSAL, APPEAL]) & old, against)
        async with self._database.writing() as session:
            await session.execute(update(AuditRow).where(texts).values(before=null()))

    async def find(
        self, platform: str, server: str, wanted: AuditFilter | None = None, *, most: int = MAX_ENTRIES
    ) -> Sequence[AuditRow]:
        """The entries of a server, the newest first, `most` at most. Where `server` is "", of its direct messages."""
        found = _select_matching(platform, server, wanted or AuditFilter())
        async with self._database.reading() as session:
            return (await session.scalars(found.order_by(AuditRow.id.desc()).limit(most))).all()

    async def newest_id(self) -> int:
        """The id of the last entry; 0 where there is none."""
        async with self._database.reading() as session:
            return await session.scalar(select(func.max(AuditRow.id))) or 0

    async def find_after(self, platform: str, number: int, most: int) -> Sequence[AuditRow]:
        """What came after an entry on a platform, the oldest first, `most` at most.

        Writers take turns, so that nothing comes later with a lower number.
        """
        later = select(AuditRow).where(AuditRow.platform == platform, AuditRow.id > number)
        async with self._database.reading() as session:
            return (await session.scalars(later.order_by(AuditRow.id).limit(most))).all()

    async def find_in_chunks(
        self, platform: str, server: str, wanted: AuditFilter, at_once: int
    ) -> AsyncIterator[Sequence[AuditRow]]:
        """The same without an end, `at_once` at a time."""
        while rows := await self.find(platform, server, wanted, most=at_once):
            yield rows
            wanted = replace(wanted, older=rows[-1].id)

    async def list_names(self, platform: str, server: str) -> Sequence[str]:
        """What there are entries about in a server: settings, commands, what moderators did."""
        there = select(AuditRow.what).where(AuditRow.platform == platform, AuditRow.server == server)
        async with self._database.reading() as session:
            return (await session.scalars(there.distinct().order_by(AuditRow.what))).all()


def _select_matching(platform: str, server: str, wanted: AuditFilter) -> Select[AuditRow]:
    found = select(AuditRow).where(AuditRow.platform == platform, AuditRow.server == server)
    for column in ("kind", "channel", "actor", "subject", "reason"):
        if value := getattr(wanted, column):
            found = found.where(getattr(AuditRow, column) == value)
    if wanted.what:
        longer = (AuditRow.what.startswith(f"{wanted.what}{mark}", autoescape=True) for mark in (".", " "))
        found = found.where(or_(AuditRow.what == wanted.what, *longer))
    if wanted.who:
        did = _matches_person(AuditRow.actor, AuditRow.actor_name, wanted.who)
        # Elsewhere the subject is no person, and a role or a number may be spelt like one.
        was_moderated = (AuditRow.kind == MODERATION) & _matches_person(
            AuditRow.subject, AuditRow.subject_name, wanted.who
        )
        found = found.where(or_(did, was_moderated))
    if wanted.since is not None:
        found = found.where(AuditRow.created >= wanted.since)
    if wanted.until is not None:
        found = found.where(AuditRow.created < wanted.until)
    if wanted.older is not None:
        found = found.where(AuditRow.id < min(wanted.older, MAX_ID))
    return found


def _matches_person(
    number: InstrumentedAttribute[str], name: InstrumentedAttribute[str], who: str
) -> ColumnElement[bool]:
    return or_(number == who, func.lower(name) == func.lower(who))
