"""How often a statement changes threads, and what a rollback leaves."""

import asyncio
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import select

from bot.storage.database import Database, EventRow, now
from bot.storage.sqlite_driver import connect


async def test_a_statement_goes_to_the_thread_of_its_connection_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits, execute = [], aiosqlite.Connection._execute

    async def counted(self: aiosqlite.Connection, function: Any, *arguments: Any, **named: Any) -> Any:
        visits.append(function.__name__)
        return await execute(self, function, *arguments, **named)

    async with Database(f"sqlite:///{tmp_path}/tempera.db") as database:
        monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
        async with database.reading() as session:
            assert (await session.execute(select(1))).all() == [(1,)]
        # At its end, the session has the connection rolled back, which has no transaction.
        assert visits == ["_run_statement"]


async def test_a_transaction_that_is_not_wanted_is_rolled_back(tmp_path: Path) -> None:
    async with Database(f"sqlite:///{tmp_path}/tempera.db") as database:
        with suppress(ZeroDivisionError):
            async with database.writing() as session:
                session.add(EventRow(platform="web", id="1", created=now()))
                await session.flush()
                raise ZeroDivisionError
        assert await database.claim_event("web", "1")


async def test_a_rollback_waits_for_a_statement_that_nobody_waits_for_any_more(tmp_path: Path) -> None:
    connection = await connect(f"{tmp_path}/some.db", isolation_level=None)
    begun, may_begin = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def begin(raw: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(begun.set)
        may_begin.wait(30)
        raw.execute("BEGIN IMMEDIATE")

    beginning = asyncio.create_task(connection.call(begin))
    await begun.wait()
    beginning.cancel()
    await asyncio.wait({beginning})
    loop.call_later(0.05, may_begin.set)
    await connection.rollback()
    assert not await connection.call(lambda raw: raw.in_transaction)
    await connection.close()
