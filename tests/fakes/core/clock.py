"""Clocks of tests: one set by hand, virtual time, in which minutes pass at once, and calls that take longer."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine


class ManualClock:
    """A clock that a test sets by hand."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class VirtualClock(selectors.DefaultSelector):
    """A clock that jumps ahead whenever the loop would have slept."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "all tasks wait, and nothing is left to wake them"
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A real event loop on a virtual clock."""

    def __init__(self) -> None:
        self._clock = VirtualClock()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def run_in_virtual_time(work: Coroutine[Any, Any, Any]) -> Any:
    """Run `work` to its end on a loop with virtual time, and return its result."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)


def returning_late(call: Callable[..., Awaitable[Any]], seconds: float = 0.5) -> Callable[..., Awaitable[Any]]:
    """Return a function that calls `call`, and hands over what that returned so many seconds later."""

    async def call_and_wait(*arguments: Any, **options: Any) -> Any:
        result = await call(*arguments, **options)
        await asyncio.sleep(seconds)
        return result

    return call_and_wait
