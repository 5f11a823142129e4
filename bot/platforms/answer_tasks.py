"""Tasks that show answers, as Discord and Slack share them: retries, the end of the bot, and answers cut short.

`FAILED` and `read_only_reply` serve the other platforms, too.
"""

from __future__ import annotations

import asyncio
import logging
import math
from abc import ABC, abstractmethod
from collections import deque
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from bot.core.background import until_stored
from bot.core.errors import DatabaseUnavailable
from bot.core.i18n import Sentence
from bot.core.messages import base_platform
from bot.core.throttle import throttled

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from bot.app import Bot
    from bot.core.latest import Stream
    from bot.core.messages import Reply
    from bot.core.throttle import Throttle
    from bot.storage.database import MessageRow

log = logging.getLogger(__name__)

RETRY_SECONDS = (2.0, 5.0, 15.0, 45.0)
"""Pauses between the attempts to show the last snapshot while the platform cannot be reached."""
GOODBYE_SECONDS = 5.0
"""How long the end of the bot waits until unfinished answers show that they were cut short."""
NEWEST_DELETIONS = 300
"""How many of the messages that were deleted last are remembered while answers are being shown."""
FAILED = Sentence("Something went wrong inside the bot; its log says more.")


class View(Protocol):
    """The messages that show one answer."""

    row: int
    final: bool

    async def show(self, reply: Reply) -> None:
        """Make the messages look like `reply`."""


ViewT = TypeVar("ViewT", bound=View)


class AnswerTasks(ABC, Generic[ViewT]):
    """The running tasks of one platform. Each shows an answer or handles an event, and none outlives `close`.

    A platform says how a view is shown once, what its errors mean, and where a stored answer is found again.
    """

    refusals: tuple[type[Exception], ...]
    """Errors by which the platform refuses a request; outside an answer they are logged without a traceback."""
    settle_seconds = 0.0
    """How long the end of the bot waits for tasks that follow no answer, such as a deletion."""

    def __init__(self, bot: Bot, platform: str) -> None:
        self.bot = bot
        self._platform = platform
        self._name = base_platform(platform).capitalize()
        self._is_closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._views: dict[ViewT, asyncio.Task[None] | None] = {}
        self._deleted: deque[str] = deque(maxlen=NEWEST_DELETIONS)

    @abstractmethod
    def _throttle(self, view: ViewT) -> Throttle:
        """Return when the snapshots of a view may be shown."""

    @abstractmethod
    async def _show_once(self, view: ViewT, reply: Reply) -> None:
        """Make one attempt to show a snapshot."""

    @abstractmethod
    def _is_temporary(self, error: Exception) -> bool:
        """Return whether another attempt may succeed after this error."""

    @abstractmethod
    async def _end_after(self, view: ViewT, error: Exception) -> None:
        """End an answer that can be shown no more, and tell the asker why."""

    @abstractmethod
    async def _find_view(self, row: MessageRow) -> ViewT | None:
        """Return the messages that show an answer of another process; None if they cannot be reached."""

    @abstractmethod
    async def _show_stored(self, view: ViewT, row: MessageRow) -> None:
        """Show a stored answer that was cut short. Logs what the platform refuses; raises DatabaseUnavailable."""

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` as a task that ends with this object at the latest. Its errors are logged."""
        if self._is_closing:
            work.close()
            return
        task = asyncio.create_task(self._run_logged(work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_logged(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except self.refusals as error:
            log.warning("%s refused a request: %s", self._name, error)
        except DatabaseUnavailable as error:
            log.warning("A task on %s failed: %s", self._name, error)
        except Exception:
            log.exception("A task on %s failed", self._name)

    async def follow(self, view: ViewT, replies: Stream[Reply], change: Callable[[Reply], Reply] | None = None) -> None:
        """Show `replies` until they end, each changed by `change`. Raises nothing but its own cancellation."""
        self._views[view] = asyncio.current_task()
        try:
            with self.bot.runs.showing():
                async with aclosing(throttled(replies, self._throttle(view))) as newest:
                    async for reply in newest:
                        await self._show(view, reply if change is None else change(reply))
        except Exception as error:  # noqa: BLE001 - the platform logs what it does not expect
            await self._end_after(view, error)
        finally:
            del self._views[view]

    def note_deletion(self, messages: Iterable[str]) -> None:
        """Remember messages that somebody deleted: the platform may say so before it has said that they were sent."""
        if self._views:
            self._deleted.extend(messages)

    def _one_was_deleted(self, messages: Iterable[str]) -> bool:
        return any(message in self._deleted for message in messages)

    async def _show(self, view: ViewT, reply: Reply) -> None:
        """Show a snapshot. Only the last one is tried again: others are followed by a newer one."""
        for pause in (*RETRY_SECONDS, math.inf):
            try:
                await _run_to_end(self._show_once(view, reply))
            except Exception as error:
                if not self._is_temporary(error) or (reply.final and pause == math.inf):
                    raise
                log.warning("%s did not take a snapshot: %s", self._name, error)
                if not reply.final:
                    return
                await asyncio.sleep(pause)
            else:
                return

    async def start_restoring(self) -> None:
        """Restore in a task of its own."""
        self.start(self.restore(), f"{self._platform} restore")

    async def restore(self) -> None:
        """Show that the answers which another process left unfinished were cut short, with the buttons that remain."""
        # Each step is repeated by itself: what is marked is not found again, and a view knows what it has posted.
        for row in await until_stored(partial(self.bot.messages.mark_interrupted, [self._platform])):
            await until_stored(partial(self.bot.stored.conclude, row.id))
            last = await until_stored(partial(self.bot.messages.get, row.id))
            if last is not None and (view := await until_stored(partial(self._find_view, last))) is not None:
                await until_stored(partial(self._show_stored, view, last))

    async def close(self) -> None:
        """Cancel what still runs, and show in each unfinished answer that it was cut short."""
        self._is_closing = True
        if brief := self._tasks.difference(filter(None, self._views.values())):
            await asyncio.wait(brief, timeout=self.settle_seconds)
        tasks, views = tuple(self._tasks), tuple(self._views)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._can_write():
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await asyncio.gather(*(self._show_cut_short(view) for view in views if not view.final))

    def _can_write(self) -> bool:
        """Return whether the platform still takes messages from the bot."""
        return True

    async def _show_cut_short(self, view: ViewT) -> None:
        # The next process finds what is not marked now.
        with suppress(DatabaseUnavailable):
            row = await self.bot.messages.get(view.row) if view.row else None
            if row is not None:
                await self._show_stored(view, row)


async def read_only_reply(replies: Stream[Reply]) -> Reply:
    """Return the reply to a request that has just one, such as one that is refused."""
    async with aclosing(replies):
        return await anext(replies)


async def _run_to_end(work: Coroutine[Any, Any, None]) -> None:
    """Await `work`; if this is cancelled, let it run to its end for GOODBYE_SECONDS at most.

    Of a message that is sent at that moment, nobody would know the id. And a request that is cancelled while discord.py
    waits for a rate limit would never release the lock of its token.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=GOODBYE_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
