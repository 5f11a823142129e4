"""The connections themselves; what the tables do on them is in test_database.py."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.sqlite import Connection, connected


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[Connection]:
    made = await connected(tmp_path / "notes.db")
    yield made
    await made.close()


async def rows(connection: Connection, statement: str, *parameters: object) -> list[tuple[object, ...]]:
    cursor = connection.cursor()
    await cursor.execute(statement, parameters)
    found = await cursor.fetchall()
    await cursor.close()
    return found


async def test_it_is_set_up_before_it_is_used(connection: Connection) -> None:
    found = [await rows(connection, f"PRAGMA {name}") for name in ("journal_mode", "foreign_keys", "secure_delete")]
    assert found == [[("wal",)], [(1,)], [(1,)]]


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("Dear Ann, " * 100)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        await connected(tmp_path / "letter")


async def test_a_statement_with_its_rows_is_one_step_of_the_thread(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0
    really = connection._tx.put_nowait

    class Counted:
        def put_nowait(self, step: object) -> None:
            nonlocal steps
            steps += 1
            really(step)

    monkeypatch.setattr(connection, "_tx", Counted())
    assert await rows(connection, "SELECT 1 UNION SELECT ?", 2) == [(1,), (2,)]
    await connection.rollback()
    assert steps == 1
    monkeypatch.undo()


async def test_a_cursor_tells_what_was_written(connection: Connection) -> None:
    cursor = connection.cursor()
    await cursor.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")
    await cursor.executemany("INSERT INTO notes (text) VALUES (?)", [("a",), ("b",), ("c",)])
    assert (cursor.rowcount, cursor.description) == (3, None)
    await cursor.execute("INSERT INTO notes (text) VALUES (?)", ("d",))
    assert (cursor.rowcount, cursor.lastrowid) == (1, 4)
    await cursor.execute("SELECT text FROM notes ORDER BY id")
    assert [column[0] for column in cursor.description] == ["text"]
    assert await cursor.fetchall() == [("a",), ("b",), ("c",), ("d",)]
    assert await cursor.fetchall() == []


async def test_rolling_back_ends_a_transaction_that_was_begun_by_somebody_cancelled(connection: Connection) -> None:
    held = threading.Event()
    blocking = asyncio.create_task(connection._execute(held.wait))
    await asyncio.sleep(0)
    beginning = asyncio.create_task(rows(connection, "BEGIN IMMEDIATE"))
    await asyncio.sleep(0)
    beginning.cancel()
    rolling_back = asyncio.create_task(connection.rollback())
    await asyncio.sleep(0)
    held.set()
    await asyncio.gather(blocking, rolling_back)
    assert beginning.cancelled()
    assert not connection.in_transaction
