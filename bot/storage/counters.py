"""How often what happened on which day: sums alone, so that they outlive the messages they come from. Nobody is named.

A day is one of UTC. What is counted in the transaction of what happened is neither lost nor counted twice.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.database import Base, now

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from bot.storage.database import Database

USE, WAIT, VOTE, REFUSAL = "use", "wait", "vote", "refusal"
"""Kinds: by state of the answer, by WAITS, by "up" and "down", by code of the refusal."""
WAIT_BUCKETS_SECONDS = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds that people waited less than; what was longer is counted as LONGER."""
LONGEST_BUCKET = "longer"
KEPT_DAYS = 400


class CountRow(Base):
    """How often something happened on a day in a server."""

    __tablename__ = "counts"

    platform: Mapped[str] = mapped_column(primary_key=True)
    server: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[str] = mapped_column(primary_key=True)
    """Such as 2026-03-31."""
    kind: Mapped[str] = mapped_column(primary_key=True)
    command: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]


def day_of(time: datetime) -> str:
    """The day that a point in time belongs to."""
    return f"{time.astimezone(UTC):%Y-%m-%d}"


def wait_bucket(seconds: float) -> str:
    """What a wait is counted as."""
    return next((f"{edge:g}" for edge in WAIT_BUCKETS_SECONDS if seconds < edge), LONGEST_BUCKET)


async def count(
    session: AsyncSession, where: tuple[str, str], kind: str, command: str, value: str, day: str, by: int = 1
) -> None:
    """Count something in the transaction of `session`, which holds the write lock, so that nobody else counts now.

    `where` is a platform and a server of it.
    """
    key = (*where, day, kind, command, value)
    row = await session.get(CountRow, key)
    if row is None:
        platform, server = where
        about = {"day": day, "kind": kind, "command": command, "value": value}
        session.add(CountRow(platform=platform, server=server, **about, number=by))
    else:
        row.number += by


async def purge(database: Database) -> None:
    """Delete sums that are older than KEPT_DAYS."""
    async with database.writing() as session:
        await session.execute(delete(CountRow).where(CountRow.day < day_of(now() - timedelta(days=KEPT_DAYS))))
