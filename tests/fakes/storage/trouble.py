"""Real trouble for databases: a full file, a locked one, too many readers, and a server that is stopped."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

from sqlalchemy import event

from bot.storage.database import MAX_READERS, Database


class SmallDisk:
    """A disk that can be full: then the SQLite file of a database takes no more pages than it has.

    Made before the database is used, because SQLAlchemy takes no new listener while it connects.
    """

    def __init__(self, database: Database) -> None:
        self._backend = database._backend
        self._is_full = False
        for engine in filter(None, (self._backend.engine.sync_engine, self._backend.blocking)):
            event.listen(engine, "connect", self._limit)

    @asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        """Let the disk be full while the context lasts."""
        self._is_full = True
        await self._backend.dispose()
        try:
            yield
        finally:
            self._is_full = False
            await self._backend.dispose()

    def _limit(self, connection: Any, record: Any) -> None:
        if self._is_full:
            cursor = connection.cursor()
            cursor.execute("PRAGMA max_page_count = 1")
            cursor.close()


def wait_briefly(monkeypatch: Any, seconds: float = 0.2) -> None:
    """Let nobody wait long for the lock of an SQLite file."""
    monkeypatch.setattr("bot.storage.engine.BUSY_SECONDS", seconds)
    # What is purged at the start would hold it for as long as the disk takes.
    monkeypatch.setattr("bot.storage.database.truncate_wal", lambda file: True)


@asynccontextmanager
async def locked(file: Path) -> AsyncIterator[None]:
    """Let another connection hold the lock of an SQLite file while the context lasts."""
    with closing(sqlite3.connect(file, timeout=60, isolation_level=None, check_same_thread=False)) as other:
        await asyncio.to_thread(other.execute, "BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@asynccontextmanager
async def busy_with_readers(database: Database) -> AsyncIterator[None]:
    """Let as many read a database as may at once while the context lasts, so that others wait."""
    async with AsyncExitStack() as stack:
        for _ in range(MAX_READERS):
            await stack.enter_async_context(database.reading())
        yield


@asynccontextmanager
async def stopped(server: Any) -> AsyncIterator[None]:
    """Let a PostgreSQL server of fakes.storage.postgres be stopped while the context lasts."""
    await asyncio.to_thread(server.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(server.start)
