"""One replica of a model in a cluster: an engine's process with a queue before it, called by the gateway."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from model_server.jobs import Failed
from model_server.scheduling.queue import JobQueue
from model_server.scheduling.ticket import Queued
from model_server.workers.ipc import Loaded
from model_server.workers.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from model_server.engines.contract import EngineSpec
    from model_server.jobs import Event, Job

MESSAGE_SECONDS = 0.04
"""Time between two messages of all jobs together: one costs much more than an event, so that busy replicas send several
events of a job at once."""
CHECK_SECONDS = 0.1
RELOAD_SECONDS = 10.0
"""Time for which a job waits while the engine cannot be loaded again. Ray Serve needs less to take the replica away; if
its jobs failed at once, it would be the least busy one until then, and get the jobs that others could do."""


class LoadFailed(Exception):
    """The engine could not be loaded. `str()` of it is a sentence for the operator."""


class Replica:
    """Runs one engine in a process of its own. Ray Serve creates it, watches it and replaces it.

    More jobs than the engine has slots wait here, which happens while a cancellation overtakes the job after it.
    """

    async def __init__(self, spec: EngineSpec, factory: str) -> None:  # type: ignore[misc] # Ray Serve awaits it
        """Load the engine. Raises LoadFailed."""
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
        self._queue = JobQueue()
        self._supervisor = Supervisor(spec, self._queue, factory=factory)
        self._running = asyncio.create_task(self._supervisor.run())
        self._jobs_of_model = 0
        while not self._queue.is_open:
            await asyncio.sleep(CHECK_SECONDS)
            if reason := self._failure:
                await self.stop()
                raise LoadFailed(reason)

    @property
    def _failure(self) -> str:
        """Why the engine could not be loaded when that was tried last, or ""."""
        state, _, reason = self._supervisor.state.partition(": ")
        return reason if state == "failed" else ""

    def describe(self) -> Loaded:
        """Return what the engine told when it was loaded."""
        return Loaded(self._queue.capacity, self._supervisor.defaults, self._supervisor.context)

    async def run(self, job: Job) -> AsyncIterator[tuple[Event, ...]]:
        """Do a job and iterate over its events; closing the iterator cancels it."""
        try:
            async with asyncio.timeout(RELOAD_SECONDS):
                await self._queue.wait_until_open()
        except TimeoutError:
            yield (Failed(job.id, self._failure, 503, "model_failed"),)
            return
        with self._queue.submit(job) as ticket:
            while events := await ticket.read():
                yield tuple(event for event in events if not isinstance(event, Queued))
                await ticket.pause(MESSAGE_SECONDS * len(self._queue.snapshots()))

    def note_demand(self, jobs: int) -> int:
        """Note how many jobs of the model wait and run in the gateway, where alone all of them are known.

        Returns the bytes of memory that the engine's process takes.
        """
        self._jobs_of_model = jobs
        return self._supervisor.memory_bytes

    def check_health(self) -> None:
        """Raise LoadFailed while the engine cannot be loaded again; Ray Serve asks, and then replaces the replica."""
        if reason := self._failure:
            raise LoadFailed(reason)

    def record_autoscaling_stats(self) -> dict[str, float]:
        """Return what decides how many replicas there should be; Ray Serve asks for it."""
        return {"jobs": self._jobs_of_model, "slots": self._queue.capacity}

    async def stop(self) -> None:
        """End the process of the engine, which otherwise ends with this process."""
        self._running.cancel()
        await asyncio.wait([self._running])
