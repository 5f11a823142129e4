"""The audit: a record of changed settings, acts of moderation, refusals and appeals."""

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
"""The kinds of entries. `before` of a refusal or appeal is the text of the user, or of a withheld answer."""
MAX_ENTRIES = 1000
"""The largest number of entries that one query returns by default."""


class AuditRow(Base):
    """An entry: who did what, where, to what or whom, and the values before and after."""

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
    """The name of the setting, the act of the moderator, or the command that was refused."""
    subject: Mapped[str]
    """The role of a setting, the user of an act, or the number of the refusal of an appeal; "" if there is none."""
    subject_name: Mapped[str]
    before: Mapped[Any] = mapped_column(JSON, nullable=True)
    after: Mapped[Any] = mapped_column(JSON, nullable=True)
    reason: Mapped[str]
    """A code, such as "cooldown"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """An entry to record, with the fields of the row. `before` and `after` are JSON values."""

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
    """A filter for the entries of a server; an empty field matches every entry.

    `what` is a whole name, or the beginning of one up to a dot or a space. `who` is the id or the name of the actor, or
    of the user whom a moderator acted on. The time span includes `since` and excludes `until`. `older` matches the
    entries with a smaller id.
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
    """Add an entry in the transaction of the act that it records, so that neither is stored without the other."""
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
    """Reads and writes the entries of all servers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, entry: AuditEntry) -> int:
        """Store an entry in a transaction of its own, and return its id. A refusal is counted, too."""
        async with self._database.writing() as session:
            row = add_entry(session, entry)
            if entry.kind == REFUSAL:
                where, day = (row.platform, row.server), counters.day_of(row.created)
                await counters.count(session, where, counters.REFUSAL, row.what, row.reason, day)
            await session.flush()
            return row.id

    async def get(self, row_id: int) -> AuditRow | None:
        """Return the entry with this id; None if there is none."""
        async with self._database.reading() as session:
            return await session.get(AuditRow, row_id)

    async def purge(self, days: float) -> None:
        """Delete the texts in refusals older than `days`, and in appeals against these; the entries themselves stay."""
        old = AuditRow.created < now() - timedelta(days=days)
        refused = select(cast(AuditRow.id, String)).where(AuditRow.kind == REFUSAL, old)
        against = (AuditRow.kind == APPEAL) & AuditRow.subject.in_(refused)
        with_texts = or_(AuditRow.kind.in_([REFUSAL, APPEAL]) & old, against)
        async with self._database.writing() as session:
            await session.execute(update(AuditRow).where(with_texts).values(before=null()))

    async def find(
        self, platform: str, server: str, wanted: AuditFilter | None = None, *, limit: int = MAX_ENTRIES
    ) -> Sequence[AuditRow]:
        """Return at most `limit` entries of a server, the newest first; "" stands for direct messages."""
        query = _select_matching(platform, server, wanted or AuditFilter())
        async with self._database.reading() as session:
            return (await session.scalars(query.order_by(AuditRow.id.desc()).limit(limit))).all()

    async def newest_id(self) -> int:
        """Return the id of the newest entry; 0 if there is none."""
        async with self._database.reading() as session:
            return await session.scalar(select(func.max(AuditRow.id))) or 0

    async def find_after(self, platform: str, row_id: int, limit: int) -> Sequence[AuditRow]:
        """Return at most `limit` entries of a platform after the entry `row_id`, the oldest first.

        Writers take turns, so no later entry gets a smaller id.
        """
        query = select(AuditRow).where(AuditRow.platform == platform, AuditRow.id > row_id)
        async with self._database.reading() as session:
            return (await session.scalars(query.order_by(AuditRow.id).limit(limit))).all()

    async def find_in_chunks(
        self, platform: str, server: str, wanted: AuditFilter, size: int
    ) -> AsyncIterator[Sequence[AuditRow]]:
        """Yield all matching entries of a server, the newest first, in chunks of `size`."""
        while rows := await self.find(platform, server, wanted, limit=size):
            yield rows
            wanted = replace(wanted, older=rows[-1].id)

    async def list_names(self, platform: str, server: str) -> Sequence[str]:
        """Return the distinct values of `what` in the entries of a server, sorted."""
        names = select(AuditRow.what).where(AuditRow.platform == platform, AuditRow.server == server)
        async with self._database.reading() as session:
            return (await session.scalars(names.distinct().order_by(AuditRow.what))).all()


def _select_matching(platform: str, server: str, wanted: AuditFilter) -> Select[AuditRow]:
    query = select(AuditRow).where(AuditRow.platform == platform, AuditRow.server == server)
    for column in ("kind", "channel", "actor", "subject", "reason"):
        if value := getattr(wanted, column):
            query = query.where(getattr(AuditRow, column) == value)
    if wanted.what:
        is_below = (AuditRow.what.startswith(f"{wanted.what}{mark}", autoescape=True) for mark in (".", " "))
        query = query.where(or_(AuditRow.what == wanted.what, *is_below))
    if wanted.who:
        has_acted = _matches_person(AuditRow.actor, AuditRow.actor_name, wanted.who)
        # In other kinds the subject is not a person, and a role or a number may look like a name.
        was_moderated = (AuditRow.kind == MODERATION) & _matches_person(
            AuditRow.subject, AuditRow.subject_name, wanted.who
        )
        query = query.where(or_(has_acted, was_moderated))
    if wanted.since is not None:
        query = query.where(AuditRow.created >= wanted.since)
    if wanted.until is not None:
        query = query.where(AuditRow.created < wanted.until)
    if wanted.older is not None:
        query = query.where(AuditRow.id < min(wanted.older, MAX_ID))
    return query


def _matches_person(
    identifier: InstrumentedAttribute[str], name: InstrumentedAttribute[str], who: str
) -> ColumnElement[bool]:
    return or_(identifier == who, func.lower(name) == func.lower(who))
