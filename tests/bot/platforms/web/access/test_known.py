"""What is stored of visitors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fakes.core.clock import ManualClock
from sqlalchemy import select

from bot.core.errors import DatabaseUnavailable
from bot.platforms.web.access.known import KnownVisitors
from bot.settings.builtin import DAY_SECONDS
from bot.storage.database import Database, PluginRow


async def test_changes_at_once_lose_nothing_also_in_two_processes(database: Database) -> None:
    here, there = KnownVisitors(database), KnownVisitors(database)
    await asyncio.gather(here.change("a", ended=True), here.change("a", name="Zoe"))
    await there.change("a", let_in=True)
    await here.refresh()
    assert (here["a"].ended, here["a"].name, here["a"].let_in) == (True, "Zoe", True)


async def test_who_gave_a_name_is_forgotten_with_their_own_data(database: Database) -> None:
    known = KnownVisitors(database)
    await known.change("pupil", name="Zoe", name_by="Ms Miller", namer="teacher")
    await known.change("other", name="Ben", name_by="Mr Smith", namer="colleague")
    await known.forget("teacher")
    assert (known["pupil"].name, known["pupil"].name_by) == ("Zoe", "")
    assert known["other"].name_by == "Mr Smith"
    async with database.reading() as session:
        assert "Miller" not in str([row.value for row in await session.scalars(select(PluginRow))])


async def test_a_visit_that_could_not_be_stored_is_noted_the_next_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def failing() -> AsyncIterator[None]:
        raise DatabaseUnavailable
        yield

    clock = ManualClock()
    known = KnownVisitors(database, clock=clock)
    await known.change("a", let_in=True)
    first = known["a"].seen
    clock.now += 2 * DAY_SECONDS
    with monkeypatch.context() as broken:
        broken.setattr(database, "writing", failing)
        await known.note_visit("a")
        assert known["a"].seen == first
    await known.note_visit("a")
    assert known["a"].seen == clock.now
