import stat
from pathlib import Path

import pytest

from bot.core.errors import ConfigError
from bot.storage.database import Database
from bot.storage.identity import load_own_identity


async def test_it_is_made_once_for_a_database(address: str) -> None:
    async with Database(address) as database:
        first = await load_own_identity(database)
    async with Database(address) as database:
        again = await load_own_identity(database)
    assert (again, again.trust.is_local, len(again.chain)) == (first, True, 2)


async def test_its_file_is_for_its_owner_alone_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    async with Database(f"sqlite:///{tmp_path}/tempera.db") as database:
        await load_own_identity(database)
        file = tmp_path / "tempera.db.signing"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.write_text("nothing")
        with pytest.raises(ConfigError, match="^The secret “signing” of the database is damaged"):
            await load_own_identity(database)
