"""Who waits, who runs, and what each of them hears. Knows jobs, places and workers, and neither models nor HTTP.

One `JobQueue` stands before each worker. It lives in the gateway, so that waiting jobs keep their places when the
worker dies; jobs that had begun fail at once. The fair queue decides which waiting job is next.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from model_server.jobs import Event, Failed, Finished
from model_server.scheduling.cost import JobCost
from model_server.scheduling.fair_queue import FairQueue
from model_server.scheduling.throughput import ThroughputMeter
from model_server.scheduling.ticket import Queued, Ticket

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_server.jobs import Job

LIMIT = 256
"""Jobs that may wait in one lane."""
USER_LIMIT = 64
"""Jobs of one user that may wait in one lane."""
UNKNOWN_RETRY_SECONDS = 5
LONGEST_RETRY_SECONDS = 60


class QueueFull(Exception):
    """As many wait as may. `retry_after` is in whole seconds; `own`: all of them are of the user who asks."""

    def __init__(self, waiting: int, retry_after: int, *, own: bool) -> None:
        whose = f"{waiting} of your requests are" if own else f"{waiting} requests are"
        super().__init__(f"{whose} waiting already; please try again in {retry_after} seconds.")
        self.retry_after = retry_after
        self.own = own


class QueueClosed(Exception):
    """No worker takes jobs from this lane, and none is expected soon."""


class Worker(Protocol):
    """What the lane hands jobs to. Neither call may block."""

    def add(self, job: Job) -> None:
        """Take a job in; its events come to `JobQueue.happened`."""

    def remove(self, job_id: str) -> None:
        """Forget a job before anything that is added later is looked at."""


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """One job as the queue shows it. `place` is None while it runs; `age_s` counts from when it came."""

    id: str
    user: str
    place: int | None
    age_s: float


class JobQueue:
    """The jobs of one worker: at most `limit` wait, `user_limit` of each user, and as many run as the worker takes.

    It is open from the first `up` until `close`: while a dead worker is started again, jobs may go on to queue.
    """

    def __init__(
        self, *, limit: int = LIMIT, user_limit: int = USER_LIMIT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.meter = ThroughputMeter()
        self.capacity = 1
        """How many jobs the worker takes at once."""
        self._limit = limit
        self._user_limit = user_limit
        self._clock = clock
        self._line = FairQueue()
        self._worker: Worker | None = None
        self._open = False

    @property
    def open(self) -> bool:
        """Whether jobs are taken."""
        return self._open

    def submit(self, job: Job, *, deadline_s: float | None = None) -> Ticket:
        """Let a job wait its turn, which may come at once. Raises QueueFull or LaneClosed.

        A job that has not ended `deadline_s` seconds later fails with status 504.
        """
        if not self._open:
            raise QueueClosed
        if len(self._line) >= self._limit:
            raise QueueFull(len(self._line), self._retry_after(1), own=False)
        own = self._line.waiting_for(job.user)
        if len(own) >= self._user_limit:
            raise QueueFull(len(own), self._retry_after(own[0].place), own=True)
        ticket = Ticket(job, JobCost(job.task, self.meter.usual_output), self._withdraw, came=self._clock())
        self._line.add(ticket)
        if deadline_s is not None:
            ticket.expire_in(deadline_s)
        self._advance()
        return ticket

    def find(self, job_id: str) -> Ticket | None:
        """The ticket of a job that waits or runs here."""
        known = (ticket for ticket in (*self._line.running, *self._line) if ticket.job.id == job_id)
        return next(known, None)

    def sights(self) -> list[JobSnapshot]:
        """Those that run, then those that wait, in the order in which they are expected to be taken."""
        now = self._clock()
        places = [(ticket, None) for ticket in self._line.running] + [
            (ticket, place) for place, ticket in enumerate(self._line, 1)
        ]
        return [JobSnapshot(ticket.job.id, ticket.job.user, place, now - ticket.came) for ticket, place in places]

    def up(self, worker: Worker, capacity: int) -> None:
        """A worker is there that takes `capacity` jobs at once."""
        self._worker, self.capacity, self._open = worker, capacity, True
        self._advance()

    def happened(self, event: Event) -> None:
        """The worker says something of a job. Those that were cancelled meanwhile are no longer known."""
        ticket = self._line.find_running(event.job)
        if ticket is None:
            return
        before = ticket.bill.tokens
        self._line.charge(ticket, event)
        self.meter.tick(self._clock(), ticket.bill.tokens - before, busy=True)
        if not isinstance(event, Finished | Failed):
            ticket.put(event)
            return
        self._line.discard(ticket)
        ticket.seconds = self._clock() - (ticket.begun or 0.0)
        if isinstance(event, Finished):
            self.meter.finished(event, ticket.seconds)
        ticket.put(event)
        self._advance()

    def lost(self, message: str, status: int, code: str) -> None:
        """The worker is gone, and what was in it fails with this; those who wait go on waiting."""
        self._worker = None
        for ticket in self._line.running:
            self._line.discard(ticket)
            ticket.put(Failed(ticket.job.id, message, status, code))
        self.meter.tick(self._clock(), 0, busy=False)

    def close(self, message: str, status: int, code: str) -> None:
        """No worker will be there for a while: everybody is told so, and nobody may come until the next `up`."""
        self.lost(message, status, code)
        self._open = False
        for ticket in list(self._line):
            self._line.discard(ticket)
            ticket.put(Failed(ticket.job.id, message, status, code))

    def _withdraw(self, ticket: Ticket) -> None:
        if self._line.discard(ticket) and self._worker:
            self._worker.remove(ticket.job.id)
        self._advance()

    def _advance(self) -> None:
        while self._worker and self._line and len(self._line.running) < self.capacity:
            ticket = self._line.take()
            ticket.begun = self._clock()
            self._worker.add(ticket.job)
        self.meter.tick(self._clock(), 0, busy=bool(self._line.running))
        for place, ticket in enumerate(self._line, 1):
            if ticket.place != place:
                ticket.place = place
                ticket.put(Queued(place, self._eta(place)))

    def _eta(self, place: int) -> float | None:
        mean = self.meter.mean_seconds
        return None if mean is None else round(place * mean / self.capacity, 1)

    def _retry_after(self, place: int) -> int:
        """Whole seconds until whoever is at `place` has left the line."""
        eta = self._eta(place)
        return UNKNOWN_RETRY_SECONDS if eta is None else min(max(1, math.ceil(eta)), LONGEST_RETRY_SECONDS)
