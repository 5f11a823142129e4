"""One answer in the making: the handler works in a task of its own, and only its newest snapshot is kept."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from bot.core.messages import Reply
from bot.core.splitting import put_together

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence


class ActiveRun:
    """Drains `source`, however slowly its snapshots are shown, until it ends or is stopped.

    `source` must end with a final reply and raise nothing but CancelledError. `private` says who sees an answer that
    ends before its first snapshot.
    """

    def __init__(self, source: AsyncGenerator[Reply, None], *, private: bool = False) -> None:
        self.newest = Reply(private=private)
        self.stopped = False
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._drain(source), name="answer")
        self._task.add_done_callback(self._ended)

    def stop(self) -> None:
        """End the answer here: what was said stays. Does nothing once it is final."""
        if not self.newest.final:
            self.stopped = True
            self._task.cancel()

    async def _drain(self, source: AsyncGenerator[Reply, None]) -> None:
        async with aclosing(source):
            async for reply in source:
                self.newest = reply
                self._changed.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        # Not at the end of `_drain`, which a task that is cancelled before its first step never sees.
        if not self.newest.final:
            self.newest = replace(put_together(self.newest), final=True, status="")
        self._changed.set()

    async def snapshots(self) -> AsyncGenerator[Reply, None]:
        """The newest snapshot each time it has changed; the last one is final."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            reply = self.newest
            yield reply
            if reply.final:
                return

    async def close(self) -> None:
        """End the handler, wherever it is, and wait until it has."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class ActiveRuns:
    """Those of this process, by the rows of their answers."""

    def __init__(self) -> None:
        self._runs: dict[int, ActiveRun] = {}
        self._turns: dict[int, tuple[str, ActiveRun]] = {}

    def begin(self, row_id: int, source: AsyncGenerator[Reply, None], *, private: bool) -> ActiveRun:
        """Begin one."""
        run = self._runs[row_id] = ActiveRun(source, private=private)
        return run

    async def end(self, row_id: int) -> None:
        """End one, and know it no longer."""
        await self._runs.pop(row_id).close()

    def turn(self, row_id: int, button: str, source: AsyncGenerator[Reply, None], *, private: bool) -> ActiveRun:
        """Begin to make what a button puts in an answer's place; what another one was to put there is stopped."""
        if (earlier := self._turns.get(row_id)) is not None:
            earlier[1].stop()
        run = ActiveRun(source, private=private)
        self._turns[row_id] = button, run
        return run

    async def turned(self, row_id: int, run: ActiveRun) -> None:
        """End that, and know it no longer."""
        if run in self._turns.get(row_id, ()):
            del self._turns[row_id]
        await run.close()

    def is_turning(self, row_id: int, button: str) -> bool:
        """Whether it is being made already what this button puts in an answer's place."""
        known, run = self._turns.get(row_id, ("", None))
        return run is not None and known == button and not (run.stopped or run.newest.final)

    def stop(self, row_id: int) -> bool:
        """Stop an answer, or what is to take its place; False if neither is being made here."""
        _, turn = self._turns.get(row_id, ("", None))
        under_way = [run for run in (self._runs.get(row_id), turn) if run is not None and not run.newest.final]
        for run in under_way:
            run.stop()
        return bool(under_way)

    def newest(self, row_id: int) -> Reply | None:
        """What an answer looks like now, if it is being made here."""
        run = self._runs.get(row_id)
        return None if run is None else run.newest

    @property
    def ids(self) -> Sequence[int]:
        """Which there are."""
        return tuple(self._runs)
