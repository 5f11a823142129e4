"""The database systems: SQLite in a file, or PostgreSQL on a server.

On both, a transaction that writes waits for all others that write from its first statement on. So what it reads is
still true when it writes. Readers wait for none of them, as long as a connection is free.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from contextlib import closing, suppress
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.core.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

BUSY_SECONDS = 30
WAL_BUSY_SECONDS = 0.2
CONNECT_SECONDS = 10
MAX_CONNECTIONS = 15
OF_SQLALCHEMY = frozenset({"prepared_statement_cache_size", "prepared_statement_name_func"})
"""Options in the address of a PostgreSQL database that are SQLAlchemy's, not the driver's."""
WRITER_LOCK_ID = 0x74656D7065726121
"""The advisory lock that the writers of a PostgreSQL database take in turn: any number that nothing else uses."""
READ_ONLY = "reads"
"""The execution option of an engine whose transactions only read."""
POSTGRES_NAMES = ("postgresql", "postgres", "postgresql+asyncpg")


@dataclass(frozen=True, slots=True)
class Backend:
    """The engine of a database, and how to describe it. `name` is its address without a password."""

    engine: AsyncEngine
    reader: AsyncEngine
    """The same engine for reading, where each statement is a transaction of its own."""
    name: str
    open_errors: tuple[type[Exception], ...]
    """The exceptions that mean that the database cannot be opened."""
    driver_errors: tuple[type[Exception], ...]
    """Those that the driver raises itself when a connection is made later, beside OSError."""
    failure_sentence: str
    """The sentence to show then."""
    blocking: Engine | None = None
    """An engine for whole transactions, each in one visit to a thread; None if the driver is asynchronous itself."""
    file: Path | None = None
    """The file of the database, if it has one."""
    key_file: Path | None = None
    """The file for a secret that must not be in the database; None if its processes share no folder."""

    async def dispose(self) -> None:
        """Close all connections that nothing uses."""
        await self.engine.dispose()
        if self.blocking is not None:
            # The last connection writes what is in the write-ahead log into the file.
            await asyncio.to_thread(self.blocking.dispose)


def create_backend(address: str, *, patient: bool = False) -> Backend:
    """Return the backend for the address of a database. Raises ConfigError if it is not a valid address.

    If it is `patient`, a statement may take as long as it needs; otherwise one of PostgreSQL is given up after
    BUSY_SECONDS, since a host that is gone answers none.
    """
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
        return _create_postgresql(url, None if patient else BUSY_SECONDS)
    raise ConfigError(
        "The database must be SQLite or PostgreSQL: database.url begins with sqlite:/// or postgresql://."
    )


def _create_sqlite(url: URL) -> Backend:
    path = Path(url.database or "tempera.db").expanduser()
    arguments = {"timeout": BUSY_SECONDS, "factory": _SQLiteConnection}
    # All connections stay open: opening one takes a new thread and many visits to it.
    pool = {"pool_size": MAX_CONNECTIONS, "max_overflow": 0}
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", connect_args=arguments, hide_parameters=True, **pool)
    blocking = create_engine(f"sqlite:///{path}", connect_args=arguments, hide_parameters=True, **pool)
    for one in (engine.sync_engine, blocking):
        event.listen(one, "connect", _prepare_connection)
        # A deferred transaction that reads before it writes would fail if another one writes in between.
        _begin_transactions_with(one, "BEGIN IMMEDIATE")
    reader = engine.execution_options(**{READ_ONLY: True})
    name = url.render_as_string()
    open_errors = (OSError, DBAPIError)
    failure_sentence = f"The database {path} cannot be opened; is the folder writable?"
    return Backend(
        engine, reader, name, open_errors, (), failure_sentence, blocking, path, path.with_name(f"{path.name}.key")
    )


def _prepare_connection(connection: Any, record: Any) -> None:
    # The driver's own transactions begin too late, so it must begin none.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _create_postgresql(url: URL, statement_seconds: float | None) -> Backend:
    from asyncpg import InterfaceError, PostgresError
    from asyncpg import connect as asyncpg_connect

    query = dict(url.query)
    # The addresses that other programs hand out have another name for this option than the driver.
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    if unknown := sorted(query.keys() - signature(asyncpg_connect).parameters.keys() - OF_SQLALCHEMY):
        raise ConfigError(
            f"database.url has the option “{unknown[0]}”, which the driver does not know. It knows ssl (or sslmode), "
            "host, port and a few more; who has signed the server's certificate is named in the variable PGSSLROOTCERT."
        )
    engine = create_async_engine(
        url.set(drivername="postgresql+asyncpg", query=query),
        connect_args={"timeout": CONNECT_SECONDS, "command_timeout": statement_seconds},
        hide_parameters=True,
        pool_pre_ping=True,
        # At a stricter level, a writer would see the state before it got the lock.
        isolation_level="READ COMMITTED",
    )
    _begin_transactions_with(engine.sync_engine, f"SELECT pg_advisory_xact_lock({WRITER_LOCK_ID})")
    name = url.set(query={}).render_as_string(hide_password=True)
    failure_sentence = (
        f"The database {name} cannot be opened. Is the server running, has it this database, and are address, user "
        "and password right?"
    )
    # The driver raises TypeError or ValueError for unknown options and values in the address.
    driver_errors = (InterfaceError, PostgresError)
    open_errors = (OSError, DBAPIError, *driver_errors, TypeError, ValueError)
    reader = engine.execution_options(isolation_level="AUTOCOMMIT", **{READ_ONLY: True})
    return Backend(engine, reader, name, open_errors, driver_errors, failure_sentence)


def _begin_transactions_with(engine: Engine, statement: str) -> None:
    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if not connection.get_execution_options().get(READ_ONLY):
            connection.exec_driver_sql(statement)


async def prepare_file(file: Path | None) -> None:
    """Make the file of a database with its folder, and let nobody else read it. Raises OSError if that fails."""
    if file is not None:
        await asyncio.to_thread(_prepare_file, file)


def _prepare_file(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # Never opened if it exists: closing it here would end the locks that other connections of this process have on it.
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    # SQLite gives new files beside it the same rights; those of an older version may be open to all.
    for path in (file, *(file.with_name(f"{file.name}-{suffix}") for suffix in ("wal", "shm"))):
        # Another process may remove the ones beside it, and not every disk knows rights.
        with suppress(FileNotFoundError, PermissionError):
            status = path.stat()
            if status.st_uid == os.geteuid() and status.st_mode & 0o077:
                path.chmod(stat.S_IMODE(status.st_mode) & 0o700)


def truncate_wal(file: Path) -> bool:
    """Truncate the write-ahead log of an SQLite file; return False if somebody reads it. Blocks for a short time."""
    # Waiting here for readers blocks all writers, too, so the timeout of the other connections is too long.
    with closing(sqlite3.connect(file, timeout=WAL_BUSY_SECONDS)) as connection:
        try:
            return not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.OperationalError:
            return False


class _SQLiteConnection(sqlite3.Connection):
    """A connection that releases its locks when it is closed.

    If a task is cancelled in the middle of a statement, SQLAlchemy closes the connection. SQLite would keep it open,
    with its transaction, as long as anything holds a statement that was not read to its end.
    """

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self.rollback()
        super().close()
