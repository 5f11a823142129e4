"""Statistics of a server's use for its moderators: uses, waiting times, refusals and votes.

They are sums, from which nobody can tell who did what.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select

from bot.commands.command import visible_name
from bot.storage.counters import REFUSAL, USE, VOTE, WAIT, WAIT_BUCKETS_SECONDS, CountRow, day_of
from bot.storage.database import now

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bot.core.caller import Caller
    from bot.plugin_host.registry import Registry
    from bot.settings.setting import Scope
    from bot.storage.database import Database


@dataclass(frozen=True, slots=True)
class WaitTimes:
    """How many people waited, and the seconds within which half of them and nine in ten got their answer.

    None stands for longer than the largest bucket.
    """

    count: int
    half: float | None
    most: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageStatistics:
    """The statistics of some days. Tuples are in the order of `days`; commands are sorted by use, the most used first.

    Only finished answers count as uses; `failed` of them ended with an error.
    """

    days: tuple[str, ...]
    """The days, the oldest first, such as 2026-03-31."""
    uses: Mapping[str, tuple[int, ...]]
    refused: tuple[int, ...]
    reasons: Mapping[str, int]
    """The number of refusals by code, the most frequent first."""
    waits: Mapping[str, WaitTimes]
    """How long people waited for the first visible part of an answer, by command."""
    votes: Mapping[str, tuple[int, int]]
    """Thumbs up and down, by command."""
    failed: int

    @property
    def total(self) -> int:
        """The number of all uses."""
        return sum(map(sum, self.uses.values()))


class Statistics:
    """Reads the statistics of a server for its moderators. Raises PermissionDenied for everybody else."""

    def __init__(self, database: Database, registry: Registry) -> None:
        self._database = database
        self._registry = registry

    async def last(self, caller: Caller, days: int, scope: Scope) -> UsageStatistics:
        """Return the statistics of the last `days` days, including today."""
        caller.require_moderator("Only moderators can see the statistics.")
        return await read_statistics(self._database, scope, days, {known.name for known in self._registry.commands})


async def read_statistics(database: Database, scope: Scope, days: int, known: Collection[str]) -> UsageStatistics:
    """Return the statistics of a server's last `days` days, including today.

    `known` are the names of the visible commands: the uses of a hidden command count for the visible one that its name
    begins with.
    """
    today = date.fromisoformat(day_of(now()))
    span = [f"{today - timedelta(days=back)}" for back in reversed(range(days))]
    here = (CountRow.platform == scope.platform) & (CountRow.server == scope.server)
    async with database.reading() as session:
        rows = (await session.scalars(select(CountRow).where(here, CountRow.day.in_(span)))).all()
    return _sum_rows([(row, _counted_command(row.command, known)) for row in rows], span)


def _counted_command(name: str, known: Collection[str]) -> str:
    typed = visible_name(name)
    return typed if name not in known and typed in known else name


def _sum_rows(rows: Sequence[tuple[CountRow, str]], span: Sequence[str]) -> UsageStatistics:
    """Return the sums of rows, each with the command that it counts for."""
    uses, waits, votes = (defaultdict[str, Counter[str]](Counter) for _ in range(3))
    refused, reasons, states = Counter[str](), Counter[str](), Counter[str]()
    for row, command in rows:
        if row.kind == USE:
            uses[command][row.day] += row.number
            states[row.value] += row.number
        elif row.kind == WAIT:
            waits[command][row.value] += row.number
        elif row.kind == VOTE:
            votes[command][row.value] += row.number
        elif row.kind == REFUSAL:
            refused[row.day] += row.number
            reasons[row.value] += row.number
    order = sorted(uses, key=lambda name: (-uses[name].total(), name))
    return UsageStatistics(
        days=tuple(span),
        uses={name: tuple(uses[name][day] for day in span) for name in order},
        refused=tuple(refused[day] for day in span),
        reasons=dict(reasons.most_common()),
        waits={name: _wait_times(waits[name]) for name in order if name in waits},
        votes={name: (votes[name]["up"], votes[name]["down"]) for name in order if votes[name].total()},
        failed=states["failed"],
    )


def _wait_times(buckets: Counter[str]) -> WaitTimes:
    return WaitTimes(buckets.total(), _quantile(buckets, 0.5), _quantile(buckets, 0.9))


def _quantile(buckets: Counter[str], share: float) -> float | None:
    """Return the seconds within which this share of all waits was over; None if longer than the largest bucket."""
    wanted, so_far = share * buckets.total(), 0
    for edge in WAIT_BUCKETS_SECONDS:
        so_far += buckets[f"{edge:g}"]
        if so_far >= wanted:
            return edge
    return None
