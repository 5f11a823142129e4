"""One engine in a process of its own: `python -m model_server.workers.worker FD NAME`, started by the supervisor.

Three threads share the process. The main one loads the engine and steps it while jobs are in it; one reads commands,
which the main thread applies between two steps; one sends a sign of life. When the gateway is gone, so is the worker.
"""

from __future__ import annotations

import importlib
import logging
import os
import queue
import secrets
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, BinaryIO, cast

from model_server.engines.contract import Misconfigured
from model_server.jobs import Failed, Finished
from model_server.workers.ipc import (
    Add,
    EngineFailed,
    Heartbeat,
    IpcMessage,
    Launch,
    Loaded,
    Remove,
    StepEvents,
    pack,
    receive,
)

if TYPE_CHECKING:
    from model_server.engines.contract import Engine

log = logging.getLogger(__name__)

BEAT_SECONDS = 0.5
LOADS_WITH_LESS = "A smaller model needs less, or in the catalogue another `device`{options}."
OPTIONS_WITH_LESS = {
    "language": ", fewer `slots` or a shorter `context`",
    "diffusion": ", or `offload`, `slicing` and `tiling`",
}
WORKS_WITH_LESS = "A shorter prompt, fewer tokens or fewer pictures need less."
"""What to do when there is too little memory: for the operator, and for whoever asked."""


class WorkerProcess:
    """Runs one engine for whoever is at the other end of `link`."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._stream = cast("BinaryIO", link.makefile("rb"))
        self._sending = threading.Lock()
        self._commands: queue.SimpleQueue[IpcMessage] = queue.SimpleQueue()
        self._busy_since: float | None = None

    def run(self) -> int:
        """Load and serve until the engine raises; the exit status. Without a gateway, the process ends at once."""
        launch = receive(self._stream)
        if not isinstance(launch, Launch):
            return 0
        for target in (self._read, self._beat):
            threading.Thread(target=target, daemon=True).start()
        name = launch.spec.name
        options = OPTIONS_WITH_LESS.get(launch.spec.engine, "")
        action, needs_less = f"Loading {name}", LOADS_WITH_LESS.format(options=options)
        try:
            self._busy_since = time.monotonic()
            engine = _create(launch)
            engine.load()
            self._busy_since = None
            self._send(Loaded(engine.capacity))
            action, needs_less = f"Working with {name}", WORKS_WITH_LESS
            self._serve(engine)
        except Misconfigured as error:
            log.error("%s", error)  # noqa: TRY400 - its sentence says all
            self._send(EngineFailed(str(error), "misconfigured"))
        except Exception as error:
            mark = secrets.token_hex(4)
            log.exception("%s failed (error %s).", action, mark)
            self._send(_broken(error, action, needs_less, mark))
        return 1

    def _serve(self, engine: Engine) -> None:
        jobs: set[str] = set()
        while True:
            self._apply(engine, jobs)
            self._busy_since = time.monotonic()
            events = tuple(engine.step())
            self._busy_since = None
            jobs -= {event.job for event in events if isinstance(event, Finished | Failed)}
            if events:
                self._send(StepEvents(events))

    def _apply(self, engine: Engine, jobs: set[str]) -> None:
        """Carry out the commands that came in; wait for one when there is nothing to do."""
        while not (jobs and self._commands.empty()):
            match self._commands.get():
                case Add(job):
                    engine.add(job)
                    jobs.add(job.id)
                case Remove(job_id):
                    engine.remove(job_id)
                    jobs.discard(job_id)

    def _send(self, message: IpcMessage) -> None:
        data = pack(message)
        with self._sending:
            self._link.sendall(data)

    def _read(self) -> None:
        while (message := receive(self._stream)) is not None:
            self._commands.put(message)
        # Only this thread knows that the gateway is gone; the main one may be deep in a step.
        os._exit(0)

    def _beat(self) -> None:
        while True:
            since = self._busy_since
            try:
                self._send(Heartbeat(0.0 if since is None else time.monotonic() - since))
            except OSError:
                return
            time.sleep(BEAT_SECONDS)


def _create(launch: Launch) -> Engine:
    module, _, function = launch.factory.partition(":")
    engine: Engine = getattr(importlib.import_module(module), function)(launch.spec)
    return engine


def _broken(error: Exception, action: str, needs_less: str, mark: str) -> EngineFailed:
    if _out_of_memory(error):
        return EngineFailed(f"{action} took more memory than there is (error {mark}). {needs_less}", "out_of_memory")
    return EngineFailed(f"{action} failed (error {mark}; the server's log says more).", "engine_error")


def _out_of_memory(error: Exception) -> bool:
    # Known by name and text, because torch is not imported here: its allocators raise plain RuntimeErrors too.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


def main() -> None:
    """Run the worker on the socket whose number is the first argument."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    status = WorkerProcess(socket.socket(fileno=int(sys.argv[1]))).run()
    sys.stderr.flush()
    # An interpreter that is torn down under native threads can hang; there is nothing left to save.
    os._exit(status)


if __name__ == "__main__":
    main()
