"""Time as a test wants it: minutes pass at once, and none passes because a machine is slow."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Clock(selectors.DefaultSelector):
    """Time that passes only where the loop would have slept, and at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "everybody waits, and nobody is left to wake them"
        self.now += max(0.0, timeout)
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """A real event loop on such a clock."""

    def __init__(self) -> None:
        self._clock = Clock()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def in_its_own_time(work: Coroutine[Any, Any, Any]) -> Any:
    """Run `work` to its end on such a loop."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(work)
