"""Keeps one worker process alive: starts it, listens to it, kills it when it hangs, starts it again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from model_server.workers.ipc import (
    Add,
    EngineFailed,
    Heartbeat,
    Launch,
    Loaded,
    Remove,
    StepEvents,
    pack,
    receive_async,
)

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from model_server.engines.contract import EngineSpec
    from model_server.jobs import Event, Job
    from model_server.scheduling.queue import Worker

log = logging.getLogger(__name__)

FACTORY = "model_server.engines.factory:create"
LONGEST_LOG_LINE = 2000


class WorkerListener(Protocol):
    """Whom the supervisor tells what becomes of its worker and of the jobs in it."""

    def up(self, worker: Worker, capacity: int) -> None:
        """The worker takes `capacity` jobs at once from now on."""

    def happened(self, event: Event) -> None:
        """The worker says something of a job."""

    def lost(self, message: str, status: int, code: str) -> None:
        """The worker is gone and will soon be back."""

    def close(self, message: str, status: int, code: str) -> None:
        """There is no worker, and it may be long before there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """For how long what is waited for, in seconds."""

    silence: float = 60.0
    """Without a sign of life."""
    step: float = 300.0
    """One step of the engine."""
    load: float = 1800.0
    """Reading the weights."""
    first_pause: float = 0.5
    """Before the first new start after a death; doubled at each further one."""
    longest_pause: float = 30.0
    healthy: float = 60.0
    """A worker that was loaded for so long makes the pauses short again."""
    look: float = 1.0
    """Between two looks at whether it still lives."""


class WorkerHandle:
    """A living worker, as the lane sees it."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def add(self, job: Job) -> None:
        """Send it a job."""
        self._writer.write(pack(Add(job)))

    def remove(self, job_id: str) -> None:
        """Make it forget a job."""
        self._writer.write(pack(Remove(job_id)))


class Supervisor:
    """Owns the worker of one model. `state` is "ready", or a phrase that says what is being waited for."""

    def __init__(
        self, spec: EngineSpec, lane: WorkerListener, *, factory: str = FACTORY, patience: Timeouts | None = None
    ) -> None:
        self.state = "loading"
        self._spec = spec
        self._lane = lane
        self._factory = factory
        self._patience = patience or Timeouts()
        self._loaded_at: float | None = None
        self._broken: EngineFailed | None = None
        self._hung = False
        self._unheard = 0.0
        """Seconds without a sign of life, counted in looks, so that a machine that slept counts as one."""
        self._busy = 0.0

    async def run(self) -> None:
        """Keep a worker running until cancelled; then its process has ended."""
        pause = self._patience.first_pause
        try:
            while True:
                status = await self._live()
                if self._loaded_at is not None and time.monotonic() - self._loaded_at > self._patience.healthy:
                    pause = self._patience.first_pause
                self._mourn(status, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, self._patience.longest_pause)
        finally:
            self._lane.close("The server is stopping.", 503, "stopping")

    async def _live(self) -> int:
        """One life of the process: its exit status."""
        self._loaded_at, self._broken, self._hung, self._unheard, self._busy = None, None, False, 0.0, 0.0
        ours, theirs = socket.socketpair()
        try:
            child = await self._spawn(theirs)
        except OSError as error:
            log.warning("No process could be started for %s: %s.", self._spec.name, error.strerror)
            ours.close()
            return -1
        finally:
            theirs.close()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._copy_log(child))
                watch = tasks.create_task(self._watch(child))
                try:
                    await self._listen(ours)
                finally:
                    watch.cancel()
                    _kill(child)
        finally:
            await child.wait()
        return child.returncode or 0

    async def _spawn(self, link: socket.socket) -> Process:
        environment = os.environ | {
            # Spinning threads slow down everything else on the machine, and the next engine most of all.
            "OMP_WAIT_POLICY": "passive",
            "TQDM_DISABLE": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        # A session of its own keeps a Ctrl-C in the terminal for the gateway, which then ends its workers.
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "model_server.workers.worker", str(link.fileno()), self._spec.name),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=(link.fileno(),),
            start_new_session=True,
            env=environment,
        )

    async def _listen(self, link: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=link)
        try:
            writer.write(pack(Launch(self._spec, self._factory)))
            while (message := await receive_async(reader)) is not None:
                self._unheard = 0.0
                match message:
                    case Loaded(capacity):
                        self._loaded_at, self._busy, self.state = time.monotonic(), 0.0, "ready"
                        log.info("%s is ready.", self._spec.name)
                        self._lane.up(WorkerHandle(writer), capacity)
                    case Heartbeat(busy):
                        self._busy = busy
                    case StepEvents(events):
                        for event in events:
                            self._lane.happened(event)
                    case EngineFailed():
                        self._broken = message
        finally:
            writer.close()

    async def _watch(self, child: Process) -> None:
        patience = self._patience
        while True:
            await asyncio.sleep(patience.look)
            limit = patience.load if self._loaded_at is None else patience.step
            if self._unheard > patience.silence or self._busy > limit:
                log.error("The worker of %s hangs and is killed.", self._spec.name)
                self._hung = True
                _kill(child)
                return
            self._unheard += patience.look

    async def _copy_log(self, child: Process) -> None:
        assert child.stdout is not None  # noqa: S101 - it was started with a pipe
        rest = b""
        while data := await child.stdout.read(1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._log_line(line)
            rest = rest[-LONGEST_LOG_LINE:]
        self._log_line(rest)

    def _log_line(self, line: bytes) -> None:
        if text := line.rsplit(b"\r", 1)[-1].decode(errors="replace").rstrip()[:LONGEST_LOG_LINE]:
            log.info("[%s] %s", self._spec.name, text)

    def _mourn(self, status: int, pause: float) -> None:
        """Tell the lane why the worker is gone."""
        name = self._spec.name
        log.warning("The worker of %s ended with status %d; starting it again in %.1f s.", name, status, pause)
        if self._loaded_at is None:
            reason = self._broken.message if self._broken else _silent_death(name, status, hung=self._hung)
            self.state = f"failed: {reason}"
            self._lane.close(reason, 503, "model_failed")
            return
        self.state = "starting again after its process ended"
        if self._broken:
            self._lane.lost(self._broken.message, 500, self._broken.code)
        elif self._hung:
            self._lane.lost(f"{name} hung on this request and is being started again.", 500, "worker_hung")
        else:
            self._lane.lost(
                f"The process of {name} ended in the middle of this request and is being started again; please ask "
                "again.",
                503,
                "worker_died",
            )


def _silent_death(name: str, status: int, *, hung: bool) -> str:
    if hung:
        return f"Loading {name} took too long."
    if status == -signal.SIGKILL:
        return f"The process of {name} was killed while it loaded, perhaps for lack of memory."
    return f"The process of {name} ended while it loaded; the server's log says more."


def _kill(child: Process) -> None:
    """End the process and all that it started."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
