"""Sessions with a database: each waits for its turn, and gives its connection back whatever happens to its task."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from bot.core.background import take_error
from bot.storage.engine import BUSY_SECONDS, MAX_CONNECTIONS, READ_ONLY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

Result = TypeVar("Result")


def make_threads() -> ThreadPoolExecutor:
    """Return the threads for whole transactions; none of them has begun."""
    return ThreadPoolExecutor(MAX_CONNECTIONS, thread_name_prefix="database")


@asynccontextmanager
async def turn(turns: asyncio.Semaphore) -> AsyncIterator[None]:
    """Wait for a turn, but not for ever. Raises TimeoutError."""
    async with asyncio.timeout(BUSY_SECONDS):
        await turns.acquire()
    try:
        yield
    finally:
        turns.release()


def read_with(engine: Engine, work: Callable[[Session], Result]) -> Result:
    """Return the result of `work`, each of whose statements is a transaction of its own. Blocks."""
    with Session(engine.execution_options(**{READ_ONLY: True}), expire_on_commit=False) as session:
        return work(session)


def write_with(engine: Engine, work: Callable[[Session], Result]) -> Result:
    """Return the result of `work`, which is one transaction. Blocks."""
    with Session(engine, expire_on_commit=False) as session, session.begin():
        return work(session)


@asynccontextmanager
async def session_on(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """A session whose connection returns to its pool even if the task that uses it is cancelled."""
    connection = engine.connect()
    try:
        await complete(connection.start())
        session = AsyncSession(connection, expire_on_commit=False)
        try:
            yield session
        finally:
            await complete(session.close())
    finally:
        if connection.sync_connection is not None:
            await complete(connection.close())


async def complete(work: Awaitable[Result]) -> Result:
    """Run `work` to its end, even if the task that waits for it is cancelled meanwhile, and return its result."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(take_error)
        await asyncio.wait({task})
        raise
