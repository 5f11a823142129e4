"""Keeps one worker process alive: starts it, reads its messages, kills it if it hangs, restarts it after it ended."""

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
from typing import TYPE_CHECKING

import psutil

from model_server.files.limits import read_processor_quota
from model_server.workers.ipc import (
    AddJob,
    EngineFailed,
    Heartbeat,
    Launch,
    Loaded,
    RemoveJob,
    StepEvents,
    pack,
    receive_async,
)

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Mapping

    from model_server.engines.contract import EngineSpec
    from model_server.jobs import Job
    from model_server.scheduling.queue import JobQueue

log = logging.getLogger(__name__)

FACTORY = "model_server.engines.factory:create"
MAX_LOG_LINE_LENGTH = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """The supervisor's limits and pauses, in seconds."""

    silence: float = 60.0
    """Time without a heartbeat after which the worker is killed."""
    step: float = 300.0
    """Limit of one step of the engine."""
    load: float = 1800.0
    """Limit of loading the weights."""
    first_pause: float = 0.5
    """Pause before the first restart; doubled at each further one, up to `max_pause`."""
    max_pause: float = 30.0
    healthy_after: float = 60.0
    """Time for which a worker must have been loaded to reset the pause."""
    death: float = 10.0
    """Time in which a killed worker should be gone. One that waits for a broken disk or driver cannot be ended."""
    poll_interval: float = 1.0
    """Time between two checks of the worker."""


class WorkerConnection:
    """Sends jobs to a running worker over its socket."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def add(self, job: Job) -> None:
        """Start a job in the worker."""
        self._writer.write(pack(AddJob(job)))

    def remove(self, job_id: str) -> None:
        """Drop a job from the worker."""
        self._writer.write(pack(RemoveJob(job_id)))


class Supervisor:
    """Owns the worker process of one model. `state` is "ready", or a phrase that says what it is waiting for."""

    def __init__(
        self, spec: EngineSpec, queue: JobQueue, *, factory: str = FACTORY, timeouts: Timeouts | None = None
    ) -> None:
        self.state = "loading"
        self.defaults: Mapping[str, float] = {}
        self.context = 0
        self._pid: int | None = None
        self._spec = spec
        self._queue = queue
        self._factory = factory
        self._timeouts = timeouts or Timeouts()
        self._loaded_at: float | None = None
        self._engine_failure: EngineFailed | None = None
        self._has_hung = False
        self._silent_seconds = 0.0
        """Seconds without a heartbeat. Counted in polls, so that a machine that slept adds one interval only."""
        self._busy_seconds = 0.0

    @property
    def memory_bytes(self) -> int:
        """The resident memory of the worker's process; 0 while there is none."""
        try:
            return int(psutil.Process(self._pid).memory_info().rss) if self._pid is not None else 0
        except psutil.Error:
            return 0

    async def run(self) -> None:
        """Keep a worker running until cancelled. Its process has ended when this returns."""
        pause = self._timeouts.first_pause
        try:
            while True:
                status = await self._run_process()
                if self._loaded_at is not None and time.monotonic() - self._loaded_at > self._timeouts.healthy_after:
                    pause = self._timeouts.first_pause
                self._report_exit(status, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, self._timeouts.max_pause)
        finally:
            self._queue.close("The server is stopping.", 503, "stopping")

    async def _run_process(self) -> int:
        """Start the process, serve it until it ends, and return its exit status."""
        self._loaded_at, self._engine_failure, self._has_hung = None, None, False
        self._silent_seconds = self._busy_seconds = 0.0
        our_end, worker_end = socket.socketpair()
        try:
            child = await self._spawn(worker_end)
        except OSError as error:
            log.warning("No process could be started for %s: %s.", self._spec.name, error.strerror)
            our_end.close()
            return -1
        finally:
            worker_end.close()
        self._pid = child.pid
        try:
            async with asyncio.TaskGroup() as tasks:
                log_copy = tasks.create_task(self._copy_log(child))
                watch = tasks.create_task(self._watch_liveness(child, our_end))
                try:
                    await self._receive_messages(our_end)
                finally:
                    watch.cancel()
                    _kill_group(child)
                    # Its output stays open while it is there.
                    asyncio.get_running_loop().call_later(self._timeouts.death, log_copy.cancel)
        finally:
            await self._wait_for_end(child)
            self._pid = None
        return child.returncode or 0

    async def _wait_for_end(self, child: Process) -> None:
        try:
            async with asyncio.timeout(self._timeouts.death):
                await child.wait()
        except TimeoutError:
            sentence = "Process %d of %s was killed, but does not end; it may wait for a disk or a driver, and is left."
            log.error(sentence, child.pid, self._spec.name)  # noqa: TRY400 - a traceback says no more

    async def _spawn(self, link: socket.socket) -> Process:
        # In a session of its own, the worker gets no Ctrl-C from the terminal; the gateway ends it.
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "model_server.workers.worker", str(link.fileno()), self._spec.name),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=(link.fileno(),),
            start_new_session=True,
            env=engine_environment(),
        )

    async def _receive_messages(self, link: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=link)
        try:
            writer.write(pack(Launch(self._spec, self._factory)))
            while (message := await receive_async(reader)) is not None:
                self._silent_seconds = 0.0
                match message:
                    case Loaded(capacity, defaults, context):
                        self.defaults, self.context = defaults, context
                        self._loaded_at, self._busy_seconds, self.state = time.monotonic(), 0.0, "ready"
                        log.info("%s is ready.", self._spec.name)
                        self._queue.attach_worker(WorkerConnection(writer), capacity)
                    case Heartbeat(busy_seconds):
                        self._busy_seconds = busy_seconds
                    case StepEvents(events):
                        for event in events:
                            self._queue.handle_event(event)
                    case EngineFailed():
                        self._engine_failure = message
        finally:
            writer.close()

    async def _watch_liveness(self, child: Process, link: socket.socket) -> None:
        timeouts = self._timeouts
        while True:
            await asyncio.sleep(timeouts.poll_interval)
            limit = timeouts.load if self._loaded_at is None else timeouts.step
            if self._silent_seconds > timeouts.silence or self._busy_seconds > limit:
                log.error("The worker of %s hangs and is being killed.", self._spec.name)
                self._has_hung = True
                _kill_group(child)
                await asyncio.sleep(timeouts.death)
                # It is still there. Its jobs end, since nothing is received from it any more.
                link.shutdown(socket.SHUT_RDWR)
                return
            self._silent_seconds += timeouts.poll_interval

    async def _copy_log(self, child: Process) -> None:
        assert child.stdout is not None  # noqa: S101 - it was started with a pipe
        rest = b""
        while data := await child.stdout.read(1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._log_line(line)
            rest = rest[-MAX_LOG_LINE_LENGTH:]
        self._log_line(rest)

    def _log_line(self, line: bytes) -> None:
        if text := line.rsplit(b"\r", 1)[-1].decode(errors="replace").rstrip()[:MAX_LOG_LINE_LENGTH]:
            log.info("[%s] %s", self._spec.name, text)

    def _report_exit(self, status: int, pause: float) -> None:
        """Log that the worker ended and tell the queue why."""
        name = self._spec.name
        log.warning("The worker of %s ended with status %d; starting it again in %.1f s.", name, status, pause)
        if self._loaded_at is None:
            reason = (
                self._engine_failure.message
                if self._engine_failure
                else _explain_failed_load(name, status, hung=self._has_hung)
            )
            self.state = f"failed: {reason}"
            self._queue.close(reason, 503, "model_failed")
            return
        self.state = "starting again after its process ended"
        if self._engine_failure:
            self._queue.detach_worker(self._engine_failure.message, 500, self._engine_failure.code)
        elif self._has_hung:
            self._queue.detach_worker(f"{name} hung on this request and is being started again.", 500, "worker_hung")
        else:
            self._queue.detach_worker(*tell_end(name))


def tell_end(name: str) -> tuple[str, int, str]:
    """Return the error, with its status and its code, for jobs whose process ended."""
    message = f"The process of {name} ended in the middle of this request and is being started again; please ask again."
    return message, 503, "worker_died"


def engine_environment() -> dict[str, str]:
    """Return the environment of an engine's process."""
    chosen = {name: value for name, value in os.environ.items() if value or name != "OMP_NUM_THREADS"}
    # Without a number there (see workers/cluster.py), the engine computes with all cores. Where it gets the time of
    # fewer, as in a container with a limit, its threads would mostly wait for each other.
    quota = read_processor_quota()
    if "OMP_NUM_THREADS" not in chosen and quota is not None and quota < (os.cpu_count() or 1):
        chosen["OMP_NUM_THREADS"] = str(max(1, int(quota)))
    return chosen | {
        # Threads that spin while they wait would slow down the other workers.
        "OMP_WAIT_POLICY": "passive",
        "TQDM_DISABLE": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }


def _explain_failed_load(name: str, status: int, *, hung: bool) -> str:
    if hung:
        return f"Loading {name} took too long."
    if status == -signal.SIGKILL:
        return f"The process of {name} was killed while it loaded, perhaps for lack of memory."
    return f"The process of {name} ended while it loaded; the server's log says more."


def _kill_group(child: Process) -> None:
    """Kill the process and all processes that it started."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
