"""What the processes of a deployment tell each other, through a Redis stream.

The database has everything that must not be lost. These events make the others look there at once, and show them what
is not stored yet, such as an answer that grows. Without Redis there is nobody to tell, and nothing happens.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self, cast

from bot.core.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from types import TracebackType

    from redis.asyncio import Redis

    Handler = Callable[[str, Any], Awaitable[None]]

log = logging.getLogger(__name__)

MEMORY = "memory"
"""The address of no Redis server: the process is alone."""
STREAM = "tempera:events"
LOOK = "look"
"""The event that makes other processes look at the database at once, instead of within seconds."""
MAX_ENTRIES = 1000
"""About how many events the stream keeps for processes that are slow to read it."""
MAX_EVENT_BYTES = 1 << 20
"""A larger event is left out; the others find in the database what they miss."""
FILES = "tempera:file"
MAX_FILE_BYTES, FILE_SECONDS = 8 << 20, 30
"""The largest file that processes show each other, such as a preview, and for how long it is there."""
TURNS = "tempera:turn"
TURN_SECONDS, TURN_POLL_SECONDS = 5.0, 0.02
"""How long a process waits for its turn, and has it, and how often it asks whether it has come."""
EXPIRY_SECONDS = 3600
"""How long the stream stays after the last event."""
PACE_SECONDS = 0.1
"""Shortest time between two events about the same thing: of those in between the newest is sent."""
BLOCK_SECONDS = 5.0
RETRY_SECONDS = 2.0
CONNECT_SECONDS = 2.0
GOODBYE_SECONDS, CANCEL_SECONDS = 1.0, 0.2
"""How long the end of this process waits until its last events are sent."""
MAX_WAITING = 5000
"""How many events wait while Redis is away; the oldest ones are dropped."""


class ProcessEvents:
    """Publishes events of this process and hands those of others to handlers. A context manager."""

    def __init__(self, address: str, process: str) -> None:
        """`address` is "memory", or that of a Redis server. `process` is the id of this process."""
        self._address = address
        self.process = process
        self._handlers: dict[str, Handler] = {}
        self._waiting: dict[tuple[str, str], Callable[[], Any]] = {}
        self._files: dict[str, bytes] = {}
        self._reader: Redis | None = None
        self._numbers = itertools.count()
        self._wake, self._sent = asyncio.Event(), asyncio.Event()
        self._sent.set()
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._is_away, self._is_closing = False, False
        self._last: bytes | str | None = None
        self.ready = asyncio.Event()
        """Set once this process hears what others tell."""

    @property
    def is_shared(self) -> bool:
        """True if there is a Redis server, and so perhaps other processes."""
        return self._address != MEMORY

    async def __aenter__(self) -> Self:
        if self.is_shared:
            works = (self._send, self._receive)
            self._tasks = tuple(asyncio.create_task(self._keep_on(work), name=work.__name__) for work in works)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0 if self._is_away else GOODBYE_SECONDS):
                await self._sent.wait()
        self._is_closing = True
        self._wake.set()
        running = set(self._tasks)
        while running:
            for task in running:
                task.cancel()
            # A cancellation gets lost in the library if just then something arrives.
            _, running = await asyncio.wait(running, timeout=CANCEL_SECONDS)

    @contextmanager
    def handled(self, kind: str, handler: Handler) -> Iterator[None]:
        """Call `handler` with the process and the data of each event of this kind, for as long as the context lasts."""
        self._handlers[kind] = handler
        try:
            yield
        finally:
            del self._handlers[kind]

    def publish(self, kind: str, data: Any = (), *, key: str = "") -> None:
        """Tell the others something, as JSON.

        A later event with the same `key` takes the place of one that was not sent yet. `data` may be a function that
        returns the data when it is sent, or None if there is nothing to tell by then.
        """
        if not self.is_shared:
            return
        make = data if callable(data) else lambda: data
        self._waiting[kind, key or str(next(self._numbers))] = make
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]
        self._sent.clear()
        self._wake.set()

    def keep_file(self, name: str, data: bytes) -> None:
        """Let other processes fetch a file for a short time, from before the next event on."""
        if self.is_shared and len(data) <= MAX_FILE_BYTES:
            self._files[name] = data

    async def fetch_file(self, name: str) -> bytes | None:
        """Return a file that another process keeps, for the handler of an event; None if it is gone."""
        data: Any = None if self._reader is None else await self._reader.get(f"{FILES}:{name}")
        return cast("bytes | None", data)

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Let one process at a time into contexts of this name; without Redis, or after a long wait, all at once."""
        if self._reader is None or self._is_away:
            yield
            return
        from redis.exceptions import RedisError

        lock = self._reader.lock(
            f"{TURNS}:{name}", timeout=TURN_SECONDS, sleep=TURN_POLL_SECONDS, blocking_timeout=TURN_SECONDS
        )
        with suppress(RedisError, OSError):
            await lock.acquire()
        try:
            yield
        finally:
            with suppress(RedisError, OSError):
                await lock.release()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Redis]:
        """Yield a client of the Redis server."""
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        async with Redis.from_url(
            self._address,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=2 * BLOCK_SECONDS,
            # Whoever waits here would wait for seconds.
            retry=Retry(NoBackoff(), 0),
        ) as client:
            yield client

    async def _keep_on(self, work: Callable[[Redis], Awaitable[None]]) -> None:
        """Call `work` again after each failure."""
        from redis.exceptions import RedisError

        while not self._is_closing:
            try:
                async with self.connected() as client:
                    await work(client)
            except (RedisError, OSError) as error:
                if not self._is_away:
                    log.warning("Other processes are told nothing, since Redis cannot be reached: %s", error)
                self._is_away = True
            except Exception:
                log.exception("Events of other processes could not be read or written")
            await asyncio.sleep(RETRY_SECONDS)

    async def _send(self, client: Redis) -> None:
        while not self._is_closing:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                key, make = next(iter(self._waiting.items()))
                del self._waiting[key]
                if (data := _made(make)) is None:
                    continue
                try:
                    await self._send_files(client)
                    await self._send_one(client, key[0], data)
                except BaseException:
                    self._waiting.setdefault(key, make)
                    self._wake.set()
                    raise
            self._sent.set()
            await client.expire(STREAM, EXPIRY_SECONDS)
            self._is_away = False
            await asyncio.sleep(PACE_SECONDS)

    async def _send_files(self, client: Redis) -> None:
        while self._files:
            name, data = next(iter(self._files.items()))
            await client.set(f"{FILES}:{name}", data, ex=FILE_SECONDS)
            del self._files[name]

    async def _send_one(self, client: Redis, kind: str, data: Any) -> None:
        encoded = json.dumps(data, default=str).encode()
        if len(encoded) <= MAX_EVENT_BYTES:
            fields: Any = {"process": self.process, "kind": kind, "data": encoded}
            await client.xadd(STREAM, fields, maxlen=MAX_ENTRIES, approximate=True)

    async def _receive(self, client: Redis) -> None:
        self._reader = client
        if not self._last:
            newest = await client.xrevrange(STREAM, count=1)
            self._last = newest[0][0] if newest else "0"
        self.ready.set()
        while not self._is_closing:
            since: Any = {STREAM: self._last}
            read: Any = await client.xread(since, count=100, block=int(BLOCK_SECONDS * 1000))
            for _, entries in read or ():
                for entry, fields in entries:
                    self._last = entry
                    await self._handle(fields)

    async def _handle(self, fields: dict[bytes, bytes]) -> None:
        process, handler = fields[b"process"].decode(), self._handlers.get(fields[b"kind"].decode())
        if process == self.process or handler is None:
            return
        try:
            await handler(process, json.loads(fields[b"data"]))
        except DatabaseUnavailable as error:
            log.debug("An event of another process needs the database: %s", error)
        except Exception:
            log.exception("An event of another process could not be handled")


def _made(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except Exception:
        log.exception("An event cannot be told")
        return None
