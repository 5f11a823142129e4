import asyncio
import stat
from pathlib import Path

from bot.storage.database import Database
from bot.storage.secret_key import load_secret


async def test_a_database_has_one_secret_however_many_ask_for_it_at_once(address: str) -> None:
    async with Database(address) as database:
        found = await asyncio.gather(*(load_secret(database) for _ in range(8)))
        assert len({key for key, _ in found}) == 1
        assert len(found[0][0]) == 32
        assert sorted(is_new for _, is_new in found) == [False] * 7 + [True]
    async with Database(address) as database:
        assert await load_secret(database) == (found[0][0], False)


def test_beside_a_file_it_lies_in_another_one_that_only_its_owner_reads(tmp_path: Path) -> None:
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
