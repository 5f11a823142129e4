"""Looks at a database without changing anything, for `tempera doctor`."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from typing import TYPE_CHECKING
from urllib.parse import quote

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from bot.core.errors import ConfigError
from bot.storage.database import MIGRATIONS, NEWER
from bot.storage.engine import create_backend

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection


async def inspect(address: str) -> str:
    """Return a sentence about the database, which is only read. Raises ConfigError if the bot could not start with it.

    A file that is not there is not made; its folder must be writable.
    """
    backend = create_backend(address)
    try:
        if backend.file is None:
            async with backend.reader.connect() as connection:
                revision = await connection.run_sync(_read_revision)
        else:
            await asyncio.to_thread(_check_folder, backend.file)
            if not backend.file.exists():
                return f"The database {backend.name} is made at the first start."
            revision = await asyncio.to_thread(_read_file, backend.file)
    except backend.open_errors:
        raise ConfigError(backend.failure_sentence) from None
    finally:
        await backend.dispose()
    scripts = ScriptDirectory(str(MIGRATIONS))
    if revision is None:
        return f"The database {backend.name} opens; its tables are made at the first start."
    if revision not in {script.revision for script in scripts.walk_revisions()}:
        raise ConfigError(NEWER)
    if revision != scripts.get_current_head():
        return f"The database {backend.name} opens; its tables are brought up to date at the next start."
    return f"The database opens: {backend.name}."


def _check_folder(file: Path) -> None:
    """Raise OSError if the file cannot be written, or a file cannot be made in its folder or the one to make it in."""
    folder = next(parent for parent in file.absolute().parents if parent.exists())
    # A file without a name, which nobody sees and which is gone when it is closed.
    with tempfile.TemporaryFile(dir=folder):
        pass
    if file.exists():
        with file.open("r+b"):
            pass


def _read_file(file: Path) -> str | None:
    # SQLite makes files beside this one to read it, unless it is told that nobody writes, or they are there already.
    log = file.with_name(f"{file.name}-wal")
    options = "mode=ro" if log.exists() else "mode=ro&immutable=1"
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(f"file:{quote(str(file.absolute()))}?{options}", uri=True),
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        return _read_revision(connection)


def _read_revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
