"""Real trouble for databases: a full file, a locked one, and a server that is stopped."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from sqlalchemy import event

from bot.storage.database import Database


@asynccontextmanager
async def full(database: Database) -> AsyncIterator[None]:
    """Let an SQLite file take no more pages than it has while the context lasts."""
    engine = database._engine

    def limit(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA max_page_count = 1")
        cursor.close()

    event.listen(engine.sync_engine, "connect", limit)
    await engine.dispose()
    try:
        yield
    finally:
        event.remove(engine.sync_engine, "connect", limit)
        await engine.dispose()


@asynccontextmanager
async def locked(file: Path) -> AsyncIterator[None]:
    """Let another connection hold the lock of an SQLite file while the context lasts."""
    with closing(sqlite3.connect(file, timeout=60, isolation_level=None, check_same_thread=False)) as other:
        await asyncio.to_thread(other.execute, "BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@asynccontextmanager
async def stopped(server: Any) -> AsyncIterator[None]:
    """Let a PostgreSQL server of fakes.storage.postgres be stopped while the context lasts."""
    await asyncio.to_thread(server.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(server.start)
