"""Connections to SQLite that do in one step of their thread what the driver does in four.

The driver has a thread for each connection, and hands it the making of a cursor, each statement, the fetching of its
rows and the end of the cursor one after the other. Every one of these takes longer than most of our statements.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import aiosqlite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

BUSY_SECONDS = 30
PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "secure_delete=ON")
CHUNK = 64
"""Rows at a time for whoever iterates over a cursor; nobody here does."""


async def connected(path: Path) -> Connection:
    """A connection to the file at `path`, with a thread of its own. Raises sqlite3.Error where it cannot be had."""
    connection = Connection(partial(_opened, path), CHUNK)
    # It must not keep a process from ending.
    connection._thread.daemon = True
    try:
        await connection
    except sqlite3.Error:
        # It still says that it ended, for which the loop has to be there.
        await asyncio.to_thread(connection._thread.join)
        raise
    return connection


def _opened(path: Path) -> sqlite3.Connection:
    # The driver's own transactions begin too late, so that it is to begin none.
    opened = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, factory=_Yielding
    )
    try:
        for pragma in PRAGMAS:
            opened.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        opened.close()
        raise
    return opened


class Connection(aiosqlite.Connection):
    """The driver's, with cursors that need it once for a statement, and no rolling back of what was not begun."""

    _is_idle = False
    """Whether its thread is done with all that it was told to do."""

    def cursor(self) -> Cursor:  # type: ignore[override]
        """A cursor, which exists only here until it executes something."""
        return Cursor(self)

    async def rollback(self) -> None:
        """End a transaction, if there is one."""
        if not self._is_idle or self.in_transaction:
            await super().rollback()

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # Whoever is cancelled here leaves the thread with something to do.
        self._is_idle = False
        result = await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]
        self._is_idle = True
        return result


class Cursor:
    """As much of a DB-API cursor as SQLAlchemy needs, with all rows fetched along with the statement."""

    description: Any = None
    rowcount = -1
    lastrowid: int | None = None
    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: list[Any] = []

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        """Run one statement. Raises sqlite3.Error."""
        await self._connection._execute(self._run, statement, parameters)

    async def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> None:
        """Run one statement with each of these. Raises sqlite3.Error."""
        await self._connection._execute(self._run_many, statement, parameters)

    async def fetchall(self) -> list[Any]:
        """All rows, once."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Nothing is left of it where it ran."""
        self._rows = []

    def _run(self, statement: str, parameters: Sequence[Any]) -> None:
        self._note(self._connection._conn.execute(statement, parameters))

    def _run_many(self, statement: str, parameters: Sequence[Sequence[Any]]) -> None:
        self._note(self._connection._conn.executemany(statement, parameters))

    def _note(self, cursor: sqlite3.Cursor) -> None:
        self.description = cursor.description
        if cursor.description:
            self._rows = cursor.fetchall()
        # Only after the last row is it known how many an INSERT … RETURNING made.
        self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
        cursor.close()


class _Yielding(sqlite3.Connection):
    """A connection that lets go of its locks when it is closed.

    Where a task is cancelled in the middle of a statement, SQLAlchemy closes the connection; but SQLite keeps one open,
    with its transaction, for as long as anything holds a statement that was not read to its end.
    """

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self.rollback()
        super().close()
