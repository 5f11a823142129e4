"""Connections to SQLite that change threads once for each statement."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Self

import aiosqlite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Cursor:
    """Runs statements, each in one visit to the thread of the connection, with all that it returns.

    The driver's own cursor goes there and back to be made, to run a statement, to read its rows, and to be closed.
    """

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Self:
        """Run a statement."""
        return await self._run(sqlite3.Cursor.execute, statement, parameters)

    async def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> Self:
        """Run a statement with each of several rows of parameters."""
        return await self._run(sqlite3.Cursor.executemany, statement, parameters)

    async def _run(self, method: Callable[..., sqlite3.Cursor], *arguments: Any) -> Self:
        result = await self._connection.call(_run_statement, method, arguments)
        self.description, self.rowcount, self.lastrowid, self._rows = result
        return self

    async def fetchall(self) -> list[Any]:
        """Return the rows of the last statement."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Do nothing: the statement has ended, so SQLite holds nothing for it."""


class Connection(aiosqlite.Connection):
    """A connection with such cursors."""

    _is_settled = False
    """True if the last call has ended well, and somebody waited for that."""

    def cursor(self) -> Any:
        """Return a cursor, which is made when it runs something."""
        return Cursor(self)

    async def rollback(self) -> None:
        """Roll back the transaction if there is one. SQLAlchemy asks for that twice whenever a session ends."""
        if not self._is_settled or self._conn.in_transaction:
            await super().rollback()

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function with sqlite3's connection in its thread."""
        return await self._execute(function, self._conn, *arguments)

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._is_settled = False
        result = await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]
        self._is_settled = True
        return result


def connect(file: str, **options: Any) -> Connection:
    """Return a connection, which opens the file when it is awaited. `options` are those of sqlite3."""
    connection = Connection(lambda: sqlite3.connect(file, **options), iter_chunk_size=1)
    # Like SQLAlchemy's own connections, it must not keep the program alive. In older drivers it is a thread itself.
    thread: Any = getattr(connection, "_thread", connection)
    thread.daemon = True
    return connection


def _run_statement(
    connection: sqlite3.Connection, method: Callable[..., sqlite3.Cursor], arguments: Sequence[Any]
) -> tuple[Any, int, int | None, list[Any]]:
    cursor = connection.cursor()
    try:
        method(cursor, *arguments)
        rows = cursor.fetchall() if cursor.description else []
        return cursor.description, cursor.rowcount, cursor.lastrowid, rows
    finally:
        cursor.close()
