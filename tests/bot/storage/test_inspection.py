import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest
from fakes.storage.migrated_tables import run_real_migrations
from fakes.storage.postgres import fresh_database
from sqlalchemy import text

from bot.core.errors import ConfigError
from bot.storage.database import NEWER, Database
from bot.storage.inspection import inspect

State = dict[str, bytes]


def files(folder: Path) -> State:
    """Return every file below a folder, with its content."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=["sqlite", "postgresql"])
async def changed(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a database with tables that no other test has, since the test changes their revision."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/tempera.db"
    else:
        async with fresh_database(request.getfixturevalue("postgres")) as made:
            yield made


async def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/deep/below/tempera.db"
    assert await inspect(url) == f"The database {url} is made at the first start."
    assert files(tmp_path) == {}
    assert not (tmp_path / "deep").exists()


async def test_a_current_database_is_only_read(database: Database, address: str, tmp_path: Path) -> None:
    before = files(tmp_path)
    assert await inspect(address) == f"The database opens: {database.name}."
    assert files(tmp_path) == before


async def test_a_database_that_nobody_has_open_is_only_read(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/one # two.db"
    async with Database(url) as database:
        pass
    before = files(tmp_path)
    assert await inspect(url) == f"The database opens: {database.name}."
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("revision", "told"),
    [("0001", "opens; its tables are brought up to date at the next start."), (None, "opens; its tables are made at ")],
)
async def test_tables_that_the_next_start_changes(revision: str | None, told: str, changed: str) -> None:
    await _set_revision(changed, revision)
    assert told in await inspect(changed)


async def test_a_newer_database_is_refused_here_and_at_the_start(changed: str) -> None:
    await _set_revision(changed, "9999")
    with pytest.raises(ConfigError, match=NEWER):
        await inspect(changed)
    with run_real_migrations(), pytest.raises(ConfigError, match=NEWER):
        await Database(changed).__aenter__()


async def _set_revision(address: str, revision: str | None) -> None:
    async with Database(address) as database, database.writing() as session:
        await session.execute(text("DELETE FROM alembic_version"))
        if revision:
            await session.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": revision})


def _make_text_file(path: Path) -> None:
    path.write_text("This is a letter, and no database. " * 100)


def _make_folder(path: Path) -> None:
    path.mkdir()


def _break_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.commit()
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 4096)


@pytest.mark.parametrize("make", [_make_text_file, _make_folder, _break_database])
async def test_a_file_that_is_no_database(make: Callable[[Path], None], tmp_path: Path) -> None:
    file = tmp_path / "tempera.db"
    make(file)
    with pytest.raises(ConfigError, match=f"The database {file} cannot be opened"):
        await inspect(f"sqlite:///{file}")


async def test_a_folder_that_cannot_be_written() -> None:
    with pytest.raises(ConfigError, match="The database /proc/nothing/tempera.db cannot be opened; is the folder"):
        await inspect("sqlite:////proc/nothing/tempera.db")


async def test_a_server_that_does_not_answer(unused_tcp_port: int) -> None:
    with pytest.raises(ConfigError, match=r"The database postgresql://bot:\*\*\*@127.0.0.1:\d+/tempera cannot be op"):
        await inspect(f"postgresql://bot:s3cret@127.0.0.1:{unused_tcp_port}/tempera")
