"""How often a growing reply is shown: the newest snapshot at the pace that a platform allows, and always the last."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from bot.core.latest import Stream
    from bot.core.messages import Reply

MINUTE_SECONDS = 60.0


class RateBudget:
    """One allowance of requests that many streams share: `per_minute` (at least 2) in any sixty seconds.

    A quarter is kept for final snapshots. The others spend the first half of theirs freely and the rest evenly
    over what is left of the minute, so that no stream stands still for long. `clock` gives seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        if per_minute < 2:
            raise ValueError(f"A budget has at least 2 requests a minute; this one has {per_minute}.")
        self._per_minute = per_minute
        self._unreserved = per_minute - math.ceil(per_minute / 4)
        self._clock = clock
        self._spent: deque[float] = deque()
        self._blocked_until = -math.inf

    def delay(self, *, final: bool) -> float:
        """Seconds until a snapshot may be sent; 0 for at once."""
        now = self._clock()
        while self._spent and self._spent[0] <= now - MINUTE_SECONDS:
            self._spent.popleft()
        return max(0.0, self._blocked_until - now, self._next_time(final) - now)

    def spend(self) -> None:
        """Count one request."""
        self._spent.append(self._clock())

    def block_for(self, seconds: float) -> None:
        """Let nothing pass for `seconds`, final or not, as a Retry-After asks."""
        self._blocked_until = max(self._blocked_until, self._clock() + seconds)

    def _next_time(self, final: bool) -> float:
        allowed = self._per_minute if final else self._unreserved
        spent = len(self._spent)
        if spent >= allowed:
            return self._spent[spent - allowed] + MINUTE_SECONDS
        if final or 2 * spent < allowed:
            return -math.inf
        latest = self._spent[-1]
        return latest + (self._spent[0] + MINUTE_SECONDS - latest) / (allowed - spent + 1)


class Throttle:
    """When the next snapshot of one message may go out: one every `interval` seconds, within the shared `budget`.

    The final one does not wait for the interval. Times are the running loop's.
    """

    def __init__(self, interval: float, budget: RateBudget | None = None) -> None:
        self._interval = interval
        self._budget = budget
        self._next_snapshot = -math.inf

    def delay(self, *, final: bool) -> float:
        """Seconds until a snapshot may be sent; 0 for at once."""
        due = 0.0 if final else self._next_snapshot - _now()
        budget = self._budget.delay(final=final) if self._budget else 0.0
        return max(0.0, due, budget)

    def record_snapshot(self) -> None:
        """Count one snapshot."""
        self._next_snapshot = _now() + self._interval
        if self._budget:
            self._budget.spend()


def _now() -> float:
    return asyncio.get_running_loop().time()


async def throttled(replies: Stream[Reply], throttle: Throttle) -> AsyncGenerator[Reply, None]:
    """Yield the newest of `replies` whenever `throttle` lets one pass; those that came in between are left out.

    The answer never waits for the consumer, its last snapshot always comes, no snapshot comes twice in a row, and an
    error is raised after the last one. Closing this (use `aclosing`) closes the stream.
    """
    newest: Reply | None = None
    shown: Reply | None = None
    async with aclosing(replies):
        latest = replies.begin()
        while True:
            newest = latest.pop_newest() or newest
            final = latest.ended or (newest is not None and newest.final)
            delay: float | None = None
            if newest is None or newest == shown:
                if latest.ended:
                    latest.check()
                    return
            elif not (delay := throttle.delay(final=final)):
                throttle.record_snapshot()
                shown = newest
                yield newest
                continue
            await latest.wait(delay)
