"""The database systems that the tables may lie in: SQLite in a file, or PostgreSQL on a server.

On both, everything that writes waits for everything else that writes, from its first statement on, so that what one
process reads before it writes is still true when it does; readers never wait.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.core.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

BUSY_SECONDS = 30
WAL_BUSY_SECONDS = 0.2
CONNECT_SECONDS = 10
WRITER_LOCK_ID = 0x74656D7065726121
"""The advisory lock that writers of one PostgreSQL database take in turns: any number that nobody else uses."""
READ_ONLY = "reads"
"""The option of an engine whose transactions only read."""
POSTGRES_NAMES = ("postgresql", "postgres", "postgresql+asyncpg")


@dataclass(frozen=True, slots=True)
class Backend:
    """An engine, and how it may be named to people: without a password."""

    engine: AsyncEngine
    reader: AsyncEngine
    """The same, for what only reads, each statement for itself."""
    name: str
    open_errors: tuple[type[Exception], ...]
    """What is raised when it cannot be opened."""
    failure_sentence: str
    """What to say then."""
    file: Path | None = None
    """What it is stored in, if that is a file."""
    key_file: Path | None = None
    """Where a secret lies that must not be in it; None where there is no such place that all its processes reach."""


def create_backend(address: str) -> Backend:
    """The backend of a database's address. Raises ConfigError where it is none."""
    try:
        url = make_url(address)
    except ArgumentError:
        raise ConfigError(
            "database.url is not the address of a database; like sqlite:///~/tempera.db or "
            "postgresql://user:password@host/tempera."
        ) from None
    if url.drivername == "sqlite":
        return _create_sqlite(url)
    if url.drivername in POSTGRES_NAMES:
        return _create_postgresql(url)
    raise ConfigError(
        "The database must be SQLite or PostgreSQL: database.url begins with sqlite:/// or postgresql://."
    )


def _create_sqlite(url: URL) -> Backend:
    path = Path(url.database or "tempera.db").expanduser()
    arguments = {"timeout": BUSY_SECONDS, "factory": _SQLiteConnection}
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", connect_args=arguments, hide_parameters=True)

    @event.listens_for(engine.sync_engine, "connect")
    def _connect(connection: Any, record: Any) -> None:
        # The driver's own transactions begin too late; ours begin below.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "secure_delete=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    # A deferred transaction that reads before it writes fails at once where another one writes.
    _begin_transactions_with(engine, "BEGIN IMMEDIATE")
    # Outside of a transaction each statement is one by itself; the driver need not be told so.
    reader = engine.execution_options(**{READ_ONLY: True})
    name = url.render_as_string()
    open_errors = (OSError, DBAPIError)
    failure_sentence = f"The database {path} cannot be opened; is the folder writable?"
    return Backend(engine, reader, name, open_errors, failure_sentence, path, path.with_name(f"{path.name}.key"))


def _create_postgresql(url: URL) -> Backend:
    from asyncpg import InterfaceError, PostgresError

    query = dict(url.query)
    # The driver names one option otherwise than addresses do that other programs hand out.
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    engine = create_async_engine(
        url.set(drivername="postgresql+asyncpg", query=query),
        connect_args={"timeout": CONNECT_SECONDS},
        hide_parameters=True,
        pool_pre_ping=True,
        # Whatever the server's default is: any other would show a writer what there was before its turn came.
        isolation_level="READ COMMITTED",
    )
    _begin_transactions_with(engine, f"SELECT pg_advisory_xact_lock({WRITER_LOCK_ID})")
    name = url.set(query={}).render_as_string(hide_password=True)
    failure_sentence = (
        f"The database {name} cannot be opened; are address, user and password right, and is the server running?"
    )
    # Options that the driver does not know, or whose values it does not, are a TypeError or a ValueError to it.
    open_errors = (OSError, DBAPIError, InterfaceError, PostgresError, TypeError, ValueError)
    reader = engine.execution_options(isolation_level="AUTOCOMMIT", **{READ_ONLY: True})
    return Backend(engine, reader, name, open_errors, failure_sentence)


def _begin_transactions_with(engine: AsyncEngine, statement: str) -> None:
    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        if not connection.get_execution_options().get(READ_ONLY):
            connection.exec_driver_sql(statement)


async def ensure_folder(file: Path | None) -> None:
    """Make the folder of a database's file. Raises OSError where that cannot be."""
    if file is not None:
        await asyncio.to_thread(file.parent.mkdir, parents=True, exist_ok=True)


def truncate_wal(file: Path) -> bool:
    """Empty the journal of an SQLite file; False where somebody reads what is in it. Blocks, but not for long."""
    # Whoever waits here for readers keeps all writers waiting, too, so the others are too patient.
    with closing(sqlite3.connect(file, timeout=WAL_BUSY_SECONDS)) as connection:
        try:
            return not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.OperationalError:
            return False


class _SQLiteConnection(sqlite3.Connection):
    """A connection that lets go of its locks when it is closed.

    Where a task is cancelled in the middle of a statement, SQLAlchemy closes the connection; but SQLite keeps one open,
    with its transaction, for as long as anything holds a statement that was not read to its end.
    """

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self.rollback()
        super().close()
