"""Queues jobs in front of a worker and passes their events on. Knows neither models nor HTTP.

Each worker has one `JobQueue`. It lives in the gateway, so that waiting jobs keep their places when the worker dies;
running jobs fail at once. The fair queue decides which waiting job is next.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from http_server.fair_queue import MAX_WAITING, MAX_WAITING_PER_USER, FairQueue
from model_server import metrics
from model_server.jobs import Event, Failed, Finished, Imagine, Progress, Text
from model_server.scheduling.cost import JobCost
from model_server.scheduling.throughput import ThroughputMeter
from model_server.scheduling.ticket import Queued, Ticket

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_server.jobs import Job

DEFAULT_RETRY_SECONDS = 5
MAX_RETRY_SECONDS = 60


class QueueFull(Exception):
    """The queue takes no more jobs, or, if `is_user_limit`, no more of this user. `retry_after` is in whole seconds."""

    def __init__(self, waiting: int, retry_after: int, *, is_user_limit: bool) -> None:
        subject = f"{waiting} of your requests are" if is_user_limit else f"{waiting} requests are"
        super().__init__(f"{subject} waiting already; please try again in {retry_after} seconds.")
        self.retry_after = retry_after
        self.is_user_limit = is_user_limit


class QueueClosed(Exception):
    """No worker takes jobs from this queue, and none is expected soon."""


class WorkerHandle(Protocol):
    """A worker as the queue sees it. Neither call may block."""

    def add(self, job: Job) -> None:
        """Start a job; its events come to `JobQueue.handle_event`."""

    def remove(self, job_id: str) -> None:
        """Drop a job before any job that is added later starts."""


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """One job as the queue shows it. `place` is None while it runs; `age_s` is the time since it was submitted."""

    id: str
    user: str
    place: int | None
    age_s: float


class JobQueue:
    """The jobs of one worker. At most `limit` jobs wait, and `user_limit` of each user; `capacity` jobs run at once.

    The queue is open from the first `attach_worker` until `close`, also while a dead worker is being restarted.
    """

    def __init__(
        self,
        *,
        limit: int = MAX_WAITING,
        user_limit: int = MAX_WAITING_PER_USER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.throughput = ThroughputMeter()
        self.capacity = 1
        """Number of jobs that the worker runs at once."""
        self._limit = limit
        self._user_limit = user_limit
        self._clock = clock
        self._fair_queue: FairQueue[Ticket] = FairQueue()
        self._worker: WorkerHandle | None = None
        self._opened = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def is_open(self) -> bool:
        """True if jobs may be submitted."""
        return self._opened.is_set()

    async def wait_until_open(self) -> None:
        """Wait until jobs may be submitted."""
        await self._opened.wait()

    async def wait_until_idle(self) -> None:
        """Wait until no job waits or runs."""
        await self._idle.wait()

    def submit(self, job: Job, *, deadline_s: float | None = None) -> Ticket:
        """Queue a job, which may start at once. Raises QueueFull or QueueClosed.

        A job that has not ended after `deadline_s` seconds fails with status 504.
        """
        if not self.is_open:
            raise QueueClosed
        if len(self._fair_queue) >= self._limit:
            raise QueueFull(len(self._fair_queue), self._retry_after(1), is_user_limit=False)
        own = self._fair_queue.waiting_for(job.user)
        if len(own) >= self._user_limit:
            raise QueueFull(len(own), self._retry_after(own[0].place), is_user_limit=True)
        ticket = Ticket(
            job, JobCost(job.task, self.throughput.expected_output_tokens), self._withdraw, submitted_at=self._clock()
        )
        self._fair_queue.add(ticket)
        if deadline_s is not None:
            ticket.expire_in(deadline_s)
        self._schedule()
        return ticket

    def find(self, job_id: str) -> Ticket | None:
        """Return the ticket of a waiting or running job, or None."""
        known = (ticket for ticket in (*self._fair_queue.running, *self._fair_queue) if ticket.job.id == job_id)
        return next(known, None)

    def snapshots(self) -> list[JobSnapshot]:
        """Return the running jobs, then the waiting ones in the order in which they are expected to start."""
        now = self._clock()
        places = [(ticket, None) for ticket in self._fair_queue.running] + [
            (ticket, place) for place, ticket in enumerate(self._fair_queue, 1)
        ]
        return [
            JobSnapshot(ticket.job.id, ticket.job.user, place, now - ticket.submitted_at) for ticket, place in places
        ]

    def attach_worker(self, worker: WorkerHandle, capacity: int) -> None:
        """Use a worker that runs `capacity` jobs at once, and open the queue."""
        self._worker, self.capacity = worker, capacity
        self._opened.set()
        self._schedule()

    def handle_event(self, event: Event) -> None:
        """Pass an event from the worker on to its job; events of jobs that were cancelled meanwhile are dropped."""
        ticket = next((one for one in self._fair_queue.running if one.job.id == event.job), None)
        if ticket is None:
            return
        before = ticket.cost.tokens
        self._measure(ticket, event)
        self._fair_queue.charge(ticket, ticket.cost.record(event))
        self.throughput.tick(self._clock(), ticket.cost.tokens - before, busy=True)
        if not isinstance(event, Finished | Failed):
            ticket.put(event)
            return
        self._fair_queue.discard(ticket)
        ticket.run_seconds = self._clock() - (ticket.started_at or 0.0)
        if isinstance(event, Finished):
            self.throughput.record_finished(event, ticket.run_seconds)
        ticket.put(event)
        self._schedule()

    def _measure(self, ticket: Ticket, event: Event) -> None:
        model, task = ticket.job.model, ticket.job.task
        is_step = isinstance(event, Progress) and isinstance(task, Imagine)
        if not ticket.has_output and (is_step or isinstance(event, Text)):
            ticket.has_output = True
            ticket.span.add_event("first output")
            metrics.FIRST_OUTPUT.labels(model).observe(self._clock() - ticket.submitted_at)
        if is_step:
            metrics.STEPS.labels(model).inc()
        if isinstance(event, Finished):
            metrics.RUN.labels(model).observe(self._clock() - (ticket.started_at or 0.0))
            metrics.PROMPT_TOKENS.labels(model).inc(event.prompt_tokens)
            metrics.CACHED_TOKENS.labels(model).inc(event.cached_tokens)
            metrics.TOKENS.labels(model).inc(event.completion_tokens)

    def detach_worker(self, message: str, status: int, code: str) -> None:
        """Forget the worker that ended. Its running jobs fail with this error; waiting jobs go on waiting."""
        self._worker = None
        for ticket in self._fair_queue.running:
            self._fair_queue.discard(ticket)
            ticket.put(Failed(ticket.job.id, message, status, code))
        self.throughput.tick(self._clock(), 0, busy=False)
        self._note_idleness()

    def close(self, message: str, status: int, code: str) -> None:
        """Fail all jobs with this error and take none until the next `attach_worker`."""
        self.detach_worker(message, status, code)
        self._opened.clear()
        for ticket in list(self._fair_queue):
            self._fair_queue.discard(ticket)
            ticket.put(Failed(ticket.job.id, message, status, code))
        self._note_idleness()

    def _withdraw(self, ticket: Ticket) -> None:
        if self._fair_queue.discard(ticket) and self._worker:
            self._worker.remove(ticket.job.id)
        self._schedule()

    def _schedule(self) -> None:
        while self._worker and self._fair_queue and len(self._fair_queue.running) < self.capacity:
            ticket = self._fair_queue.pop()
            ticket.started_at = self._clock()
            ticket.span.add_event("started")
            self._worker.add(ticket.job)
        self.throughput.tick(self._clock(), 0, busy=bool(self._fair_queue.running))
        for place, ticket in enumerate(self._fair_queue, 1):
            if ticket.place != place:
                ticket.place = place
                ticket.put(Queued(place, self._estimate_wait(place)))
        self._note_idleness()

    def _note_idleness(self) -> None:
        if self._fair_queue.running or self._fair_queue:
            self._idle.clear()
        else:
            self._idle.set()

    def _estimate_wait(self, place: int) -> float | None:
        mean = self.throughput.mean_seconds
        return None if mean is None else round(place * mean / self.capacity, 1)

    def _retry_after(self, place: int) -> int:
        """Return the whole seconds after which the job at `place` has probably left the queue."""
        eta = self._estimate_wait(place)
        return DEFAULT_RETRY_SECONDS if eta is None else min(max(1, math.ceil(eta)), MAX_RETRY_SECONDS)
