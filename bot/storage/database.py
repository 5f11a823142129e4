"""The tables, and how they are reached: SQLAlchemy 2, async, on the systems of backend.py.

Every change is one transaction that holds the write lock from its first statement, so that two processes on one
database wait for each other and never fail half-way. Readers never wait.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import (
    JSON,
    DateTime,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Text,
    delete,
    func,
    not_,
    select,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from bot.core.errors import ConfigError
from bot.storage.engine import BUSY_SECONDS, create_backend, ensure_folder, truncate_wal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from types import TracebackType

    from sqlalchemy import Connection, Dialect
    from sqlalchemy.ext.asyncio import AsyncEngine

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.05
WAL_PAUSES_SECONDS = (0.1, 0.5, 2.0)
"""How long to wait for whoever else uses a file before its journal is emptied; at last it is left to the next time."""
UNFINISHED = ("queued", "running")
"""States of an answer that is being made."""
ANSWERED = ("done", "stopped")
"""States of an answer that was given, to its end or as far as somebody let it come."""
MAX_ID = 2**31 - 1
"""No row has a higher number; to be asked for one is an error on PostgreSQL."""
MIGRATIONS = Path(__file__).parent / "migrations"


def now() -> datetime:
    """The current time, with its zone."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time; SQLite keeps no zone, so it is stored and given back in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """With its zone again."""
        return None if value is None else value.replace(tzinfo=UTC)


class CleanText(TypeDecorator[str]):
    """Text without what no database keeps: half a surrogate pair becomes a question mark, a NUL is left out."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Cleaned."""
        return None if value is None else value.replace("\0", "").encode("utf-8", "replace").decode()


class Base(DeclarativeBase):
    """What all tables share: how their constraints are named, so that migrations can name them too."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: CleanText(), datetime: UtcDateTime(), dict[str, Any]: JSON(), list[Any]: JSON()}  # noqa: RUF012


class MessageRow(Base):
    """One message: a user's (`role` "user") or the bot's answer to it (`role` "assistant", `parent` the question)."""

    __tablename__ = "messages"
    __table_args__ = (
        Index("ix_messages_place", "platform", "server", "channel", "thread", "id"),
        Index("ix_messages_external", "platform", "channel", "external"),
        Index("ix_messages_state", "state"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    platform: Mapped[str]
    server: Mapped[str]
    channel: Mapped[str]
    thread: Mapped[str]
    external: Mapped[str]
    """The platform's own id of a user's message, where there is one; an answer's are in `deliveries`."""
    parent: Mapped[int | None] = mapped_column(index=True)
    source: Mapped[int | None] = mapped_column(index=True)
    """The answer whose button led to this message, so that what was written to the one is known to be in the other."""
    author: Mapped[str]
    author_name: Mapped[str]
    role: Mapped[str]
    text: Mapped[str]
    command: Mapped[str]
    options: Mapped[dict[str, Any]]
    seed: Mapped[int | None]
    card: Mapped[dict[str, Any]]
    buttons: Mapped[list[Any]]
    private: Mapped[bool]
    state: Mapped[str]
    """queued, running, done, stopped, failed, interrupted or deleted."""
    instance: Mapped[str]
    resume: Mapped[dict[str, Any]]
    """What the platform needs to come back to the message after a restart."""
    created: Mapped[datetime] = mapped_column(index=True)


class AttachmentRow(Base):
    """A file of a message."""

    __tablename__ = "attachments"

    id: Mapped[int] = mapped_column(primary_key=True)
    message: Mapped[int] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    filename: Mapped[str]
    media_type: Mapped[str]
    alt: Mapped[str]
    spoiler: Mapped[bool]
    data: Mapped[bytes] = mapped_column(LargeBinary)


class VoteRow(Base):
    """One user's thumb on one answer: 1 is up, -1 down."""

    __tablename__ = "votes"

    message: Mapped[int] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True)
    user: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]


class TokensRow(Base):
    """The tokens of an answer, with what else was likely, as tokens.py packs them."""

    __tablename__ = "tokens"

    message: Mapped[int] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class DeliveryRow(Base):
    """One of the platform's messages that show an answer; `part` counts them from 0."""

    __tablename__ = "deliveries"

    platform: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    external: Mapped[str] = mapped_column(primary_key=True)
    message: Mapped[int] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    part: Mapped[int]


class EventRow(Base):
    """An event of a platform that was handled, so that a second delivery of it is not."""

    __tablename__ = "events"

    platform: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    created: Mapped[datetime] = mapped_column(index=True)


class InstanceRow(Base):
    """A running process of the bot, so that others can tell whether what it works on is still worked on."""

    __tablename__ = "instances"

    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    started: Mapped[float] = mapped_column(Double)
    """When the process was created, in seconds since the epoch: process ids are used again, this pair is not."""
    seen: Mapped[datetime]


class PluginRow(Base):
    """A JSON value that a plugin keeps."""

    __tablename__ = "plugin_data"

    plugin: Mapped[str] = mapped_column(primary_key=True)
    scope: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)


class Database:
    """One database. Use it as an async context manager: entering brings the tables up to date."""

    def __init__(self, url: str) -> None:
        """Raises ConfigError if `url` is not the address of a database that can be used."""
        self._backend = create_backend(url)
        self._engine = self._backend.engine

    @property
    def name(self) -> str:
        """Its address without a password."""
        return self._backend.name

    @property
    def key_file(self) -> Path | None:
        """Where a secret lies that must not be in it, if there is such a place."""
        return self._backend.key_file

    async def __aenter__(self) -> Self:
        try:
            await ensure_folder(self._backend.file)
            await self._migrate_when_free()
        except self._backend.open_errors as error:
            await self._engine.dispose()
            log.debug("The database cannot be opened", exc_info=error)
            raise ConfigError(self._backend.failure_sentence) from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._engine.dispose()

    async def _migrate_when_free(self) -> None:
        latest = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return await self.migrate()
            except OperationalError as error:
                # Switching a new file to WAL does not wait for another process that is just doing the same.
                if "locked" not in str(error.orig) or time.monotonic() > latest:
                    raise
            await asyncio.sleep(RETRY_SECONDS)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session that only reads, each statement for itself."""
        async with _session(self._backend.reader) as session:
            yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A session in one transaction: committed at the end, or not at all."""
        async with _session(self._engine) as session, session.begin():
            yield session

    async def migrate(self, target: str = "head") -> None:
        """Bring the tables to the newest form, or to the revision `target`."""
        # In one transaction, or another process could migrate between what is read here and what is done about it.
        async with self._engine.begin() as connection:
            await connection.run_sync(_migrate, target)

    async def purge(self, days: float) -> int:
        """Delete messages, with all that hangs on them, and seen events older than `days`; how many messages.

        What is being answered is none of that for another day, nor is what must not be heard twice.
        """
        latest = now()
        oldest, day_before = latest - timedelta(days=days), latest - timedelta(days=max(days, 1))
        answering = MessageRow.state.in_(UNFINISHED) & (MessageRow.created >= day_before)
        asked = select(MessageRow.parent).where(answering, MessageRow.parent.is_not(None))
        old = (MessageRow.created < oldest) & not_(answering) & MessageRow.id.not_in(asked)
        async with self.writing() as session:
            count = await session.scalar(func.count(MessageRow.id).select().where(old)) or 0
            await session.execute(delete(MessageRow).where(old))
            await session.execute(delete(EventRow).where(EventRow.created < day_before))
        await self.truncate_wal()
        return count

    async def truncate_wal(self, *, patient: bool = True) -> None:
        """Let what was deleted be gone from the file's own journal, too, where there is one."""
        if (file := self._backend.file) is None:
            return
        for pause in (*(WAL_PAUSES_SECONDS if patient else ()), None):
            if await asyncio.to_thread(truncate_wal, file) or pause is None:
                break
            await asyncio.sleep(pause)

    async def claim_event(self, platform: str, event_id: str) -> bool:
        """Whether this event is new to every process that shares the database. Asking marks it as seen."""
        async with self.writing() as session:
            if await session.get(EventRow, (platform, event_id)) is not None:
                return False
            session.add(EventRow(platform=platform, id=event_id, created=now()))
        return True

    async def release_event(self, platform: str, event_id: str) -> None:
        """Let this event be new again, since nothing came of it."""
        async with self.writing() as session:
            await session.execute(delete(EventRow).where(EventRow.platform == platform, EventRow.id == event_id))


@asynccontextmanager
async def _session(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """A session whose connection goes back to its pool, whenever the task that uses it is cancelled."""
    connection = engine.connect()
    try:
        await _complete(connection.start())
        session = AsyncSession(connection, expire_on_commit=False)
        try:
            yield session
        finally:
            await _complete(session.close())
    finally:
        if connection.sync_connection is not None:
            await _complete(connection.close())


async def _complete(work: Coroutine[Any, Any, Any]) -> None:
    """Do something to its end, even if whoever waits for it is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _migrate(connection: Connection, target: str) -> None:
    from alembic import command
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS))
    settings.attributes["connection"] = connection
    if target == "head" or not target.startswith("-"):
        command.upgrade(settings, target)
    else:
        command.downgrade(settings, target)
