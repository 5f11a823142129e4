"""The addresses of databases; test_database.py tests the tables on each system."""

import asyncio
import os
import socket
import sqlite3
import stat
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest
from fakes.model_server.gateway import PATIENCE_SECONDS, eventually
from fakes.storage.migrated_tables import run_real_migrations
from fakes.storage.postgres import fresh_database
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from bot.core.errors import ConfigError, DatabaseUnavailable
from bot.storage import engine
from bot.storage.database import Database, EventRow, PluginRow, now
from bot.storage.engine import create_backend, prepare_file
from bot.storage.key_value import Store


@pytest.mark.parametrize("wrong", ["nonsense", "mysql://localhost/x", "sqlite+pysqlite:///x", ""])
def test_a_wrong_address_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"postgresql://"):
        create_backend(wrong)


def test_an_option_that_the_driver_does_not_know_is_named() -> None:
    with pytest.raises(ConfigError, match="has the option “sslrootcert”"):
        create_backend("postgresql://t@host/tempera?sslmode=verify-full&sslrootcert=/ca.pem")
    create_backend("postgresql://t@host/tempera?sslmode=require&prepared_statement_cache_size=0")


def modes(folder: Path) -> dict[str, int]:
    """Return the rights of the files of a database."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.glob("tempera.db*")}


@pytest.fixture
def generous() -> Iterator[None]:
    """Let this process make files that everybody may read and write."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("old", [False, True])
async def test_only_its_owner_can_read_the_files_of_a_database(tmp_path: Path, generous: None, *, old: bool) -> None:
    address = f"sqlite:///{tmp_path}/tempera.db"
    with run_real_migrations(), closing(sqlite3.connect(tmp_path / "tempera.db")) as other:
        if old:
            # As an older version, or one that was killed, left them.
            other.execute("PRAGMA journal_mode=WAL")
            other.execute("CREATE TABLE notes (note)")
            other.commit()
            assert modes(tmp_path)["tempera.db-wal"] & 0o044
        else:
            (tmp_path / "tempera.db").unlink(missing_ok=True)
        async with Database(address) as database:
            assert await database.claim_event("test", "1")
            assert modes(tmp_path) == dict.fromkeys(("tempera.db", "tempera.db-shm", "tempera.db-wal"), 0o600)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
async def test_the_rights_of_somebody_elses_file_stay(tmp_path: Path) -> None:
    file = tmp_path / "tempera.db"
    file.touch(0o640)
    os.chown(file, 12345, -1)
    await prepare_file(file)
    assert modes(tmp_path) == {"tempera.db": 0o640}


async def test_a_file_that_is_not_a_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("no database at all " * 100)
    with pytest.raises(ConfigError, match=r"notes\.db"):
        async with Database(f"sqlite:///{tmp_path}/notes.db"):
            pass


@pytest.mark.parametrize("options", ["", "?sslmode=nonsense"])
async def test_a_server_that_does_not_answer_is_named_without_its_password(options: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"postgresql://tempera:secret@127.0.0.1:{taken.getsockname()[1]}/school{options}"
        with pytest.raises(ConfigError, match=r"school cannot be opened") as refused:
            async with Database(address):
                pass
    assert "secret" not in str(refused.value)
    assert "secret" not in Database(address).name


async def test_the_traceback_of_a_failed_statement_has_no_values(database: Database) -> None:
    statement = text("INSERT INTO plugin_data (there_is_no_such_column) VALUES (:words)")
    # The traceback has the line below that fails, so the value is not written there.
    values = {"words": "my secret words"}
    with pytest.raises(DBAPIError, match="INSERT INTO plugin_data") as failed:
        async with database.writing() as session:
            await session.execute(statement, values)
    trace = "".join(traceback.format_exception(failed.value))
    assert "secret" not in trace


@pytest.mark.parametrize("scheme", ["postgres", "postgresql+asyncpg"])
async def test_other_names_of_postgresql_and_its_encryption_option_work(postgres: str, scheme: str) -> None:
    async with Database(f"{scheme}://postgres@/postgres?host={postgres}&sslmode=prefer") as database:
        async with database.writing() as session:
            session.add(PluginRow(plugin=scheme, scope="", key="k", value=1))
        async with database.reading() as session:
            assert await session.get(PluginRow, (scheme, "", "k"))


STRICTER = """DO $$ BEGIN
EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = %L', current_database(), 'repeatable read');
END $$"""


async def test_writers_see_earlier_changes_whatever_isolation_the_server_has_by_default(postgres: str) -> None:
    async with fresh_database(postgres) as address:
        async with Database(address) as database, database.writing() as session:
            await session.execute(text(STRICTER))
        async with Database(address) as database:
            store = Store(database, "sums")
            await asyncio.gather(*(store.change("one", lambda value: (value or 0) + 1) for _ in range(20)))
            assert await store.get("one") == 20


async def test_a_connection_that_is_lost_in_a_transaction_leaves_nothing_of_it(postgres: str) -> None:
    def lose_connection(session: Session) -> None:
        session.add(EventRow(platform="lost", id="1", created=now()))
        session.flush()
        session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    async with fresh_database(postgres) as address, Database(address) as database:
        with pytest.raises(DatabaseUnavailable):
            await database.write(lose_connection)
        assert await database.claim_event("lost", "1")


async def test_a_lost_connection_is_replaced(postgres: str) -> None:
    address = f"postgresql://postgres@/postgres?host={postgres}"
    async with Database(address) as database, Database(address) as other:
        assert await database.claim_event("lost", "1")
        async with other.reading() as session:
            connection = await session.connection()
            await connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = "
                "'postgres'"
            )
        assert not await database.claim_event("lost", "1")


@asynccontextmanager
async def vanishing(socket_folder: str) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """Yield the port of a proxy of PostgreSQL, and an event after which connections made before lead nowhere."""
    gone, pumps = asyncio.Event(), list[asyncio.Task[None]]()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, before: bool) -> None:
        try:
            with suppress(ConnectionError):
                while data := await reader.read(65536):
                    if not (before and gone.is_set()):
                        writer.write(data)
                        await writer.drain()
        finally:
            writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_unix_connection(f"{socket_folder}/.s.PGSQL.5432")
        for ends in ((reader, there_writer), (there_reader, writer)):
            pumps.append(asyncio.create_task(pump(*ends, not gone.is_set())))

    def close() -> None:
        for task in pumps:
            task.cancel()

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    # Whoever waits for ever, and cannot be cancelled, ends then.
    end = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, close)
    try:
        yield server.sockets[0].getsockname()[1], gone
    finally:
        end.cancel()
        server.close()
        close()
        await asyncio.gather(*pumps, return_exceptions=True)


async def test_connections_to_a_host_that_has_vanished_are_given_up(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 3)
    async with fresh_database(postgres) as address, vanishing(postgres) as (port, gone):
        name = make_url(address).database
        async with Database(f"postgresql://postgres@127.0.0.1:{port}/{name}") as database:
            store = Store(database, "test")
            await asyncio.gather(*(store.set(str(number), number) for number in range(3)))
            gone.set()

            async def works() -> bool:
                try:
                    return await store.get("1") == 1
                except DatabaseUnavailable:
                    return False

            tasks = [asyncio.create_task(works()) for _ in range(3)]
            _, waiting = await asyncio.wait(tasks, timeout=PATIENCE_SECONDS / 2)
            assert not waiting
            assert not all(task.result() for task in tasks)
            await eventually(works)
