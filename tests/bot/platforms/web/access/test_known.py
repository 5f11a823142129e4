"""What is stored of visitors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fakes.core.clock import ManualClock

from bot.core.errors import DatabaseUnavailable
from bot.platforms.web.access.known import KnownVisitors
from bot.settings.builtin import DAY_SECONDS
from bot.storage.database import Database


async def test_changes_at_once_lose_nothing_also_in_two_processes(database: Database) -> None:
    here, there = KnownVisitors(database), KnownVisitors(database)
    await asyncio.gather(here.change("a", ended=True), here.change("a", name="Zoe"))
    await there.change("a", let_in=True)
    await here.refresh()
    assert (here["a"].ended, here["a"].name, here["a"].let_in) == (True, "Zoe", True)


@asynccontextmanager
async def failing() -> AsyncIterator[None]:
    """A session of a database that cannot be used."""
    raise DatabaseUnavailable
    yield


@pytest.mark.parametrize("missing", [("writing",), ("reading", "writing")])
async def test_a_visit_is_not_noted_while_nothing_can_be_stored(
    database: Database, missing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    known = KnownVisitors(database, clock=clock)
    await known.change("a", let_in=True)
    first = known["a"].seen
    clock.now += 2 * DAY_SECONDS
    with monkeypatch.context() as broken:
        for name in missing:
            broken.setattr(database, name, failing)
        await known.note_visit("a")
        assert known["a"].seen == first
    await known.note_visit("a")
    assert known["a"].seen == clock.now
