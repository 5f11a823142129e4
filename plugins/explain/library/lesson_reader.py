"""Reads lesson files, each in a process of its own."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from pathlib import PurePath

from bot import ChildFailed, UserError, read_child_answer, run_child
from bot.documents.limits import Limit
from bot.documents.parse import require_document_size, unreadable
from plugins.explain.library.lesson_set import Lesson
from plugins.explain.library.reader_process import build_lesson

PROGRAM = "plugins.explain.library.reader_process"
MAX_PROCESSES = 2
"""Files that are read at once; the others wait for their turn."""
MAX_SECONDS = 120.0
"""The time of one file, which counts where the system has no limit of computing time."""
MAX_WAIT_SECONDS = 60.0
"""The time that an upload waits for its turn."""

log = logging.getLogger(__name__)


class LessonReader:
    """Reads lesson files in turn."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(MAX_PROCESSES)
        self._turns_of: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def read(
        self, data: bytes, filename: str, title: str = "", *, server: str = "", max_wait: float | None = None
    ) -> Lesson:
        """Read a file of `server` under `title`, or under its own title if none is given.

        Each server has one file read at a time. Raises UserError, with a sentence for the user who gave the file, if it
        is no lesson, takes too much, or has waited for more than `max_wait` seconds. A cancelled reading is ended.
        """
        name = PurePath(filename).name
        require_document_size(data, name)
        try:
            # Of a server's files one at a time waits among those of all servers.
            async with asyncio.timeout(max_wait) as waiting, self._turns_of[server], self._turns:
                waiting.reschedule(None)
                return await _read(data, name, title)
        except TimeoutError:
            raise UserError("Other lessons are being read at the moment; try it again in a minute.") from None


async def _read(data: bytes, name: str, title: str) -> Lesson:
    try:
        answer = await run_child(PROGRAM, {"filename": name, "title": title}, data, seconds=MAX_SECONDS)
        return await asyncio.to_thread(lambda: build_lesson(read_child_answer(answer)))
    except ChildFailed as failure:
        log.warning("The lesson %s cannot be read: %s", name, failure)
        match failure.cause:
            case "time":
                raise Limit.CPU_SECONDS.explain(name) from None
            case "memory":
                raise Limit.MEMORY_MB.explain(name) from None
            case _:
                raise unreadable(name) from None
