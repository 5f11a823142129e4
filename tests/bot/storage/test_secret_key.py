import asyncio
import stat
from pathlib import Path

import pytest

from bot.core.errors import ConfigError
from bot.storage.database import Database
from bot.storage.secret_key import load_secret


async def test_concurrent_first_loads_return_one_secret(address: str) -> None:
    async with Database(address) as database:
        found = await asyncio.gather(*(load_secret(database) for _ in range(8)))
        assert len({key for key, _ in found}) == 1
        assert len(found[0][0]) == 32
        assert sorted(is_new for _, is_new in found) == [False] * 7 + [True]
    async with Database(address) as database:
        assert await load_secret(database) == (found[0][0], False)


def test_the_secret_of_sqlite_is_in_a_file_that_only_its_owner_can_read(tmp_path: Path) -> None:
    async def made() -> bytes:
        async with Database(f"sqlite:///{tmp_path}/tempera.db") as database:
            return (await load_secret(database))[0]

    key = asyncio.run(made()).hex()
    files = {path.name: path for path in tmp_path.iterdir()}
    beside = files.pop("tempera.db.key")
    assert beside.read_text() == key
    assert stat.S_IMODE(beside.stat().st_mode) == 0o600
    assert "tempera.db" in files
    assert not [name for name, path in files.items() if key.encode() in path.read_bytes() or ".key" in name]


async def test_a_secret_that_was_lost_with_the_power_is_named(tmp_path: Path) -> None:
    (tmp_path / "tempera.db.key").touch()
    async with Database(f"sqlite:///{tmp_path}/tempera.db") as database:
        with pytest.raises(ConfigError, match="^The secret “key” of the database is damaged"):
            await load_secret(database)


async def test_a_disk_without_links_has_the_secret_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    async with Database(f"sqlite:///{tmp_path}/tempera.db") as database:
        key, is_new = await load_secret(database)
        assert (is_new, await load_secret(database)) == (True, (key, False))
    (beside,) = await asyncio.to_thread(lambda: list(tmp_path.glob("*.key*")))
    assert stat.S_IMODE(beside.stat().st_mode) == 0o600
