"""Several things under way at the same time for one message, which shows how far each of them is."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from bot import UserError, closing, ellipsis


class ParallelPart(ABC):
    """One of them. What goes wrong with it, in a sentence, is `error` in the end; the others go on."""

    def __init__(self) -> None:
        self.ended = False
        self.error: UserError | None = None

    @property
    @abstractmethod
    def has_something(self) -> bool:
        """Whether there is anything of it to show, whatever comes of it."""

    @abstractmethod
    def work(self) -> AsyncIterator[None]:
        """Do it, and yield whenever there is something new to show."""

    async def follow(self, news: asyncio.Event) -> None:
        """Do it, and tell of news."""
        try:
            async for _ in self.work():
                news.set()
        except UserError as error:
            self.error = error
        finally:
            self.ended = True
            news.set()


async def together(parts: Sequence[ParallelPart]) -> AsyncGenerator[None, None]:
    """Let all of `parts` work, and yield whenever any has news, the last time when all have ended.

    Raises the first one's error if all failed and none has anything to show. Closing this stops them all.
    """
    news = asyncio.Event()
    # A TaskGroup makes a group of errors of the GeneratorExit that ends a generator.
    tasks = [asyncio.create_task(part.follow(news), name="part") for part in parts]
    try:
        while not all(part.ended for part in parts):
            await news.wait()
            news.clear()
            yield
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    errors = [part.error for part in parts if part.error is not None]
    if len(errors) == len(parts) and not any(part.has_something for part in parts):
        raise errors[0]


def whole(text: str, *, is_cut: bool = False) -> str:
    """`text` (Markdown) with its last code block closed, so that what follows it is no code; “…” where it `is_cut`."""
    if is_cut:
        text += ellipsis(text)
    return text + closing(text)
