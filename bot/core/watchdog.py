"""Notices when the event loop stands still, says where, and lets signals end the process even then."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a Watchdog waits, in seconds."""

    look: float = 0.25
    """Between two looks at the loop."""
    looks: int = 8
    """How many looks the loop may leave unanswered. Unlike a time, this does not count while the process is stopped."""
    end: float = 15.0
    """How long an end in order may take. The model server alone is given ten seconds for it."""
    drain: float = 30.0
    """How long it may take longer after SIGTERM, by which services are restarted: answers are finished first."""


class Watchdog:
    """A thread that logs where the event loop stands still, once each time, and for how long it did."""

    def __init__(self, find_code: Callable[[FrameType], str], timing: Timing | None = None) -> None:
        """Watch the running loop from `start` on.

        `find_code` says whose code the loop is in, given the innermost frame of its stack; "" if it does not know.
        """
        self._find_code = find_code
        self._timing = timing or Timing()
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._signal: signal.Signals | None = None

    def start(self) -> None:
        """Start the thread, which ends with the loop or the process."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def end_on_signals(self, stop: Callable[[float], object]) -> None:
        """Let the first SIGINT or SIGTERM call `stop` in the loop, and the second end the process at once.

        `stop` gets the seconds that may pass before it begins to end what runs. The process also ends if `stop` has not
        ended it in time. The handlers of the loop itself would not do: they run only when nothing blocks it.
        """

        def end(number: int, frame: FrameType | None) -> None:
            if self._signal is not None or self._loop.is_closed():
                os._exit(128 + number)
            # No more than this may be done in a signal handler: it may have interrupted anything.
            self._signal = signal.Signals(number)
            self._loop.call_soon_threadsafe(stop, self._drain_seconds)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)

    @property
    def _drain_seconds(self) -> float:
        return self._timing.drain if self._signal is signal.SIGTERM else 0.0

    def _watch(self) -> None:
        answered, missed, asked, signalled = threading.Event(), 0, time.monotonic(), 0.0
        answered.set()
        while self._signal is not None or not self._loop.is_closed():
            time.sleep(self._timing.look)
            now = time.monotonic()
            if self._signal is not None:
                if not signalled:
                    signalled = now
                    log.info("Tempera ends after %s. A second one ends it at once.", self._signal.name)
                elif now - signalled > (limit := self._timing.end + self._drain_seconds):
                    log.error("Tempera did not end within %g s; it is ended now.", limit)
                    os._exit(128 + self._signal)
            if answered.is_set():
                # Compared by the time, too: while C code keeps the interpreter's lock, this thread looks at nothing.
                if now - asked > self._timing.look * self._timing.looks:
                    log.warning("The bot answers again. It had answered nobody for %.1f s.", now - asked)
                missed, asked = 0, now
                answered.clear()
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(answered.set)
            elif not self._loop.is_closed():
                missed += 1
                if missed == self._timing.looks:
                    self._report(now - asked)

    def _report(self, seconds: float) -> None:
        if (frame := sys._current_frames().get(self._loop_thread)) is None:
            return
        place = self._find_code(frame) or f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}"
        log.error(
            "The bot has answered nobody for %.1f s, because %s blocks the event loop. Slow work belongs in a thread."
            "\n%s",
            *(seconds, place, "".join(traceback.format_stack(frame)).rstrip()),
        )
