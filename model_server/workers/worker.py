"""Runs one engine in a process of its own: `python -m model_server.workers.worker FD NAME`.

The supervisor starts it. It has three threads: the main thread loads the engine and steps it while it has jobs; the
second reads commands, which the main thread applies between two steps; the third sends heartbeats. The process ends
when the gateway is gone.
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
    AddJob,
    EngineFailed,
    Heartbeat,
    IpcMessage,
    Launch,
    Loaded,
    RemoveJob,
    StepEvents,
    pack,
    receive,
)

if TYPE_CHECKING:
    from model_server.engines.contract import Engine

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 0.5
LOAD_HINT = "A smaller model needs less, or in the catalogue another `device`{options}."
OPTION_HINTS = {
    "language": ", fewer `slots` or a shorter `context`",
    "diffusion": ", or `offload`, `slicing` and `tiling`",
}
WORK_HINT = "A shorter prompt, fewer tokens or fewer pictures need less."
"""Advice when memory is short: LOAD_HINT is for the operator, WORK_HINT for the user."""


class WorkerProcess:
    """Runs one engine for the gateway at the other end of `link`."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._stream = cast("BinaryIO", link.makefile("rb"))
        self._send_lock = threading.Lock()
        self._commands: queue.SimpleQueue[IpcMessage] = queue.SimpleQueue()
        self._busy_since: float | None = None

    def run(self) -> int:
        """Load the engine and serve until it raises; return the exit status.

        The process ends at once when the gateway is gone.
        """
        launch = receive(self._stream)
        if not isinstance(launch, Launch):
            return 0
        for target in (self._read_commands, self._send_heartbeats):
            threading.Thread(target=target, daemon=True).start()
        name = launch.spec.name
        options = OPTION_HINTS.get(launch.spec.engine, "")
        action, hint = f"Loading {name}", LOAD_HINT.format(options=options)
        try:
            self._busy_since = time.monotonic()
            engine = _create(launch)
            engine.load()
            self._busy_since = None
            self._send(Loaded(engine.capacity, getattr(engine, "defaults", {}), getattr(engine, "context", 0)))
            action, hint = f"Working with {name}", WORK_HINT
            self._serve(engine)
        except Misconfigured as error:
            log.error("%s", error)  # noqa: TRY400 - the sentence explains it without a traceback
            self._send(EngineFailed(str(error), "misconfigured"))
        except Exception as error:
            error_id = secrets.token_hex(4)
            log.exception("%s failed (error %s).", action, error_id)
            self._send(_describe_failure(error, action, hint, error_id))
        return 1

    def _serve(self, engine: Engine) -> None:
        jobs: set[str] = set()
        while True:
            self._apply_commands(engine, jobs)
            self._busy_since = time.monotonic()
            events = tuple(engine.step())
            self._busy_since = None
            jobs -= {event.job for event in events if isinstance(event, Finished | Failed)}
            if events:
                self._send(StepEvents(events))

    def _apply_commands(self, engine: Engine, jobs: set[str]) -> None:
        """Apply the commands that came in; wait for one if there is nothing to do."""
        while not ((jobs or getattr(engine, "has_spare_work", False)) and self._commands.empty()):
            match self._commands.get():
                case AddJob(job):
                    engine.add(job)
                    jobs.add(job.id)
                case RemoveJob(job_id):
                    engine.remove(job_id)
                    jobs.discard(job_id)

    def _send(self, message: IpcMessage) -> None:
        data = pack(message)
        with self._send_lock:
            self._link.sendall(data)

    def _read_commands(self) -> None:
        while (message := receive(self._stream)) is not None:
            self._commands.put(message)
        # Only this thread knows that the gateway is gone; the main one may be deep in a step.
        os._exit(0)

    def _send_heartbeats(self) -> None:
        while True:
            since = self._busy_since
            try:
                self._send(Heartbeat(0.0 if since is None else time.monotonic() - since))
            except OSError:
                return
            time.sleep(HEARTBEAT_SECONDS)


def _create(launch: Launch) -> Engine:
    module, _, function = launch.factory.partition(":")
    engine: Engine = getattr(importlib.import_module(module), function)(launch.spec)
    return engine


def _describe_failure(error: Exception, action: str, hint: str, error_id: str) -> EngineFailed:
    if _is_out_of_memory(error):
        return EngineFailed(f"{action} took more memory than there is (error {error_id}). {hint}", "out_of_memory")
    return EngineFailed(f"{action} failed (error {error_id}; the server's log says more).", "engine_error")


def _is_out_of_memory(error: Exception) -> bool:
    # Recognised by name and text because torch is not imported here; its allocators raise plain RuntimeErrors, too.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


def main() -> None:
    """Run the worker on the socket whose file descriptor is the first argument."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    status = WorkerProcess(socket.socket(fileno=int(sys.argv[1]))).run()
    sys.stderr.flush()
    # The normal shutdown of the interpreter can hang while native threads run; nothing is left to save.
    os._exit(status)


if __name__ == "__main__":
    main()
