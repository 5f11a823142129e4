"""The addresses of databases; test_database.py tests the tables on each system."""

import asyncio
import socket
import traceback
from pathlib import Path

import pytest
from fakes.storage.postgres import fresh_database
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from bot.core.errors import ConfigError
from bot.storage.database import Database, PluginRow
from bot.storage.engine import create_backend
from bot.storage.key_value import Store


@pytest.mark.parametrize("wrong", ["nonsense", "mysql://localhost/x", "sqlite+pysqlite:///x", ""])
def test_a_wrong_address_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"postgresql://"):
        create_backend(wrong)


async def test_a_folder_that_cannot_be_written_is_an_error() -> None:
    with pytest.raises(ConfigError, match="cannot be opened"):
        async with Database("sqlite:////proc/nothing/tempera.db"):
            pass


async def test_a_file_that_is_not_a_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("no database at all " * 100)
    with pytest.raises(ConfigError, match=r"notes\.db"):
        async with Database(f"sqlite:///{tmp_path}/notes.db"):
            pass


@pytest.mark.parametrize("options", ["", "?sslmode=nonsense", "?colour=blue"])
async def test_a_server_that_does_not_answer_is_named_without_its_password(options: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"postgresql://tempera:secret@127.0.0.1:{taken.getsockname()[1]}/school{options}"
        with pytest.raises(ConfigError, match=r"school cannot be opened") as refused:
            async with Database(address):
                pass
    assert "secret" not in str(refused.value)
    assert "secret" not in Database(address).name


async def test_a_database_that_the_server_lacks_is_an_error(postgres: str) -> None:
    with pytest.raises(ConfigError, match="cannot be opened"):
        async with Database(f"postgresql://postgres@/missing?host={postgres}"):
            pass


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
