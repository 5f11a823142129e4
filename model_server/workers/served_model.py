"""A model that the gateway serves: fetches its files, keeps its worker alive and queues its jobs."""

from __future__ import annotations

import asyncio
import logging
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TYPE_CHECKING

from model_server.engines.contract import EngineSpec
from model_server.errors import RETRY_AFTER_SECONDS, ApiError, OperatorError
from model_server.scheduling.queue import JobQueue, QueueClosed, QueueFull
from model_server.workers.supervisor import FACTORY, Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from model_server.catalogue import CatalogueEntry
    from model_server.files.cache import ModelCache
    from model_server.files.download import FetchListener
    from model_server.jobs import Job
    from model_server.scheduling.ticket import Ticket
    from model_server.workers.cluster import ClusterWorker

    ShowProgress = Callable[[], AbstractContextManager[FetchListener | None]]

log = logging.getLogger(__name__)

FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 30.0, 3600.0

TASK_OF_ENGINE = {
    "language": "chat",
    "diffusion": "images",
    "face": "faces",
    "duel": "faces",
    "embedding": "embeddings",
    "moderation": "moderations",
}
"""The task of the models of each kind of engine, as /v1/models names it."""


class ServedModel:
    """One entry of the catalogue with its queue and its worker."""

    def __init__(
        self,
        entry: CatalogueEntry,
        model_cache: ModelCache,
        *,
        factory: str = FACTORY,
        show_progress: ShowProgress = nullcontext,
        cluster: bool = False,
    ) -> None:
        """`show_progress` makes what is told of the progress of fetching, in the thread that fetches.

        In a `cluster`, which has been started, Ray Serve runs replicas of the model.
        """
        self.name = entry.name
        self.entry = entry
        self.task = TASK_OF_ENGINE[entry.engine]
        self.queue = JobQueue()
        self._model_cache = model_cache
        self._show_progress = show_progress
        self._progress: FetchListener | None = None
        self._factory = factory
        self._cluster = cluster
        self._fetch_status = "looking for its files"
        self._problem = ""
        """The reason why the files cannot be fetched. It may name folders, so users never see it."""
        self._worker: Supervisor | ClusterWorker | None = None

    @property
    def state(self) -> str:
        """ "ready", or a phrase that tells the operator what the model is doing instead."""
        if self._worker:
            return self._worker.state
        return f"failed: {self._problem}" if self._problem else self._fetch_status

    @property
    def memory_bytes(self) -> int:
        """The resident memory of its processes; 0 while there are none."""
        return self._worker.memory_bytes if self._worker else 0

    @property
    def defaults(self) -> Mapping[str, float]:
        """The numbers that it takes for what a request leaves open, by field; {} until it was loaded once."""
        return self._worker.defaults if self._worker else {}

    @property
    def context(self) -> int:
        """The tokens that it reads and writes together; 0 until it was loaded once, or if it has no such limit."""
        return self._worker.context if self._worker else 0

    @property
    def public_state(self) -> str:
        """The same for users, who must not see what names folders."""
        return "its files could not be fetched" if self._problem else self.state

    def update(self, what: str, done: int, total: int | None) -> None:
        """Note the progress of fetching (see `FetchListener`). Called from the thread that fetches."""
        self._fetch_status = f"{what}, {100 * done // total}%" if total else what
        if self._progress is not None:
            self._progress.update(what, done, total)

    def submit(self, job: Job, *, deadline_s: float | None = None) -> Ticket:
        """Queue a job. Raises ApiError: 503 while the model is not loaded, 429 if too many jobs wait."""
        try:
            return self.queue.submit(job, deadline_s=deadline_s)
        except QueueFull as full:
            code = "user_queue_full" if full.is_user_limit else "queue_full"
            raise ApiError(429, str(full), code=code, retry_after=full.retry_after) from None
        except QueueClosed:
            raise ApiError(
                503,
                f"{self.name} is not ready yet: {self.public_state.rstrip('.')}.",
                code="model_not_ready",
                retry_after=RETRY_AFTER_SECONDS,
            ) from None

    async def run(self) -> None:
        """Fetch, load and serve until cancelled."""
        folder = await self._fetch()
        entry = self.entry
        spec = EngineSpec(
            name=entry.name,
            engine=entry.engine,
            folder=folder,
            device=entry.device,
            dtype=entry.dtype,
            options=dict(entry.options),
        )
        self._worker = self._make_worker(spec)
        await self._worker.run()

    def _make_worker(self, spec: EngineSpec) -> Supervisor | ClusterWorker:
        if not self._cluster:
            return Supervisor(spec, self.queue, factory=self._factory)
        # Ray is an extra, and takes a second to import.
        from model_server.workers.cluster import ClusterWorker

        replicas, gpus = self.entry.replicas, self.entry.gpus
        return ClusterWorker(spec, self.queue, factory=self._factory, replicas=replicas, gpus=gpus)

    async def _fetch(self) -> Path:
        # A thread of its own, because a few long downloads would fill the loop's shared pool.
        threads = ThreadPoolExecutor(1, thread_name_prefix=f"fetch {self.name}")
        try:
            return await self._fetch_in(threads)
        finally:
            threads.shutdown(wait=False)

    def _ensure(self) -> Path:
        with self._show_progress() as self._progress:
            return self._model_cache.ensure(self.entry, self)

    async def _fetch_in(self, threads: ThreadPoolExecutor) -> Path:
        pause = FIRST_RETRY_SECONDS
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(threads, self._ensure)
            except OperatorError as error:
                self._problem = str(error)
                log.warning("%s", error)
            except Exception:
                self._problem = f"its files could not be fetched (error {secrets.token_hex(4)}; see the server's log)"
                log.exception("%s: %s", self.name, self._problem)
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_RETRY_SECONDS)
            self._problem = ""
