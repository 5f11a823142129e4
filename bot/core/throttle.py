"""How often a growing reply is shown: the newest snapshot at the pace that a platform allows, and always the last."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from bot.core.messages import Reply

MINUTE = 60.0


class RateBudget:
    """One allowance of requests that many streams share: `per_minute` (at least 2) in any sixty seconds.

    A quarter is kept for final snapshots. The others spend the first half of theirs freely and the rest evenly
    over what is left of the minute, so that no stream stands still for long. `clock` gives seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        if per_minute < 2:
            raise ValueError(f"A budget has at least 2 requests a minute; this one has {per_minute}.")
        self._most = per_minute
        self._unreserved = per_minute - math.ceil(per_minute / 4)
        self._clock = clock
        self._spent: deque[float] = deque()
        self._blocked_until = -math.inf

    def delay(self, *, final: bool) -> float:
        """Seconds until a snapshot may be sent; 0 for at once."""
        now = self._clock()
        while self._spent and self._spent[0] <= now - MINUTE:
            self._spent.popleft()
        return max(0.0, self._blocked_until - now, self._next(final) - now)

    def spend(self) -> None:
        """Count one request."""
        self._spent.append(self._clock())

    def block_for(self, seconds: float) -> None:
        """Let nothing pass for `seconds`, final or not, as a Retry-After asks."""
        self._blocked_until = max(self._blocked_until, self._clock() + seconds)

    def _next(self, final: bool) -> float:
        allowed = self._most if final else self._unreserved
        spent = len(self._spent)
        if spent >= allowed:
            return self._spent[spent - allowed] + MINUTE
        if final or 2 * spent < allowed:
            return -math.inf
        latest = self._spent[-1]
        return latest + (self._spent[0] + MINUTE - latest) / (allowed - spent + 1)


class Throttle:
    """When the next snapshot of one message may go out: one every `interval` seconds, within the shared `budget`.

    The final one does not wait for the interval. Times are the running loop's.
    """

    def __init__(self, interval: float, budget: RateBudget | None = None) -> None:
        self._interval = interval
        self._budget = budget
        self._next = -math.inf

    def delay(self, *, final: bool) -> float:
        """Seconds until a snapshot may be sent; 0 for at once."""
        due = 0.0 if final else self._next - _now()
        budget = self._budget.delay(final=final) if self._budget else 0.0
        return max(0.0, due, budget)

    def sent(self) -> None:
        """Count one snapshot."""
        self._next = _now() + self._interval
        if self._budget:
            self._budget.spend()


def _now() -> float:
    return asyncio.get_running_loop().time()


class _Newest:
    """The newest snapshot of a source that is read as fast as it gives, and closed where it is read."""

    def __init__(self) -> None:
        self.reply: Reply | None = None
        self.ended = False
        self.changed = asyncio.Event()

    async def read(self, replies: AsyncGenerator[Reply, None]) -> None:
        try:
            async with aclosing(replies):
                async for self.reply in replies:
                    self.changed.set()
                    # A source that never waits itself would not let anybody else run.
                    await asyncio.sleep(0)
        finally:
            self.ended = True
            self.changed.set()


async def throttled(replies: AsyncGenerator[Reply, None], pacer: Throttle) -> AsyncGenerator[Reply, None]:
    """The newest of `replies` whenever `pacer` lets one pass; those that came in between are left out.

    The source never waits for the consumer, its last snapshot is always given, no snapshot twice in a row, and
    what the source raises is raised after it. Closing this (use `aclosing`) stops and closes the source.
    """
    newest = _Newest()
    reader = asyncio.create_task(newest.read(replies))
    shown: Reply | None = None
    try:
        while True:
            current, final = newest.reply, newest.ended or (newest.reply is not None and newest.reply.final)
            if current is None or current == shown:
                if newest.ended:
                    break
                delay = None
            elif not (delay := pacer.delay(final=final)):
                pacer.sent()
                shown = current
                yield current
                continue
            newest.changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await newest.changed.wait()
        await reader
    finally:
        await _stop(reader)


async def _stop(reader: asyncio.Task[None]) -> None:
    """End the task and raise what its end raised, if anything but the cancellation."""
    reader.cancel()
    await asyncio.wait({reader})
    if not reader.cancelled():
        reader.result()


async def once(reply: Reply) -> AsyncGenerator[Reply, None]:
    """All the replies of what is told in one."""
    yield reply
