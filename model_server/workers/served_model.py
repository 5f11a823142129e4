"""One served model: its files are fetched, its worker is kept alive, and its lane takes jobs."""

from __future__ import annotations

import asyncio
import difflib
import logging
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from model_server.catalogue import StoreError
from model_server.engines.contract import EngineSpec
from model_server.errors import RETRY_AFTER_SECONDS, ApiError
from model_server.scheduling.queue import JobQueue, QueueClosed, QueueFull
from model_server.workers.supervisor import FACTORY, Supervisor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from model_server.catalogue import CatalogueEntry
    from model_server.files.cache import ModelCache
    from model_server.jobs import Job
    from model_server.scheduling.ticket import Ticket

log = logging.getLogger(__name__)

FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 30.0, 3600.0
LONGEST_NAME = 80

TASKS = {
    "language": "chat",
    "diffusion": "images",
    "face": "faces",
    "embedding": "embeddings",
    "moderation": "moderations",
}
"""What the models of each kind of engine are for, as /v1/models tells it."""


def lookup(models: Mapping[str, ServedModel], name: str) -> ServedModel:
    """The model called `name`. Raises ApiError (404), with the nearest name."""
    if name in models:
        return models[name]
    close = difflib.get_close_matches(name, models, n=1, cutoff=0.4)
    hint = f"the nearest is {close[0]}" if close else f"there is {', '.join(models) or 'none'}"
    shown = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
    raise ApiError(404, f"There is no model {shown} here; {hint}.", code="model_not_found", param="model")


class ServedModel:
    """One entry of the catalogue, served."""

    def __init__(self, entry: CatalogueEntry, store: ModelCache, *, factory: str = FACTORY) -> None:
        self.name = entry.name
        self.entry = entry
        self.task = TASKS[entry.engine]
        self.lane = JobQueue()
        self._store = store
        self._factory = factory
        self._fetching = "looking for its files"
        self._problem = ""
        """Why the files cannot be had; it may name folders, so it is not for the users."""
        self._supervisor: Supervisor | None = None

    @property
    def state(self) -> str:
        """ "ready", or a phrase for what the model is doing instead, for whoever runs the server."""
        if self._supervisor:
            return self._supervisor.state
        return f"failed: {self._problem}" if self._problem else self._fetching

    def update(self, what: str, done: int, total: int | None) -> None:
        """Note how far the store is; called from its thread."""
        self._fetching = f"{what}, {100 * done // total}%" if total else what

    def submit(self, job: Job, *, deadline_s: float | None = None) -> Ticket:
        """Queue a job. Raises ApiError: 503 while the model is not loaded, 429 when too many wait."""
        try:
            return self.lane.submit(job, deadline_s=deadline_s)
        except QueueFull as full:
            code = "user_queue_full" if full.own else "queue_full"
            raise ApiError(429, str(full), code=code, retry_after=full.retry_after) from None
        except QueueClosed:
            excuse = "its files could not be fetched" if self._problem else self.state
            raise ApiError(
                503,
                f"{self.name} is not ready yet: {excuse.rstrip('.')}.",
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
        self._supervisor = Supervisor(spec, self.lane, factory=self._factory)
        await self._supervisor.run()

    async def _fetch(self) -> Path:
        # Not the loop's own threads: a few long downloads would keep everybody else out of them.
        threads = ThreadPoolExecutor(1, thread_name_prefix=f"fetch {self.name}")
        try:
            return await self._fetch_in(threads)
        finally:
            threads.shutdown(wait=False)

    async def _fetch_in(self, threads: ThreadPoolExecutor) -> Path:
        pause = FIRST_RETRY_SECONDS
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(threads, self._store.ensure, self.entry, self)
            except StoreError as error:
                self._problem = str(error)
                log.warning("%s", error)
            except Exception:
                self._problem = f"its files could not be fetched (error {secrets.token_hex(4)}; see the server's log)"
                log.exception("%s: %s", self.name, self._problem)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY_SECONDS)
            self._problem = ""
