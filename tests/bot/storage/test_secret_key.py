import asyncio
import stat
from pathlib import Path

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
