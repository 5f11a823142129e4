"""What a server's moderators can know of its use: how much, how long people waited, what was refused, what they liked.

All of it is sums; who it was is in none of them.
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
    """How many waited, and how many seconds at most half of them and nine in ten did; None is more than any number."""

    count: int
    half: float | None
    most: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageStatistics:
    """The figures of a span. What is by day is in the order of `days`, what is by command has the most used one first.

    Only answers that came to an end count as uses; `failed` of them with an error.
    """

    days: tuple[str, ...]
    """The oldest first, such as 2026-03-31."""
    uses: Mapping[str, tuple[int, ...]]
    refused: tuple[int, ...]
    reasons: Mapping[str, int]
    """How often each code of a refusal was the reason, the most frequent first."""
    waits: Mapping[str, WaitTimes]
    """How long people waited until there was something to see."""
    votes: Mapping[str, tuple[int, int]]
    """Thumbs up and down."""
    failed: int

    @property
    def total(self) -> int:
        """All uses."""
        return sum(map(sum, self.uses.values()))


class Statistics:
    """The figures of a server, for its moderators alone; everybody else is refused with PermissionDenied."""

    def __init__(self, database: Database, registry: Registry) -> None:
        self._database = database
        self._registry = registry

    async def last(self, caller: Caller, days: int, scope: Scope) -> UsageStatistics:
        """Return the figures of the last `days` days, today included."""
        caller.require_moderator("Only moderators can see the statistics.")
        return await figures(self._database, scope, days, {known.name for known in self._registry.commands})


async def figures(database: Database, scope: Scope, days: int, known: Collection[str]) -> UsageStatistics:
    """The figures of a server's last `days` days, today included.

    `known` are the names of commands that people can type: what buttons alone run counts with the command that its name
    begins with.
    """
    today = date.fromisoformat(day_of(now()))
    span = [f"{today - timedelta(days=back)}" for back in reversed(range(days))]
    here = (CountRow.platform == scope.platform) & (CountRow.server == scope.server)
    async with database.reading() as session:
        rows = (await session.scalars(select(CountRow).where(here, CountRow.day.in_(span)))).all()
    return _summed([(row, _typed(row.command, known)) for row in rows], span)


def _typed(name: str, known: Collection[str]) -> str:
    typed = visible_name(name)
    return typed if name not in known and typed in known else name


def _summed(rows: Sequence[tuple[CountRow, str]], span: Sequence[str]) -> UsageStatistics:
    """The figures of rows, each with the command that it counts with."""
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
        waits={name: _waits(waits[name]) for name in order if name in waits},
        votes={name: (votes[name]["up"], votes[name]["down"]) for name in order if votes[name].total()},
        failed=states["failed"],
    )


def _waits(buckets: Counter[str]) -> WaitTimes:
    return WaitTimes(buckets.total(), _within(buckets, 0.5), _within(buckets, 0.9))


def _within(buckets: Counter[str], share: float) -> float | None:
    """The seconds within which this share of all waits was over; None where that is not known."""
    wanted, so_far = share * buckets.total(), 0
    for edge in WAIT_BUCKETS_SECONDS:
        so_far += buckets[f"{edge:g}"]
        if so_far >= wanted:
            return edge
    return None
