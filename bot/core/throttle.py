"""The pace of the snapshots of a growing reply: as fast as the platform allows, and always with the last one."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from bot.core.latest import Stream
    from bot.core.messages import Reply

MINUTE_SECONDS = 60.0


class RateBudget:
    """A number of requests that many streams share: `per_minute` (at least 2) in any sixty seconds.

    A quarter is reserved for final snapshots. Of the rest, the first half may be spent freely and the second half is
    spread evenly over the remaining minute, so that no stream stands still for long. `clock` returns seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        if per_minute < 2:
            raise ValueError(f"A budget has at least 2 requests a minute; this one has {per_minute}.")
        self._per_minute = per_minute
        self._unreserved = per_minute - math.ceil(per_minute / 4)
        self._clock = clock
        self._spent: deque[float] = deque()
        self._blocked_until = -math.inf
        self._others, self._noted_at = 0, -math.inf

    def delay(self, *, final: bool) -> float:
        """Return the seconds until a snapshot may be sent; 0 for at once."""
        now = self._clock()
        while self._spent and self._spent[0] <= now - MINUTE_SECONDS:
            self._spent.popleft()
        return max(0.0, self._blocked_until - now, self._next_time(final) - now)

    def spend(self) -> None:
        """Count one request."""
        self._spent.append(self._clock())

    def take_back(self) -> None:
        """Do not count the last request, which was not sent."""
        self._spent.pop()

    def note_total(self, count: int) -> None:
        """Note how many requests all processes sent in the last minute. Final snapshots do not wait for the others'."""
        self._others, self._noted_at = max(0, count - len(self._spent)), self._clock()

    def block_for(self, seconds: float) -> None:
        """Allow no request for `seconds`, not even for a final snapshot, as a Retry-After header demands."""
        self._blocked_until = max(self._blocked_until, self._clock() + seconds)

    def _next_time(self, final: bool) -> float:
        """Return when the budget allows the next request, in seconds of the clock; -inf for at once."""
        allowed, times = (self._per_minute, self._spent) if final else (self._unreserved, self._all_spent())
        spent = len(times)
        if spent >= allowed:
            return times[spent - allowed] + MINUTE_SECONDS
        if final or 2 * spent < allowed:
            return -math.inf
        latest = times[-1]
        return latest + (times[0] + MINUTE_SECONDS - latest) / (allowed - spent + 1)

    def _all_spent(self) -> Sequence[float]:
        """Return the times of the requests in the last minute; those of other processes have that of their note."""
        if not self._others or self._noted_at <= self._clock() - MINUTE_SECONDS:
            return self._spent
        return sorted([*self._spent, *[self._noted_at] * self._others])


class Throttle:
    """The pace of the snapshots of one message: one every `interval` seconds, within the shared `budget`.

    Neither the first one with words nor the final one waits for the interval. Times are those of the running loop.
    """

    def __init__(self, interval: float, budget: RateBudget | None = None) -> None:
        self._interval = interval
        self._budget = budget
        self._next_snapshot = -math.inf

    def delay(self, *, final: bool, first: bool = False) -> float:
        """Return the seconds until a snapshot may be sent; 0 for at once. `first` says that it has the first words."""
        due = 0.0 if final or first else self._next_snapshot - _now()
        budget = self._budget.delay(final=final) if self._budget else 0.0
        return max(0.0, due, budget)

    def record_snapshot(self) -> None:
        """Count a snapshot that is sent now."""
        self._next_snapshot = _now() + self._interval
        if self._budget:
            self._budget.spend()


def _now() -> float:
    return asyncio.get_running_loop().time()


async def throttled(replies: Stream[Reply], throttle: Throttle) -> AsyncGenerator[Reply, None]:
    """Yield the newest of `replies` whenever `throttle` allows one, and skip the replies in between.

    The producer never waits for the consumer. The last reply is always yielded, no reply is yielded twice in a row, and
    an error is raised after the last reply. Closing this generator (use `aclosing`) closes the stream.
    """
    newest: Reply | None = None
    shown: Reply | None = None
    async with aclosing(replies):
        latest = replies.begin()
        while True:
            newest = latest.pop_newest() or newest
            final = latest.ended or (newest is not None and newest.final)
            first = newest is not None and bool(newest.text) and not (shown is not None and shown.text)
            delay: float | None = None
            if newest is None or newest == shown:
                if latest.ended:
                    latest.check()
                    return
            elif not (delay := throttle.delay(final=final, first=first)):
                throttle.record_snapshot()
                shown = newest
                yield newest
                continue
            await latest.wait(delay)
