"""The audit: a record of changed settings, acts of moderation, refusals and appeals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, Index, String, case, cast, delete, func, null, or_, select, update
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage import counters
from bot.storage.database import MAX_ID, Base, now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import InstrumentedAttribute

    from bot.core.messages import Place, User
    from bot.storage.database import Database

SETTING, MODERATION, REFUSAL, APPEAL = KINDS = ("setting", "moderation", "refusal", "appeal")
"""The kinds of entries. `before` of a refusal or appeal is the text of the user, or of a withheld answer."""
MAX_ENTRIES = 1000
"""The largest number of entries that one query returns by default."""
REPEAT_WINDOW = timedelta(hours=1)
"""For how long the same refusal of the same person is counted in one entry."""
MAX_PERSON_REFUSALS, MAX_SERVER_REFUSALS = 20, 200
"""The most entries of refusals of one person, and of all, in a server within that window; further ones are counted."""
MANY = "many"
"""The reason in the entry that counts further refusals: those of a person, or of all, without an actor."""


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
    times: Mapped[int] = mapped_column(default=1, server_default="1")
    """How often it happened; repeats of a refusal are counted here."""


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

    async def record(self, entry: AuditEntry) -> int | None:
        """Store an entry in a transaction of its own, and return its id.

        A refusal that repeats one of the last hour is counted in its entry. Somebody who is refused too often gets
        one more entry, which counts the rest; then None is returned.
        """
        async with self._database.writing() as session:
            if entry.kind == REFUSAL:
                return await _record_refusal(session, entry)
            row = add_entry(session, entry)
            await session.flush()
            return row.id

    async def record_first(self, entry: AuditEntry) -> bool:
        """Store an entry unless its server has one of this kind about this subject already; return whether it did."""
        place, wanted = entry.place, AuditFilter(kind=entry.kind, subject=entry.subject)
        query = _select_matching(_is_of(place.platform, place.server, ""), wanted)
        async with self._database.writing() as session:
            if await session.scalar(query.limit(1)) is not None:
                return False
            add_entry(session, entry)
        return True

    async def get(self, row_id: int) -> AuditRow | None:
        """Return the entry with this id; None if there is none."""
        return await self._database.read(lambda session: session.get(AuditRow, row_id))

    async def purge(self, days: float) -> None:
        """Delete the entries older than `days`."""
        old = delete(AuditRow).where(AuditRow.created < now() - timedelta(days=days))
        await self._database.write(lambda session: session.execute(old))

    async def purge_texts(self, days: float, sensitive: Mapping[str, str]) -> None:
        """Delete the texts in refusals older than `days`, and in appeals against these; the entries themselves stay.

        Each reason that is `sensitive` becomes the more general one that this maps it to.
        """
        old = AuditRow.created < now() - timedelta(days=days)
        refused = select(cast(AuditRow.id, String)).where(AuditRow.kind == REFUSAL, old)
        against = (AuditRow.kind == APPEAL) & AuditRow.subject.in_(refused)
        with_texts = or_(AuditRow.kind.in_([REFUSAL, APPEAL]) & old, against)
        reason = case(sensitive, value=AuditRow.reason, else_=AuditRow.reason)
        forget = update(AuditRow).where(with_texts).values(before=null(), reason=reason)
        await self._database.write(lambda session: session.execute(forget))

    async def find(
        self,
        platform: str,
        server: str,
        wanted: AuditFilter | None = None,
        *,
        limit: int = MAX_ENTRIES,
        also_by: str = "",
    ) -> Sequence[AuditRow]:
        """Return at most `limit` entries of a server, the newest first; "" stands for direct messages.

        The entries of the actor `also_by`, if there is one, are among them wherever they acted.
        """
        query = _select_matching(_is_of(platform, server, also_by), wanted or AuditFilter())
        query = query.order_by(AuditRow.id.desc()).limit(limit)
        return await self._database.read(lambda session: session.scalars(query).all())

    async def newest_id(self) -> int:
        """Return the id of the newest entry; 0 if there is none."""
        return await self._database.read(lambda session: session.scalar(select(func.max(AuditRow.id)))) or 0

    async def find_after(self, platform: str, row_id: int, limit: int) -> Sequence[AuditRow]:
        """Return at most `limit` entries of a platform after the entry `row_id`, the oldest first.

        Writers take turns, so no later entry gets a smaller id.
        """
        query = select(AuditRow).where(AuditRow.platform == platform, AuditRow.id > row_id)
        query = query.order_by(AuditRow.id).limit(limit)
        return await self._database.read(lambda session: session.scalars(query).all())

    async def find_in_chunks(
        self, platform: str, server: str, wanted: AuditFilter, size: int, *, also_by: str = ""
    ) -> AsyncIterator[Sequence[AuditRow]]:
        """Yield all matching entries that `find` returns, in chunks of `size`."""
        while rows := await self.find(platform, server, wanted, limit=size, also_by=also_by):
            yield rows
            wanted = replace(wanted, older=rows[-1].id)

    async def list_names(self, platform: str, server: str, *, also_by: str = "") -> Sequence[str]:
        """Return the distinct values of `what` in the entries that `find` returns, sorted."""
        names = select(AuditRow.what).where(_is_of(platform, server, also_by), AuditRow.what != "")
        names = names.distinct().order_by(AuditRow.what)
        return await self._database.read(lambda session: session.scalars(names).all())


async def _record_refusal(session: AsyncSession, entry: AuditEntry) -> int | None:
    """Store or count a refusal; return the id of the entry that has its words, or None."""
    place, current = entry.place, now()
    where = (place.platform, place.server)
    day = counters.day_of(current)
    await session.run_sync(counters.count, where, counters.REFUSAL, entry.what, entry.reason, day)
    is_recent = AuditRow.created >= current - REPEAT_WINDOW
    recent = _is_of(*where, also_by="") & (AuditRow.kind == REFUSAL) & is_recent
    own = list(await session.scalars(select(AuditRow).where(recent, AuditRow.actor == entry.actor.id)))
    row = next((row for row in own if _is_same_refusal(row, entry)), None)
    if row is not None:
        row.times += 1
        return row.id
    if len(own) >= MAX_PERSON_REFUSALS:
        actor = entry.actor
    elif (await session.scalar(select(func.count(AuditRow.id)).where(recent)) or 0) >= MAX_SERVER_REFUSALS:
        actor = replace(entry.actor, id="", name="")
    else:
        row = add_entry(session, entry)
        await session.flush()
        return row.id
    rest = select(AuditRow).where(recent, AuditRow.actor == actor.id, AuditRow.reason == MANY)
    if (row := await session.scalar(rest)) is not None:
        row.times += 1
    else:
        elsewhere = replace(place, channel="", thread="")
        add_entry(session, replace(entry, actor=actor, place=elsewhere, what="", before=None, reason=MANY))
    return None


def _is_same_refusal(row: AuditRow, entry: AuditEntry) -> bool:
    told = (entry.place.channel, entry.what, entry.before, entry.reason)
    return (row.channel, row.what, row.before, row.reason) == told


def _is_of(platform: str, server: str, also_by: str) -> ColumnElement[bool]:
    here = (AuditRow.platform == platform) & (AuditRow.server == server)
    return or_(here, AuditRow.actor == also_by) if also_by else here


def _select_matching(here: ColumnElement[bool], wanted: AuditFilter) -> Select[AuditRow]:
    query = select(AuditRow).where(here)
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
