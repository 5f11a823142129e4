from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select

from bot.storage import counters
from bot.storage.counters import CountRow
from bot.storage.database import Database, now

HERE = ("test", "school")


async def numbers(database: Database) -> dict[tuple[str, str, str], int]:
    async with database.reading() as session:
        return {(row.server, row.day, row.value): row.number for row in await session.scalars(select(CountRow))}


async def test_events_are_counted_by_day_and_by_server(database: Database) -> None:
    for where, day, value in [
        (HERE, "2026-03-30", "done"),
        (HERE, "2026-03-31", "done"),
        (HERE, "2026-03-31", "done"),
        (HERE, "2026-03-31", "failed"),
        (("test", "other"), "2026-03-31", "done"),
    ]:
        async with database.writing() as session:
            await session.run_sync(counters.count, where, counters.USE, "ask", value, day)
    async with database.writing() as session:
        await session.run_sync(counters.count, HERE, counters.USE, "ask", "done", "2026-03-31", -1)
    assert await numbers(database) == {
        ("school", "2026-03-30", "done"): 1,
        ("school", "2026-03-31", "done"): 1,
        ("school", "2026-03-31", "failed"): 1,
        ("other", "2026-03-31", "done"): 1,
    }


def test_days_are_in_utc() -> None:
    assert counters.day_of(datetime(2026, 3, 31, 23, 59, tzinfo=UTC)) == "2026-03-31"
    assert counters.day_of(datetime(2026, 3, 31, 23, 59, tzinfo=timezone(timedelta(hours=-2)))) == "2026-04-01"


@pytest.mark.parametrize(
    ("seconds", "counted"),
    [(0, "0.5"), (0.5, "1"), (4.99, "5"), (5, "8"), (299, "300"), (300, "longer"), (9e9, "longer")],
)
def test_a_wait_is_counted_in_its_bucket(seconds: float, counted: str) -> None:
    assert counters.wait_bucket(seconds) == counted


async def test_old_counts_are_deleted(database: Database) -> None:
    days = {age: counters.day_of(now() - timedelta(days=age)) for age in (0, 399, 402)}
    async with database.writing() as session:
        for day in days.values():
            await session.run_sync(counters.count, HERE, counters.USE, "ask", "done", day)
    await counters.purge(database)
    assert {day for _, day, _ in await numbers(database)} == {days[0], days[399]}
