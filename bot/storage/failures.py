"""Failures of a database that is full, locked, broken or away, told apart from mistakes in statements."""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bot.core.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

REPORT_SECONDS = 60.0
"""How often a failure that goes on is in the log."""
SQLITE_CODES = frozenset(
    {
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_FULL),
        *(sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM),
        *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB),
    }
)
SQLSTATE_CLASSES = ("08", "25006", "53", "55P03", "57", "58")
"""The beginnings of PostgreSQL's codes for lost connections, a read-only server, no room, locks, its end, its disk."""


class Failures:
    """The failures of one database. Each is raised as DatabaseUnavailable; one a minute has a line in the log."""

    def __init__(self, database: str, driver_errors: tuple[type[Exception], ...]) -> None:
        """`database` is its name; `driver_errors` are raised where the driver connects, beside OSError."""
        self._database = database
        self._errors: tuple[type[Exception], ...] = (OSError, SQLAlchemyError, *driver_errors)
        self._failing: set[str] = set()
        self._is_told = False
        self._untold = 0
        self._silent_until = 0.0

    @contextmanager
    def reported(self, access: str) -> Iterator[None]:
        """Raise DatabaseUnavailable in place of an error in the body which says that the database cannot be used.

        `access` is what the body does: a full disk can still be read.
        """
        try:
            yield
        except self._errors as error:
            if not _is_failure(error):
                raise
            self._failing.add(access)
            self._report(error)
            raise DatabaseUnavailable from error
        if access in self._failing:
            self._failing.remove(access)
            if self._is_told and not self._failing:
                log.warning("The database %s can be used again.", self._database)
                self._is_told = False

    def _report(self, error: Exception) -> None:
        if time.monotonic() < self._silent_until:
            self._untold += 1
            return
        cause = (error.orig if isinstance(error, DBAPIError) else None) or error
        reason = str(cause).partition("\n")[0] or type(cause).__name__
        more = f" ({self._untold} more failures since the last report)" if self._untold else ""
        log.error("The database %s cannot be used: %s%s", self._database, reason, more)
        self._is_told, self._untold, self._silent_until = True, 0, time.monotonic() + REPORT_SECONDS


def _is_failure(error: Exception) -> bool:
    """Return whether the database cannot be used. If not, a statement was wrong."""
    if not isinstance(error, DBAPIError):
        return not isinstance(error, SQLAlchemyError) or isinstance(error, PoolTimeoutError)
    if (code := getattr(error.orig, "sqlite_errorcode", None)) is not None:
        # An extended code has the primary one in its lowest byte.
        return code & 0xFF in SQLITE_CODES
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return error.connection_invalidated or state.startswith(SQLSTATE_CLASSES)
