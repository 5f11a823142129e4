"""The handlers that run in this process: their newest snapshots, and how they are stopped."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from bot.core.messages import Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence


class ActiveRun:
    """A handler that runs. `newest` is its newest snapshot: at first an empty reply, which may be private."""

    def __init__(self, *, private: bool = False) -> None:
        self.newest = Reply(private=private)
        self.stopped = False
        self._timeout: asyncio.Timeout | None = None

    def stop(self) -> None:
        """End the handler and keep its newest snapshot. Does nothing once that snapshot is final."""
        if not self.newest.final:
            self.stopped = True
            if self._timeout is not None and self._timeout.when() is None:
                self._timeout.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def stoppable(self) -> AsyncIterator[None]:
        """Let `stop` end the work inside this context, and nothing after it."""
        try:
            # A time-out without a time is a scope that can be cancelled by itself.
            async with asyncio.timeout(None) as self._timeout:
                if self.stopped:
                    self.stop()
                yield
        except TimeoutError:
            if self._timeout is None or not self._timeout.expired():
                raise
        finally:
            self._timeout = None


class ActiveRuns:
    """Active runs, keyed by answer row, and active page turns, which make another page of a finished answer."""

    def __init__(self) -> None:
        self._runs: dict[int, ActiveRun] = {}
        self._page_turns: dict[int, tuple[str, ActiveRun]] = {}
        self._shown = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def begin(self, row_id: int, *, private: bool) -> ActiveRun:
        """Register a run for an answer."""
        run = self._runs[row_id] = ActiveRun(private=private)
        self._idle.clear()
        return run

    def end(self, row_id: int) -> None:
        """Forget the run of an answer."""
        del self._runs[row_id]
        self._note_idle()

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Keep `wait_until_idle` waiting while a platform shows an answer, which takes a little longer than its run."""
        self._shown += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._shown -= 1
            self._note_idle()

    def _note_idle(self) -> None:
        if not (self._runs or self._shown):
            self._idle.set()

    async def wait_until_idle(self) -> None:
        """Wait until no answer is being made or shown."""
        await self._idle.wait()

    def begin_page_turn(self, row_id: int, button: str, *, private: bool) -> ActiveRun:
        """Register a run that makes another page of an answer, and stop an earlier one for the same answer."""
        if (earlier := self._page_turns.get(row_id)) is not None:
            earlier[1].stop()
        run = ActiveRun(private=private)
        self._page_turns[row_id] = button, run
        return run

    def end_page_turn(self, row_id: int, run: ActiveRun) -> None:
        """Forget a page turn of an answer, unless a newer one has replaced it."""
        if run in self._page_turns.get(row_id, ()):
            del self._page_turns[row_id]

    def is_turning(self, row_id: int, button: str) -> bool:
        """Return whether the page behind this button is being made already."""
        known, run = self._page_turns.get(row_id, ("", None))
        return run is not None and known == button and not (run.stopped or run.newest.final)

    def stop(self, row_id: int) -> bool:
        """Stop an answer and its page turn; return False if neither is active in this process."""
        _, turn = self._page_turns.get(row_id, ("", None))
        active = [run for run in (self._runs.get(row_id), turn) if run is not None and not run.newest.final]
        for run in active:
            run.stop()
        return bool(active)

    def newest(self, row_id: int) -> Reply | None:
        """Return the newest snapshot of an answer that is being made in this process; None for any other answer."""
        run = self._runs.get(row_id)
        return None if run is None else run.newest

    @property
    def ids(self) -> Sequence[int]:
        """The rows of all answers that are being made in this process."""
        return tuple(self._runs)
