"""Locks of the database that let one of several processes do a task."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy import func, select

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bot.storage.database import Database

POSTGRESQL = "postgresql"


@asynccontextmanager
async def only_one(database: Database, task: str) -> AsyncIterator[bool]:
    """Yield whether this process does a task now; False while another one does it.

    On PostgreSQL an advisory lock decides, which ends with the connection of a process that is killed. Of a file, all
    processes may do it, one transaction after another.
    """
    async with database.reading() as session:
        if session.get_bind().dialect.name != POSTGRESQL:
            yield True
            return
        lock = func.hashtext(f"tempera {task}")
        is_ours = bool(await session.scalar(select(func.pg_try_advisory_lock(lock))))
        try:
            yield is_ours
        finally:
            if is_ours:
                await session.execute(select(func.pg_advisory_unlock(lock)))
