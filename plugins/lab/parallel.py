"""Runs several parts of one answer at the same time, so that a message can show how far each of them is."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from bot import UserError, closing, ellipsis


class ParallelPart(ABC):
    """One part. If it fails with a sentence for users, that is its `error`, and the other parts go on."""

    def __init__(self) -> None:
        self.has_ended = False
        self.error: UserError | None = None

    @property
    @abstractmethod
    def has_output(self) -> bool:
        """True if the part has something to show, even if it fails later."""

    @abstractmethod
    def work(self) -> AsyncIterator[None]:
        """Do the work, and yield whenever there is something new to show."""

    async def run(self, changed: asyncio.Event) -> None:
        """Do the work, and set `changed` whenever there is something new to show."""
        try:
            async for _ in self.work():
                changed.set()
        except UserError as error:
            self.error = error
        finally:
            self.has_ended = True
            changed.set()


async def run_parallel(parts: Sequence[ParallelPart]) -> AsyncGenerator[None, None]:
    """Run all parts at once. Yield whenever one of them has changed, the last time when all have ended.

    Raises the error of the first part if all failed and none has anything to show. Closing the generator stops them.
    """
    changed = asyncio.Event()
    # No TaskGroup: it would wrap the GeneratorExit that closes a generator in a group of errors.
    tasks = [asyncio.create_task(part.run(changed), name="part") for part in parts]
    try:
        while not all(part.has_ended for part in parts):
            await changed.wait()
            changed.clear()
            yield
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    errors = [part.error for part in parts if part.error is not None]
    if len(errors) == len(parts) and not any(part.has_output for part in parts):
        raise errors[0]


def close_markdown(text: str, *, is_cut: bool = False) -> str:
    """Return `text` with its last code block closed, so that other text can follow; with “…” first if it `is_cut`."""
    if is_cut:
        text += ellipsis(text)
    return text + closing(text)
