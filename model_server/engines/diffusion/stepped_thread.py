"""Runs the loop of a library step by step: in its own thread, where it stops after each step until it may continue."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

StepT = TypeVar("StepT")
ResultT = TypeVar("ResultT")


class Cancelled(Exception):
    """Raised inside the function to end it after a step."""


@dataclass(frozen=True, slots=True)
class CallResult(Generic[ResultT]):
    """The end of a function: its `result`, or the `error` that it raised."""

    result: ResultT | None
    error: Exception | None = None


class SteppedThread(Generic[StepT, ResultT]):
    """Runs one function at a time. A function gets `pause`, and calls it with the result of each of its steps.

    All functions run in the same thread, because torch starts a pool of threads for each thread that computes.
    """

    def __init__(self, name: str) -> None:
        self._functions: queue.SimpleQueue[Callable[[Callable[[StepT], None]], ResultT]] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[StepT | CallResult[ResultT]] = queue.SimpleQueue()
        self._decisions: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._busy = False
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def start(self, function: Callable[[Callable[[StepT], None]], ResultT]) -> None:
        """Start a function. The previous one must have ended."""
        # A decision that the previous function did not read any more must not reach this one.
        self._decisions = queue.SimpleQueue()
        self._busy = True
        self._functions.put(function)

    def wait_for_step(self, seconds: float) -> StepT | CallResult[ResultT] | None:
        """Return the result of a step, which waits for `resume` or `cancel`, or the end; None after `seconds`."""
        try:
            result = self._results.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(result, CallResult):
            self._busy = False
        return result

    def resume(self) -> None:
        """Let the function continue after the step at which it waits."""
        self._decisions.put(True)

    def cancel(self) -> None:
        """End the function at the step at which it waits, or at the next one that it reaches."""
        self._decisions.put(False)

    def wait_until_idle(self, seconds: float) -> bool:
        """Return True once no function runs any more; False if a step or an end takes longer than `seconds`."""
        while self._busy and self.wait_for_step(seconds) is not None:
            pass
        return not self._busy

    def _run(self) -> None:
        while True:
            function = self._functions.get()
            try:
                result = CallResult(function(self._pause))
            except Cancelled:
                # A new exception, because the traceback of the old one keeps the function's tensors alive.
                result = CallResult(None, Cancelled())
            except Exception as error:  # noqa: BLE001 - the waiting thread raises it again
                result = CallResult(None, error)
            del function
            self._results.put(result)
            del result

    def _pause(self, step: StepT) -> None:
        self._results.put(step)
        if not self._decisions.get():
            raise Cancelled
