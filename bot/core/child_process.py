"""Has a file from a stranger read in a process of its own, which is ended if it takes too much.

A file of a few kilobytes can be made to keep its parser busy for minutes, and a thread cannot be ended. The bot calls
`run_child`, which starts a module that calls `answer_as_child`. The request is a line of JSON and the file; the answer
is lines of JSON, so that neither side handles much of it at once.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import threading
import traceback
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakValueDictionary

from bot.core.errors import UserError

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator, Mapping

    Json = Mapping[str, Any]

MAX_ANSWER_BYTES = 64_000_000
MAX_TRACEBACK_CHARACTERS = 4000
MAX_WAITING_OF_ONE = 4
"""How many turns one key waits for at most, so that one person cannot take the places of all."""
OUT_OF_MEMORY_STATUS = 3
"""The exit status after all memory was used up."""
INHERITED = ("PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "LANG", "LC_ALL")
"""The environment variables that the process needs. The tokens are none of its business."""
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""NumPy would reserve memory for a thread on each core, and the process may not have that much."""


class ChildFailed(Exception):
    """A child process gave no answer. `cause` is "time" or "memory" if it took too much of that, else "fault"."""

    def __init__(self, cause: Literal["time", "memory", "fault"], detail: str) -> None:
        super().__init__(detail)
        self.cause = cause


class NoTurn(Exception):
    """A turn did not come in time, or too many wait already."""


class ChildTurns:
    """The turns of child processes: `most` at once, and one for each key."""

    def __init__(self, most: int, max_wait: float, max_waiting: int) -> None:
        """`max_wait` is how long a turn is waited for, in seconds, and `max_waiting` by how many at most."""
        self._max_wait = max_wait
        self._max_waiting = max_waiting
        self._waiting: Counter[Hashable] = Counter()
        self._turns = asyncio.Semaphore(most)
        self._turns_of: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def take(self, key: Hashable) -> AsyncIterator[None]:
        """Wait for a turn and hold it. Raises NoTurn if it does not come, or if too many wait, also of this key."""
        if self._waiting.total() >= self._max_waiting or self._waiting[key] >= MAX_WAITING_OF_ONE:
            raise NoTurn
        mine = self._turns_of.setdefault(key, asyncio.Lock())
        async with AsyncExitStack() as turn:
            self._waiting[key] += 1
            try:
                async with asyncio.timeout(self._max_wait):
                    await turn.enter_async_context(mine)
                    await turn.enter_async_context(self._turns)
            except TimeoutError:
                raise NoTurn from None
            finally:
                self._waiting -= Counter([key])
            yield


async def run_child(program: str, request: Json, data: bytes, *, seconds: float) -> bytes:
    """Run the module `program`, which calls `answer_as_child`, and return its answer, for `read_child_answer`.

    Raises ChildFailed if it gives none within `seconds`. A cancelled call ends the process.
    """
    head = json.dumps({"request": request, "size": len(data)}).encode() + b"\n"
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-W", "ignore", "-m", program),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # A session of its own, so that Ctrl-C in the terminal reaches the bot alone.
        start_new_session=True,
        env=_environment(),
    )
    try:
        async with asyncio.timeout(seconds):
            answer = await _exchange(child, head + data)
            status = await child.wait()
    except TimeoutError:
        raise ChildFailed("time", f"It took more than {seconds:g} seconds.") from None
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    if status:
        raise _explain_end(status)
    return answer


def read_child_answer(answer: bytes) -> Iterator[dict[str, Any]]:
    """Yield the pieces of an answer. Raises UserError or ChildFailed if the file could not be read."""
    for line in answer.splitlines():
        piece: dict[str, Any] = json.loads(line.decode("utf-8", "surrogatepass"))
        if "sentence" in piece:
            raise UserError(piece["sentence"], **piece["values"])
        if "failure" in piece:
            raise ChildFailed("fault", piece["failure"])
        yield piece["piece"]


def answer_as_child(answer: Callable[[Json, bytes], Iterable[Json]], *, cpu_seconds: int, memory_mb: int) -> None:
    """Answer the request of the bot with the pieces that `answer` yields for it, and end this process.

    `answer` may raise UserError. The limits hold where the system has such limits; elsewhere the bot's clock alone ends
    this process. It also ends when the bot is gone.
    """
    logging.disable()
    _limit_this_process(cpu_seconds, memory_mb)
    head = json.loads(sys.stdin.buffer.readline())
    data = sys.stdin.buffer.read(head["size"])
    threading.Thread(target=_end_with_the_bot, daemon=True).start()
    status = 0
    try:
        for line in _build_lines(answer, head["request"], data):
            sys.stdout.buffer.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
        sys.stdout.buffer.flush()
    except MemoryError:
        status = OUT_OF_MEMORY_STATUS
    # The thread may still wait, and Python would wait for what it holds.
    os._exit(status)


def _environment() -> Mapping[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return inherited | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUTF8": "1"}


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


def _explain_end(status: int) -> ChildFailed:
    """Return the error for a process that ended without an answer."""
    signal_name = signal.Signals(-status).name if status < 0 else ""
    detail = f"The process that read it ended with {signal_name or f'status {status}'}."
    if signal_name == "SIGXCPU":
        return ChildFailed("time", detail)
    # A system that runs out of memory kills, too.
    if status == OUT_OF_MEMORY_STATUS or signal_name == "SIGKILL":
        return ChildFailed("memory", detail)
    return ChildFailed("fault", detail)


def _limit_this_process(cpu_seconds: int, memory_mb: int) -> None:
    # Windows has no such module, and macOS does not know each limit.
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 5))
        resource.setrlimit(resource.RLIMIT_AS, (memory_mb * 2**20, memory_mb * 2**20))


def _end_with_the_bot() -> None:
    """End this process once the bot has closed its end of the pipe, also because it was killed."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def _build_lines(answer: Callable[[Json, bytes], Iterable[Json]], request: Json, data: bytes) -> Iterator[Json]:
    """Yield the pieces of the answer, or why there is none."""
    try:
        for piece in answer(request, data):
            yield {"piece": piece}
    except UserError as error:
        yield {"sentence": error.sentence.text, "values": dict(error.sentence.values)}
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - the bot logs it
        yield {"failure": "".join(traceback.format_exception(error, limit=-5))[-MAX_TRACEBACK_CHARACTERS:]}
