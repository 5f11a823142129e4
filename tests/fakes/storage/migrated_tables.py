"""New database files begin as a copy of one that was migrated once in this process; current ones are not migrated.

Reading all migrations and running them takes longer than most tests. test_database.py runs them each time.
"""

import os
import secrets
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine

from bot.storage import database

REAL: Callable[[Connection, str], None] = database._migrate
REAL_FILE = database.prepare_file


@contextmanager
def copy_migrated_tables() -> Iterator[None]:
    """Create new SQLite files with migrated tables while the context lasts, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "prepare_file", _create_file)
        patch.setattr(database, "_migrate", _migrate_unless_current)
        yield


@contextmanager
def run_real_migrations() -> Iterator[None]:
    """Run the real migrations while the context lasts, also inside `copy_migrated_tables`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "prepare_file", REAL_FILE)
        patch.setattr(database, "_migrate", REAL)
        yield


async def _create_file(file: Path | None) -> None:
    if file is not None:
        _copy_template(file)
    await REAL_FILE(file)


def _copy_template(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        whole = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
        whole.write_bytes(_template()[0])
        # Another process that creates the same file finds it complete.
        with suppress(FileExistsError):
            os.link(whole, file)
        whole.unlink()


def _migrate_unless_current(connection: Connection, target: str) -> None:
    if target != "head" or _version(connection) != _template()[1]:
        REAL(connection, target)


@cache
def _template() -> tuple[bytes, str]:
    """Return the content of a file with empty tables, and its revision."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tempera.db"
        engine = create_engine(f"sqlite:///{file}")
        with engine.begin() as connection:
            REAL(connection, "head")
            version = _version(connection)
        engine.dispose()
        with closing(sqlite3.connect(file)) as plain:
            plain.execute("PRAGMA journal_mode=WAL")
        return file.read_bytes(), version


def _version(connection: Connection) -> str:
    """Return the revision of a database; "" if it has no tables."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return ""
    return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() or "")
