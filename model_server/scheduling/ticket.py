"""One job as the request that submitted it sees it: a stream of events that can be cancelled."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from opentelemetry import trace

from model_server.jobs import Event, Failed, Finished, Preview, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_server.jobs import Job
    from model_server.scheduling.cost import JobCost

CANCELLED_STATUS = 499
"""The status that nginx and others log for a request whose client closed the connection."""


@dataclass(frozen=True, slots=True)
class Queued:
    """The job waits: `place` 1 is next; `eta_s` is the expected wait in seconds, None before any job was measured."""

    place: int
    eta_s: float | None


TicketEvent = Queued | Event
REPLACEABLE = (Queued, Progress, Preview)
"""Events that are outdated as soon as there is a newer one of their kind."""


class Ticket:
    """The events of one job, to be iterated by one reader. Leaving its `with` block cancels a job that has not ended.

    A slow reader misses outdated progress, places and previews, and nothing else.
    """

    def __init__(
        self, job: Job, cost: JobCost, withdraw: Callable[[Ticket], None], *, submitted_at: float = 0.0
    ) -> None:
        self.job = job
        self.cost = cost
        self.has_ended = False
        self.place = 0
        """The last place in the queue that was passed on to the reader."""
        self.submitted_at = submitted_at
        """Time of submission, in seconds of the queue's clock."""
        self.started_at: float | None = None
        """Time at which the worker got the job, in seconds of the same clock."""
        self.has_output = False
        """Whether the first token or step has come."""
        self.run_seconds = 0.0
        """Time that the job spent in the worker; set when it ends."""
        self.span = trace.get_current_span()
        """What a trace of the request is told of the job's way."""
        self.span.set_attribute("tempera.model", job.model)
        self._withdraw = withdraw
        self._deadline: asyncio.TimerHandle | None = None
        self._events: deque[TicketEvent] = deque()
        self._wake = asyncio.Event()
        self._end = asyncio.Event()

    @property
    def user(self) -> str:
        """Who is charged for the job."""
        return self.job.user

    @property
    def remaining_cost(self) -> float:
        """The cost that is still expected of the job."""
        return self.cost.remaining

    def put(self, event: TicketEvent) -> None:
        """Pass an event on to the reader; nothing comes after `Finished` or `Failed`."""
        if self.has_ended:
            return
        self.has_ended = isinstance(event, Finished | Failed)
        if self.has_ended and self._deadline:
            self._deadline.cancel()
        if isinstance(event, REPLACEABLE):
            self._drop_outdated(is_preview=isinstance(event, Preview))
        self._events.append(event)
        self._wake.set()
        if self.has_ended:
            self._end.set()

    def _drop_outdated(self, *, is_preview: bool) -> None:
        """Drop the last unread preview, or the last unread place or progress; there is one at most."""
        kept: list[TicketEvent] = []
        while self._events and isinstance(self._events[-1], REPLACEABLE):
            last = self._events.pop()
            if isinstance(last, Preview) != is_preview:
                kept.append(last)
        self._events.extend(reversed(kept))

    def cancel(self) -> None:
        """End the job wherever it is; the reader gets `Failed`. Does nothing after the job has ended."""
        self._fail("The request was cancelled.", CANCELLED_STATUS, "cancelled")

    def expire_in(self, seconds: float) -> None:
        """Fail the job if it has not ended after `seconds`. Needs a running event loop."""
        message = f"The answer was not complete within the {seconds:g} seconds that `deadline_s` gave it."
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(seconds, self._fail, message, 504, "deadline_exceeded")

    def _fail(self, message: str, status: int, code: str) -> None:
        if not self.has_ended:
            self._withdraw(self)
            self.put(Failed(self.job.id, message, status, code))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TicketEvent:
        if not await self._wait():
            raise StopAsyncIteration
        return self._events.popleft()

    async def read(self) -> list[TicketEvent]:
        """Wait for an event and return all that were not read; [] after the end."""
        await self._wait()
        events = list(self._events)
        self._events.clear()
        return events

    async def pause(self, seconds: float) -> None:
        """Wait for so many seconds, or until the job has ended."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._end.wait(), seconds)

    async def _wait(self) -> bool:
        """Wait for an event. Return False if none can come."""
        while not self._events and not self.has_ended:
            self._wake.clear()
            await self._wake.wait()
        return bool(self._events)
