"""The newest value of a producer that may be faster than its reader, and a task that publishes such values."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class Latest(Generic[T]):
    """A buffer between one producer and one reader, which keeps the newest value only.

    A slow reader does not slow the producer down: a newer value replaces one that has not been read. A value put with
    `keep` is never replaced, nor is the value before it.
    """

    def __init__(self) -> None:
        self._kept: list[T] = []
        self._newest: list[T] = []
        self._changed = asyncio.Event()
        self._error: BaseException | None = None
        self.ended = False
        """True once no more values come."""

    def put(self, value: T, *, keep: bool = False) -> None:
        """Publish a value. With `keep`, neither it nor the value before it is replaced by a newer one."""
        if keep:
            self._kept += [*self._newest, value]
            self._newest = []
        else:
            self._newest = [value]
        self._changed.set()

    def end(self, error: BaseException | None = None) -> None:
        """Publish that no more values come; `error` is raised once the last value was read."""
        self.ended, self._error = True, error
        self._changed.set()

    def peek(self) -> T | None:
        """Return the next value without removing it; None if there is none at present."""
        return next(iter((*self._kept, *self._newest)), None)

    def pop(self) -> T:
        """Remove and return the next value. There must be one."""
        return (self._kept or self._newest).pop(0)

    def pop_newest(self) -> T | None:
        """Remove all values and return the newest one; None if there is none at present."""
        values, self._kept, self._newest = (*self._kept, *self._newest), [], []
        return values[-1] if values else None

    def check(self) -> None:
        """Raise the error that ended the values, if one did."""
        if self._error is not None:
            raise self._error

    async def wait(self, seconds: float | None = None) -> None:
        """Wait until a value or the end is published, for at most `seconds`; None waits without a limit."""
        self._changed.clear()
        if self.ended and seconds is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()


class Stream(Generic[T]):
    """The values that a task publishes while it works, to be iterated by one reader.

    The task begins when somebody first waits for a value. Close the stream (`contextlib.aclosing`) to cancel the task
    and wait for its end. What the work raises is raised to the reader, after the last value.
    """

    def __init__(self, work: Callable[[Latest[T]], Awaitable[None]]) -> None:
        self._work = work
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self.latest = Latest[T]()

    @classmethod
    def of(cls, *values: T) -> Self:
        """Return a stream of values that are known already."""

        async def work(latest: Latest[T]) -> None:
            for value in values:
                latest.put(value, keep=True)

        return cls(work)

    def begin(self) -> Latest[T]:
        """Start the task unless it has been started, and return the buffer that it publishes to."""
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(self._run(), name="stream")
        return self.latest

    async def _run(self) -> None:
        try:
            await self._work(self.latest)
        except asyncio.CancelledError as error:
            self.latest.end(error)
            raise
        except BaseException as error:  # noqa: BLE001 - raised where the values are read
            self.latest.end(error)
        else:
            self.latest.end()

    async def first(self) -> T | None:
        """Wait for the next value and return it without removing it; None if none comes. Raises errors of the work."""
        latest = self.begin()
        while (value := latest.peek()) is None and not (latest.ended or self._closed):
            await latest.wait()
        if value is None and not self._closed:
            latest.check()
        return value

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if await self.first() is None:
            raise StopAsyncIteration
        return self.latest.pop()

    async def aclose(self) -> None:
        """Cancel the task and wait for its end. Raises the error that the work raised while it was being cancelled."""
        had_ended, self._closed = self.latest.ended, True
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait({self._task})
        if not (had_ended or self._task.cancelled()):
            self.latest.check()
