from fakes.storage.postgres import empty_database

from bot.storage.database import Database
from bot.storage.locks import only_one


async def test_one_process_at_a_time_does_a_task(postgres: str) -> None:
    address = await empty_database(postgres)
    async with Database(address) as here, Database(address) as there:
        async with only_one(here, "purge") as is_ours:
            assert is_ours
            async with only_one(there, "purge") as is_theirs, only_one(there, "another") as is_free:
                assert (is_theirs, is_free) == (False, True)
        async with only_one(there, "purge") as is_theirs:
            assert is_theirs


async def test_a_file_has_no_such_lock(database: Database) -> None:
    async with only_one(database, "purge") as is_ours:
        assert is_ours
