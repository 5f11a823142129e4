"""Lets another's loop run step by step: it has a thread of its own, and stops there until it may go on."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

StepT = TypeVar("StepT")
ResultT = TypeVar("ResultT")


class Abandoned(Exception):
    """Raised inside the loop, at a step behind which nobody wants it to go on."""


@dataclass(frozen=True, slots=True)
class CallResult(Generic[ResultT]):
    """The loop is over: its `result`, or why it has none."""

    result: ResultT | None
    error: Exception | None = None


class SteppedThread(Generic[StepT, ResultT]):
    """Runs one function at a time. The function is given `pause`, which it calls with what each step made.

    All run in one thread, since torch starts further threads for each one that computes.
    """

    def __init__(self, name: str) -> None:
        self._functions: queue.SimpleQueue[Callable[[Callable[[StepT], None]], ResultT]] = queue.SimpleQueue()
        self._news: queue.SimpleQueue[StepT | CallResult[ResultT]] = queue.SimpleQueue()
        self._wishes: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._busy = False
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def begin(self, function: Callable[[Callable[[StepT], None]], ResultT]) -> None:
        """Start it. The one before must have ended."""
        # What the one before was told behind its last step is not for this one.
        self._wishes = queue.SimpleQueue()
        self._busy = True
        self._functions.put(function)

    def wait(self, seconds: float) -> StepT | CallResult[ResultT] | None:
        """What the next step made, behind which the function waits for `answer`; or its end; or None after so long."""
        try:
            news = self._news.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(news, CallResult):
            self._busy = False
        return news

    def answer(self, *, go_on: bool) -> None:
        """Let the function go on behind a step, or end it there. It may be told while it is still on its way there."""
        self._wishes.put(go_on)

    def rests(self, seconds: float) -> bool:
        """Whether nothing runs; a function that was told to end is given so long for it."""
        while self._busy and self.wait(seconds) is not None:
            pass
        return not self._busy

    def _run(self) -> None:
        while True:
            function = self._functions.get()
            try:
                ended = CallResult(function(self._pause))
            except Abandoned:
                # Its traceback would hold what the loop had made until somebody looks.
                ended = CallResult(None, Abandoned())
            except Exception as error:  # noqa: BLE001 - it is raised again by whoever waits
                ended = CallResult(None, error)
            del function
            self._news.put(ended)
            del ended

    def _pause(self, step: StepT) -> None:
        self._news.put(step)
        if not self._wishes.get():
            raise Abandoned
