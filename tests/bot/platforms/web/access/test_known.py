"""What is stored of visitors."""

import asyncio

from bot.platforms.web.access.known import KnownVisitors
from bot.storage.database import Database


async def test_changes_at_once_lose_nothing_also_in_two_processes(database: Database) -> None:
    here, there = KnownVisitors(database), KnownVisitors(database)
    await asyncio.gather(here.change("a", ended=True), here.change("a", name="Zoe"))
    await there.change("a", let_in=True)
    await here.refresh()
    assert (here["a"].ended, here["a"].name, here["a"].let_in) == (True, "Zoe", True)
