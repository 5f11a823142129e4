"""Who waits, who runs, and what each of them hears. Knows jobs, places and workers, and neither models nor HTTP.

One `Lane` stands before each worker. It lives in the gateway, so that those who wait keep their places when the worker
dies; those whose work had begun hear of it at once. Not known here: fairness between users, and deadlines.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from model_server.job import Event, Failed, Finished, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from model_server.job import Job

LIMIT = 64
"""Jobs that may wait in one lane."""
SMOOTHING = 0.2
"""Weight of the newest job in the running mean of how long one takes."""
UNKNOWN_RETRY_SECONDS = 5
LONGEST_RETRY_SECONDS = 60
CANCELLED_STATUS = 499
"""What nginx and others log for a request that its client gave up."""


@dataclass(frozen=True, slots=True)
class Queued:
    """Still waiting: `place` 1 is next; `eta_s` is in how many seconds it will start, None before any was measured."""

    place: int
    eta_s: float | None


Heard = Queued | Event


class QueueFull(Exception):
    """As many wait as may. `retry_after` is in whole seconds."""

    def __init__(self, waiting: int, retry_after: int) -> None:
        super().__init__(f"{waiting} requests are waiting already; please try again in {retry_after} seconds.")
        self.retry_after = retry_after


class LaneClosed(Exception):
    """No worker takes jobs from this lane, and none is expected soon."""


class Worker(Protocol):
    """What the lane hands jobs to. Neither call may block."""

    def add(self, job: Job) -> None:
        """Take a job in; its events come to `Lane.happened`."""

    def remove(self, job_id: str) -> None:
        """Forget a job before anything that is added later is looked at."""


class Ticket:
    """One job's way through a lane: iterate it for what happens; leaving its `with` block cancels what has not ended.

    For one reader. A reader that is slow misses outdated progress and places, never anything else.
    """

    def __init__(self, job: Job, withdraw: Callable[[Ticket], None]) -> None:
        self.job = job
        self.ended = False
        self.place = 0
        """The place in the line that the reader was last told."""
        self.begun: float | None = None
        """When the worker got it, in seconds of the lane's clock."""
        self.seconds = 0.0
        """For how long the worker had it, once it ended."""
        self._withdraw = withdraw
        self._events: deque[Heard] = deque()
        self._wake = asyncio.Event()

    def put(self, event: Heard) -> None:
        """Pass something on to the reader; nothing comes after `Finished` or `Failed`."""
        if self.ended:
            return
        self.ended = isinstance(event, Finished | Failed)
        if isinstance(event, Queued | Progress) and self._events and isinstance(self._events[-1], Queued | Progress):
            self._events.pop()
        self._events.append(event)
        self._wake.set()

    def cancel(self) -> None:
        """Take the job back, wherever it is; the reader hears `Failed`. Nothing happens when it has ended."""
        if not self.ended:
            self._withdraw(self)
            self.put(Failed(self.job.id, "The request was cancelled.", CANCELLED_STATUS, "cancelled"))

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


class Line:
    """The tickets that wait. Which of them is next is decided here alone: whoever came first."""

    def __init__(self) -> None:
        self._tickets: dict[str, Ticket] = {}

    def add(self, ticket: Ticket) -> None:
        """Let it wait."""
        self._tickets[ticket.job.id] = ticket

    def take(self) -> Ticket:
        """The next one, which waits no longer."""
        return self._tickets.pop(next(iter(self._tickets)))

    def discard(self, ticket: Ticket) -> None:
        """Let it wait no longer."""
        self._tickets.pop(ticket.job.id, None)

    def __iter__(self) -> Iterator[Ticket]:
        """In the order in which they will be taken."""
        return iter(self._tickets.values())

    def __len__(self) -> int:
        return len(self._tickets)


class Lane:
    """The jobs of one worker: at most `limit` wait, and as many run as the worker takes.

    It is open from the first `up` until `close`: while a dead worker is started again, jobs may go on to queue.
    """

    def __init__(self, *, limit: int = LIMIT, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._line = Line()
        self._running: dict[str, Ticket] = {}
        self._worker: Worker | None = None
        self._capacity = 1
        self._open = False
        self._mean_seconds: float | None = None

    @property
    def open(self) -> bool:
        """Whether jobs are taken."""
        return self._open

    def submit(self, job: Job) -> Ticket:
        """Let a job wait its turn, which may come at once. Raises QueueFull or LaneClosed."""
        if not self._open:
            raise LaneClosed
        if len(self._line) >= self._limit:
            raise QueueFull(len(self._line), self._retry_after())
        ticket = Ticket(job, self._withdraw)
        self._line.add(ticket)
        self._advance()
        return ticket

    def find(self, job_id: str) -> Ticket | None:
        """The ticket of a job that waits or runs here."""
        waiting = (ticket for ticket in self._line if ticket.job.id == job_id)
        return self._running.get(job_id) or next(waiting, None)

    def up(self, worker: Worker, capacity: int) -> None:
        """A worker is there that takes `capacity` jobs at once."""
        self._worker, self._capacity, self._open = worker, capacity, True
        self._advance()

    def happened(self, event: Event) -> None:
        """The worker says something of a job. Those that were cancelled meanwhile are no longer known."""
        ticket = self._running.get(event.job)
        if ticket is None:
            return
        if isinstance(event, Finished | Failed):
            del self._running[event.job]
            self._measure(ticket, finished=isinstance(event, Finished))
        ticket.put(event)
        if ticket.ended:
            self._advance()

    def lost(self, message: str, status: int, code: str) -> None:
        """The worker is gone, and what was in it fails with this; those who wait go on waiting."""
        self._worker = None
        running, self._running = self._running, {}
        for ticket in running.values():
            ticket.put(Failed(ticket.job.id, message, status, code))

    def close(self, message: str, status: int, code: str) -> None:
        """No worker will be there for a while: everybody is told so, and nobody may come until the next `up`."""
        self.lost(message, status, code)
        self._open = False
        while self._line:
            ticket = self._line.take()
            ticket.put(Failed(ticket.job.id, message, status, code))

    def _withdraw(self, ticket: Ticket) -> None:
        self._line.discard(ticket)
        if self._running.pop(ticket.job.id, None) and self._worker:
            self._worker.remove(ticket.job.id)
        self._advance()

    def _advance(self) -> None:
        while self._worker and self._line and len(self._running) < self._capacity:
            ticket = self._line.take()
            ticket.begun = self._clock()
            self._running[ticket.job.id] = ticket
            self._worker.add(ticket.job)
        for place, ticket in enumerate(self._line, 1):
            if ticket.place != place:
                ticket.place = place
                ticket.put(Queued(place, self._eta(place)))

    def _measure(self, ticket: Ticket, *, finished: bool) -> None:
        ticket.seconds = self._clock() - (ticket.begun or 0.0)
        if finished:
            mean = ticket.seconds if self._mean_seconds is None else self._mean_seconds
            self._mean_seconds = mean + SMOOTHING * (ticket.seconds - mean)

    def _eta(self, place: int) -> float | None:
        return None if self._mean_seconds is None else round(place * self._mean_seconds / self._capacity, 1)

    def _retry_after(self) -> int:
        eta = self._eta(1)
        return UNKNOWN_RETRY_SECONDS if eta is None else min(max(1, math.ceil(eta)), LONGEST_RETRY_SECONDS)
