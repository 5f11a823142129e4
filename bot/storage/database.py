"""The tables and the connection to them: SQLAlchemy 2, async, on the database systems of engine.py.

Every change is one transaction that holds the write lock from its first statement, so two processes on one database
wait for each other and never fail half-way. Readers wait for none of them, as long as a connection is free.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from sqlalchemy import (
    JSON,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    delete,
    not_,
    select,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bot.core.errors import ConfigError
from bot.storage.columns import CleanText, UtcDateTime
from bot.storage.engine import BUSY_SECONDS, MAX_CONNECTIONS, create_backend, prepare_file, truncate_wal
from bot.storage.failures import Failures
from bot.storage.sessions import complete, make_threads, read_with, session_on, turn, write_with

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

Result = TypeVar("Result")

RETRY_SECONDS = 0.05
MAX_READERS = 14
"""How many read at once; a connection is left for who writes."""
PURGE_BATCH = 500
"""How many messages are deleted in one transaction, for which all that write wait."""
WAL_PAUSES_SECONDS = (0.1, 0.5, 2.0)
"""Pauses between attempts to truncate the write-ahead log while other processes read it."""
ANNOUNCEMENT = "announcement"
"""The role of a line of a moderator that the bot does not answer."""
UNFINISHED = ("queued", "running")
"""States of an answer that is being made."""
ANSWERED = ("done", "stopped")
"""States of an answer that was given, completely or until it was stopped."""
MAX_ID = 2**31 - 1
"""The largest id of a row; PostgreSQL raises an error for a larger one in a query."""
NEWER = (
    "The database was changed by a newer Tempera than this one. Install that one, or name another database in "
    "TEMPERA_DATABASE__URL."
)
MIGRATIONS = Path(__file__).parent / "migrations"


def now() -> datetime:
    """Return the current time in UTC, with its time zone."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """The base of all tables, with names for their constraints, so that migrations can name them, too."""

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
    """A message of a user (`role` "user"), or an answer of the bot (`role` "assistant", `parent` the question).

    One of a moderator that the bot does not answer is an ANNOUNCEMENT.
    """

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
    external: Mapped[str] = mapped_column(default="")
    """The platform's id of a user's message, if there is one; those of an answer are in `deliveries`."""
    parent: Mapped[int | None] = mapped_column(index=True)
    source: Mapped[int | None] = mapped_column(index=True)
    """The answer whose button led to this message, which may therefore have text of that answer."""
    author: Mapped[str]
    author_name: Mapped[str]
    role: Mapped[str]
    text: Mapped[str] = mapped_column(default="")
    command: Mapped[str] = mapped_column(default="")
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    seed: Mapped[int | None]
    card: Mapped[dict[str, Any]] = mapped_column(default=dict)
    buttons: Mapped[list[Any]] = mapped_column(default=list)
    private: Mapped[bool] = mapped_column(default=False)
    state: Mapped[str] = mapped_column(default="done")
    """queued, running, done, stopped, failed, interrupted or deleted."""
    instance: Mapped[str] = mapped_column(default="")
    """The process that makes the answer; "" once that process has been asked to stop it."""
    resume: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Values that the platform needs to find the message again after a restart."""
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
    """The vote of a user on an answer: 1 is up, -1 is down."""

    __tablename__ = "votes"

    message: Mapped[int] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True)
    user: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]


class TokensRow(Base):
    """The tokens of an answer, as tokens.py packs them."""

    __tablename__ = "tokens"

    message: Mapped[int] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class DeliveryRow(Base):
    """A message of the platform that shows an answer or a part of it; `part` counts from 0."""

    __tablename__ = "deliveries"
    __table_args__ = (Index("ix_deliveries_external", "platform", "external"),)

    platform: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    external: Mapped[str] = mapped_column(primary_key=True)
    message: Mapped[int] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    part: Mapped[int]


class EventRow(Base):
    """An event of a platform that was handled, so that a second delivery of it is ignored."""

    __tablename__ = "events"

    platform: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    created: Mapped[datetime] = mapped_column(index=True)


class InstanceRow(Base):
    """A running process of the bot, so that others can tell whether the answers it works on are still being made."""

    __tablename__ = "instances"

    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    started: Mapped[float] = mapped_column(Double)
    """When the process was created, in seconds since 1970. Process ids are reused, but not with the same time."""
    seen: Mapped[datetime]


class PluginRow(Base):
    """A JSON value that a plugin stores."""

    __tablename__ = "plugin_data"

    plugin: Mapped[str] = mapped_column(primary_key=True)
    scope: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)
    change_number: Mapped[int] = mapped_column(default=0, server_default="0")
    """The number of the change that wrote it, where changes are numbered (changes.py); else 0."""


class Database:
    """A database. Use it as an async context manager: entering brings the tables up to date."""

    def __init__(self, url: str) -> None:
        """Raises ConfigError if `url` is not the address of a supported database."""
        self._url = url
        self._backend = create_backend(url)
        self._engine = self._backend.engine
        self._failures = Failures(self._backend.name, self._backend.driver_errors)
        self._turns = asyncio.Semaphore(MAX_READERS)
        # The writers of a file would ask SQLite again and again, and whoever asks at the right moment would be next.
        self._writer_turns = asyncio.Semaphore(1 if self._backend.file else MAX_CONNECTIONS)
        self._threads = make_threads()

    @property
    def name(self) -> str:
        """The address without a password."""
        return self._backend.name

    @property
    def key_file(self) -> Path | None:
        """The file for a secret that must not be in the database; None if there is no such file."""
        return self._backend.key_file

    async def __aenter__(self) -> Self:
        try:
            await prepare_file(self._backend.file)
            await self._migrate_when_free()
        except ConfigError:
            await self._backend.dispose()
            raise
        except self._backend.open_errors as error:
            await self._backend.dispose()
            log.debug("The database cannot be opened", exc_info=error)
            raise ConfigError(self._backend.failure_sentence) from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Like the engines, it can be used again after this.
        threads, self._threads = self._threads, make_threads()
        # A call that still runs would open a connection later that nobody closes.
        await asyncio.to_thread(threads.shutdown)
        await self._backend.dispose()

    async def _migrate_when_free(self) -> None:
        latest = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return await self.migrate()
            except OperationalError as error:
                # Switching a new file to WAL mode does not wait for another process that does the same.
                if "locked" not in str(error.orig) or time.monotonic() > latest:
                    raise
            await asyncio.sleep(RETRY_SECONDS)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session that only reads; each statement is a transaction of its own.

        Raises DatabaseUnavailable if the database cannot be used.
        """
        with self._failures.reported("reading"):
            # The pool itself would let whoever comes next go before those who wait, some of whom waited for long.
            async with turn(self._turns), session_on(self._backend.reader) as session:
                yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A session in one transaction, which is committed at the end or rolled back.

        Raises DatabaseUnavailable if the database cannot be used.
        """
        with self._failures.reported("writing"):
            async with turn(self._writer_turns), session_on(self._engine) as session, session.begin():
                yield session

    async def read(self, work: Callable[[Session], Result]) -> Result:
        """Return the result of `work`, which only reads; each statement is a transaction of its own.

        Unlike `reading`, it waits for the event loop as little as the driver lets it. Raises DatabaseUnavailable if the
        database cannot be used.
        """
        if self._backend.blocking is None:
            async with self.reading() as session:
                return await session.run_sync(work)
        with self._failures.reported("reading"):
            async with turn(self._turns):
                return await self._call(partial(read_with, self._backend.blocking, work))

    async def write(self, work: Callable[[Session], Result]) -> Result:
        """Return the result of `work` in one transaction, which is committed at the end or rolled back.

        Unlike `writing`, it waits for the event loop as little as the driver lets it. If this is cancelled, the
        transaction may still be committed, but not after this has ended. Raises DatabaseUnavailable if the database
        cannot be used.
        """
        if self._backend.blocking is None:
            async with self.writing() as session:
                return await session.run_sync(work)
        with self._failures.reported("writing"):
            async with turn(self._writer_turns):
                return await self._call(partial(write_with, self._backend.blocking, work))

    async def _call(self, work: Callable[[], Result]) -> Result:
        return await complete(asyncio.get_running_loop().run_in_executor(self._threads, work))

    async def migrate(self, target: str = "head") -> None:
        """Migrate the tables to the newest revision, or to `target`."""
        is_file = self._backend.file is not None
        backend = self._backend if is_file else create_backend(self._url, patient=True)
        try:
            # One transaction, so that no other process migrates after the revision is read here.
            async with backend.engine.begin() as connection:
                await connection.run_sync(_migrate, target)
        finally:
            if not is_file:
                await backend.dispose()

    async def purge(self, days: float) -> int:
        """Delete messages older than `days` with their rows in other tables, some at a time; return how many.

        Questions that are being answered, and events, are kept for at least a day.
        """
        current = now()
        oldest, day_before = current - timedelta(days=days), current - timedelta(days=max(days, 1))
        answering = MessageRow.state.in_(UNFINISHED) & (MessageRow.created >= day_before)
        questions = select(MessageRow.parent).where(answering, MessageRow.parent.is_not(None))
        old = (MessageRow.created < oldest) & not_(answering) & MessageRow.id.not_in(questions)
        count = 0
        while True:
            began = time.monotonic()
            async with self.writing() as session:
                some = list(await session.scalars(select(MessageRow.id).where(old).limit(PURGE_BATCH)))
                await session.execute(delete(MessageRow).where(MessageRow.id.in_(some)))
            count += len(some)
            if len(some) < PURGE_BATCH:
                break
            # Others write meanwhile, and what was deleted takes room on the disk only once.
            if count % (10 * PURGE_BATCH) == 0:
                await self.truncate_wal(patient=False)
            await asyncio.sleep(time.monotonic() - began)
        old_events = delete(EventRow).where(EventRow.created < day_before)
        await self.write(lambda session: session.execute(old_events))
        await self.truncate_wal()
        return count

    async def truncate_wal(self, *, patient: bool = True) -> None:
        """Remove deleted rows from the write-ahead log of a file, too; with `patient`, wait for other readers."""
        if (file := self._backend.file) is None:
            return
        for pause in (*(WAL_PAUSES_SECONDS if patient else ()), None):
            if await asyncio.to_thread(truncate_wal, file) or pause is None:
                break
            await asyncio.sleep(pause)

    async def claim_event(self, platform: str, event_id: str) -> bool:
        """Mark an event as handled by this process; return False if any process has handled it before."""

        def claim(session: Session) -> bool:
            if session.get(EventRow, (platform, event_id)) is not None:
                return False
            session.add(EventRow(platform=platform, id=event_id, created=now()))
            return True

        return await self.write(claim)

    async def release_event(self, platform: str, event_id: str) -> None:
        """Mark an event as not handled, since handling it failed."""
        this = delete(EventRow).where(EventRow.platform == platform, EventRow.id == event_id)
        await self.write(lambda session: session.execute(this))


def _migrate(connection: Connection, target: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS))
    settings.attributes["connection"] = connection
    try:
        if target == "head" or not target.startswith("-"):
            command.upgrade(settings, target)
        else:
            command.downgrade(settings, target)
    except CommandError:
        # There is no script for the revision that the database has.
        raise ConfigError(NEWER) from None
