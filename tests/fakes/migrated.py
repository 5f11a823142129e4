"""New databases begin with the tables that the migrations made once in this process; what is up to date is left alone.

Reading all migrations and running them takes longer than most tests. test_database.py runs them each time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection

from bot import database

REAL: Callable[[Connection, str], None] = database._migrate
OWN = "name NOT LIKE 'sqlite_%'"


@contextmanager
def remembered_tables() -> Iterator[None]:
    """For as long as the context lasts, in this process."""
    statements: list[str] = []
    version = ""

    def migrate(connection: Connection, target: str) -> None:
        nonlocal version
        found = _version(connection) if target == "head" else ""
        if version and found == version:
            return
        is_new = target == "head" and connection.dialect.name == "sqlite" and not _tables(connection)
        if is_new and statements:
            for statement in statements:
                connection.exec_driver_sql(statement)
            return
        REAL(connection, target)
        if target == "head":
            version = _version(connection)
        if is_new:
            statements.extend([*_tables(connection), f"INSERT INTO alembic_version VALUES ('{version}')"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_migrate", migrate)
        yield


def _tables(connection: Connection) -> list[str]:
    """The statements that make what is there."""
    query = f"SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND {OWN} ORDER BY rowid"
    return [row.sql for row in connection.exec_driver_sql(query)]


def _version(connection: Connection) -> str:
    """The last migration that was run there, or ""."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return ""
    return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() or "")
