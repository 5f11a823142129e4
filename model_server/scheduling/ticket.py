"""One job's way through the gateway, as the request that brought it sees it."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from model_server.jobs import Event, Failed, Finished, Preview, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_server.jobs import Job
    from model_server.scheduling.cost import JobCost

CANCELLED_STATUS = 499
"""What nginx and others log for a request that its client gave up."""


@dataclass(frozen=True, slots=True)
class Queued:
    """Still waiting: `place` 1 is next; `eta_s` is in how many seconds it will start, None before any was measured."""

    place: int
    eta_s: float | None


Heard = Queued | Event
PASSING = (Queued, Progress, Preview)
"""What is outdated as soon as there is newer of it."""


class Ticket:
    """Iterate it for what happens to the job; leaving its `with` block cancels what has not ended.

    For one reader. A reader that is slow misses outdated progress, places and previews, never anything else.
    """

    def __init__(self, job: Job, bill: JobCost, withdraw: Callable[[Ticket], None], *, came: float = 0.0) -> None:
        self.job = job
        self.bill = bill
        self.ended = False
        self.place = 0
        """The place in the line that the reader was last told."""
        self.came = came
        """When it was submitted, in seconds of the lane's clock."""
        self.begun: float | None = None
        """When the worker got it, in seconds of the same clock."""
        self.seconds = 0.0
        """For how long the worker had it, once it ended."""
        self._withdraw = withdraw
        self._deadline: asyncio.TimerHandle | None = None
        self._events: deque[Heard] = deque()
        self._wake = asyncio.Event()

    def put(self, event: Heard) -> None:
        """Pass something on to the reader; nothing comes after `Finished` or `Failed`."""
        if self.ended:
            return
        self.ended = isinstance(event, Finished | Failed)
        if self.ended and self._deadline:
            self._deadline.cancel()
        if isinstance(event, PASSING):
            self._drop_outdated(picture=isinstance(event, Preview))
        self._events.append(event)
        self._wake.set()

    def _drop_outdated(self, *, picture: bool) -> None:
        """Forget the unread preview, or the unread place or progress, that stands last: there is one at most."""
        kept: list[Heard] = []
        while self._events and isinstance(self._events[-1], PASSING):
            last = self._events.pop()
            if isinstance(last, Preview) != picture:
                kept.append(last)
        self._events.extend(reversed(kept))

    def cancel(self) -> None:
        """Take the job back, wherever it is; the reader hears `Failed`. Nothing happens when it has ended."""
        self._fail("The request was cancelled.", CANCELLED_STATUS, "cancelled")

    def expire_in(self, seconds: float) -> None:
        """Take the job back when it has not ended after so long. Needs a running event loop."""
        message = f"The answer was not complete within the {seconds:g} seconds that `deadline_s` gave it."
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(seconds, self._fail, message, 504, "deadline_exceeded")

    def _fail(self, message: str, status: int, code: str) -> None:
        if not self.ended:
            self._withdraw(self)
            self.put(Failed(self.job.id, message, status, code))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Heard:
        while not self._events:
            if self.ended:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._events.popleft()
