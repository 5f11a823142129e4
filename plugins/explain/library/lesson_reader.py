"""Reads lesson files, each in a process of its own, which is ended if it takes too much.

A file of a few kilobytes can be made to keep its parser busy for minutes, and a thread cannot be ended.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections import defaultdict
from contextlib import suppress
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from bot import UserError
from plugins.explain.lessons.limits import Limit
from plugins.explain.lessons.parse import require_lesson_size, unreadable
from plugins.explain.library.reader_process import OUT_OF_MEMORY_STATUS, build_lesson

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Mapping

    from plugins.explain.library.lesson_set import Lesson

PROGRAM = "plugins.explain.library.reader_process"
MAX_PROCESSES = 2
"""Files that are read at once; the others wait for their turn."""
MAX_SECONDS = 120.0
"""The time of one file, which counts where the system has no limit of computing time."""
MAX_WAIT_SECONDS = 60.0
"""The time that an upload waits for its turn."""
MAX_ANSWER_BYTES = 64_000_000
INHERITED = ("PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "LANG", "LC_ALL")
"""The environment variables that the process needs. The tokens are none of its business."""

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
        require_lesson_size(data, name)
        try:
            # Of a server's files one at a time waits among those of all servers.
            async with asyncio.timeout(max_wait) as waiting, self._turns_of[server], self._turns:
                waiting.reschedule(None)
                return await _read(data, name, title)
        except TimeoutError:
            raise UserError("Other lessons are being read at the moment; try it again in a minute.") from None


async def _read(data: bytes, name: str, title: str) -> Lesson:
    request = json.dumps({"filename": name, "title": title, "size": len(data)}).encode() + b"\n" + data
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-W", "ignore", "-m", PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # A session of its own, so that Ctrl-C in the terminal reaches the bot alone.
        start_new_session=True,
        env=_environment(),
    )
    try:
        async with asyncio.timeout(MAX_SECONDS):
            answer = await _exchange(child, request)
            status = await child.wait()
    except TimeoutError:
        raise Limit.CPU_SECONDS.explain(name) from None
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    if status:
        raise _explain_end(status, name)
    return await asyncio.to_thread(_build, answer, name)


def _environment() -> Mapping[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return inherited | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUTF8": "1"}


async def _exchange(child: Process, request: bytes) -> bytes:
    """Send the request, and return the answer, or the beginning of one that is too long."""
    assert child.stdin is not None  # noqa: S101 - it was started with pipes
    assert child.stdout is not None  # noqa: S101
    child.stdin.write(request)
    # The pipe stays open: its end tells the process that the bot is gone.
    with suppress(ConnectionError):
        await child.stdin.drain()
    answer = bytearray()
    while more := await child.stdout.read(1 << 16):
        answer += more
        if len(answer) > MAX_ANSWER_BYTES:
            child.kill()
            break
    return bytes(answer)


def _explain_end(status: int, name: str) -> UserError:
    """Return the error for a process that ended without an answer."""
    cause = signal.Signals(-status).name if status < 0 else ""
    log.warning("The process that read the lesson %s ended with %s.", name, cause or f"status {status}")
    if cause == "SIGXCPU":
        return Limit.CPU_SECONDS.explain(name)
    # A system that runs out of memory kills, too.
    if status == OUT_OF_MEMORY_STATUS or cause == "SIGKILL":
        return Limit.MEMORY_MB.explain(name)
    return unreadable(name)


def _build(answer: bytes, name: str) -> Lesson:
    """Return the lesson of an answer. Raises UserError if there is none."""
    lines = (json.loads(line.decode("utf-8", "surrogatepass")) for line in answer.splitlines())
    head: dict[str, Any] = next(lines)
    if "title" in head:
        return build_lesson(head, lines)
    if "sentence" in head:
        raise UserError(head["sentence"], **head["values"])
    log.error("The lesson %s cannot be read: %s", name, head["failure"])
    raise unreadable(name)
