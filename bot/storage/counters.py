"""Daily counts of uses, waits, votes and refusals, which stay after the messages are deleted. They name no user.

Days are in UTC. An event is counted in its own transaction, so it is neither lost nor counted twice.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.database import Base, now

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from bot.storage.database import Database, MessageRow

USE, WAIT, VOTE, REFUSAL = "use", "wait", "vote", "refusal"
"""The kinds of counts; `value` is the state of the answer, the wait bucket, "up" or "down", or the refusal's code."""
WAIT_BUCKETS_SECONDS = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0, 60.0, 120.0, 300.0)
"""Upper limits of the buckets for waiting times; longer ones are counted as LONGEST_BUCKET."""
LONGEST_BUCKET = "longer"
KEPT_DAYS = 400


class CountRow(Base):
    """The number of events of one kind on a day in a server."""

    __tablename__ = "counts"

    platform: Mapped[str] = mapped_column(primary_key=True)
    server: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[str] = mapped_column(primary_key=True)
    """A date in UTC, such as 2026-03-31."""
    kind: Mapped[str] = mapped_column(primary_key=True)
    command: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]


def day_of(time: datetime) -> str:
    """Return the date in UTC of a point in time."""
    return f"{time.astimezone(UTC):%Y-%m-%d}"


def wait_bucket(seconds: float) -> str:
    """Return the bucket of a waiting time."""
    return next((f"{edge:g}" for edge in WAIT_BUCKETS_SECONDS if seconds < edge), LONGEST_BUCKET)


def count(session: Session, where: tuple[str, str], kind: str, command: str, value: str, day: str, by: int = 1) -> None:
    """Add `by` to a count in the transaction of `session`, which holds the write lock, so nobody else counts meanwhile.

    `where` is a platform and a server of it.
    """
    key = (*where, day, kind, command, value)
    row = session.get(CountRow, key)
    if row is None:
        platform, server = where
        key_columns = {"day": day, "kind": kind, "command": command, "value": value}
        session.add(CountRow(platform=platform, server=server, **key_columns, number=by))
    else:
        row.number += by


def count_message(session: Session, row: MessageRow, kind: str, value: str, day: str, by: int = 1) -> None:
    """Count something about a message in the transaction of `session`."""
    count(session, (row.platform, row.server), kind, row.command, value, day, by)


def count_use(session: Session, answer: MessageRow, state: str, waited: float | None) -> None:
    """Count an answer that ended in `state` today; `waited` is the time until something was visible, in seconds."""
    day = day_of(now())
    count_message(session, answer, USE, state, day)
    if waited is not None:
        count_message(session, answer, WAIT, wait_bucket(waited), day)


async def purge(database: Database) -> None:
    """Delete counts that are older than KEPT_DAYS."""
    old = delete(CountRow).where(CountRow.day < day_of(now() - timedelta(days=KEPT_DAYS)))
    await database.write(lambda session: session.execute(old))
