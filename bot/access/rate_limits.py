"""How often somebody may ask: cooldowns and quotas, counted in moving windows.

Each process counts in its memory, so that it can decide at once. With a Redis server, all processes count there as
well; while it cannot be reached, each process relies on its own count. A limit that was set for a channel counts only
the uses in that channel.

In memory the clock is the monotonic one. Processes on several machines share only the wall clock, so that counts in
Redis; where it was set back, what was counted before is forgotten, and no wait is longer than its window.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from limits.aio.storage import RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge
from limits.errors import ConfigurationError, StorageError

from bot.access.moving_windows import MovingWindows
from bot.core.errors import ConfigError, LimitReached, UserError
from bot.core.i18n import Sentence
from bot.settings.builtin import DAY_SECONDS
from bot.settings.scopes import server_scope
from bot.settings.setting import CHANNEL
from bot.storage.process_events import MEMORY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from bot.commands.command import Command
    from bot.core.messages import Place, Request, User
    from bot.settings.resolver import Settings

log = logging.getLogger(__name__)

MINUTE_SECONDS, HOUR_SECONDS = 60, 3600
WINDOWS = {"minute": MINUTE_SECONDS, "hour": HOUR_SECONDS, "day": DAY_SECONDS}
SPANS = {
    MINUTE_SECONDS: Sentence("per minute"),
    HOUR_SECONDS: Sentence("per hour"),
    DAY_SECONDS: Sentence("per day"),
}
MAX_REQUESTS, MAX_REQUESTS_AT_ADDRESS = 120, 2400
"""How many requests of any kind one person, and all at one IP address, may make in a minute.

Free commands, votes and requests that are refused count no uses, but are work, too.
"""
MAX_COMPLETIONS, MAX_COMPLETIONS_AT_ADDRESS = 600, 6000
"""How often suggestions may be asked for in a minute; somebody who types quickly asks five times a second."""
MAX_REFUNDS = 10**6
"""A number of refunds that nobody reaches."""
MIN_WAIT_SECONDS = 1.0
"""How long to wait if another process took the last use at this moment."""
CLOCK_SKEW_SECONDS = 60.0
"""How far the clocks of machines may differ. A use that is later than that was counted before one was set back."""
REDIS_KEY_PREFIX = "tempera"
SENTENCES = {
    "cooldown": Sentence("Between two questions of one person must be {span} here. You can ask again in {wait}."),
    "user": Sentence(
        "The limit here is {most} {span} for each person, and yours is used up. You can ask again in {wait}."
    ),
    "role": Sentence(
        "The limit here is {most} {span} for all with one of your roles, and it is used up. Ask again in {wait}."
    ),
    "address": Sentence(
        "The limit here is {most} {span} for all who share your IP address, and it is used up. Ask again in {wait}."
    ),
    "server": Sentence("The limit here is {most} {span} for the whole server, and it is used up. Ask again in {wait}."),
    "export": Sentence("You can have your data exported {most} times {span}. The next time is in {wait}."),
    "delete": Sentence("You can have your data deleted {most} times {span}. The next time is in {wait}."),
}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A limit of `most` uses within `seconds`, counted under `key`; `code` is like "user.hour" of a setting's name."""

    code: str
    key: str
    most: int
    seconds: int

    @property
    def refund_key(self) -> str:
        """The key under which refunded uses are counted."""
        return f"{self.key}/back"

    def as_error(self, wait: float) -> LimitReached:
        """Return the error to raise while it is used up for `wait` more seconds."""
        kind = self.code.split(".")[0]
        span = format_span(self.seconds) if kind == "cooldown" else SPANS[self.seconds]
        return LimitReached(
            SENTENCES[kind].text,
            code=self.code,
            retry_after=wait,
            most=self.most,
            span=span,
            wait=format_span(wait),
        )


def _window_of(code: str) -> int:
    """Return the seconds of the window of a limit whose code ends with its name, like "user.hour"."""
    return WINDOWS[code.rpartition(".")[2]]


def format_span(seconds: float) -> Sentence:
    """Return a length of time in words, rounded up: "4 minutes"."""
    # Redis returns times with fewer digits, which must not add a minute.
    count = max(1, math.ceil(round(seconds, 1)))
    if count < 100:
        return Sentence("1 second", {"count": count}, "{count} seconds")
    if count < 100 * 60:
        return Sentence("1 minute", {"count": math.ceil(count / 60)}, "{count} minutes")
    return Sentence("1 hour", {"count": math.ceil(count / 3600)}, "{count} hours")


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of a RateLimiter, in seconds."""

    redis: float = 2.0
    """How long a Redis server may take before this process goes on alone."""
    away: float = 30.0
    """For how long it then goes on alone before it tries again, so that not every question waits."""


class RateLimiter:
    """Counts the uses of each person, address, role and server, and refuses those above a limit."""

    def __init__(self, settings: Settings, storage: str = MEMORY, timing: Timing | None = None) -> None:
        """`storage` is "memory" or the address of a Redis server. Raises ConfigError if it is neither."""
        self._settings = settings
        self._local = MovingWindows()
        self._shared = None if storage == MEMORY else _redis(storage)
        self._timing = timing or Timing()
        self._retry_at = 0.0

    def limits_for(self, user: User, command: Command, place: Place, address: str = "") -> list[RateLimit]:
        """Return the limits that apply to `user` for `command` in `place`; `address` is that of their request.

        None apply to whoever runs the bot, who may have a script ask at the terminal.
        """
        return list(self._limits_for(user, place, address)) if command.is_limited and not user.is_operator else []

    def _limits_for(self, user: User, place: Place, address: str) -> Iterator[RateLimit]:
        where = server_scope(place)
        server = f"{where.platform}/{where.server or where.channel}"
        for code in ("cooldown", "user.minute", "user.hour", "user.day"):
            name = f"limits.{code}"
            level = self._settings.effective_level(name, place, user)
            # A limit that was set for a channel counts only the uses in that channel.
            area = f"{server}/{place.channel}" if level.where == CHANNEL else server
            if level.value:
                most, seconds = (1, level.value) if code == "cooldown" else (level.value, _window_of(code))
                yield RateLimit(code, f"{area}/{user.id}/{name}", most, seconds)
        for role in user.roles or ():
            for code in ("role.hour", "role.day"):
                name = f"limits.{code}"
                if most := self._settings.levels(name, place, role)[-1].value:
                    yield RateLimit(code, f"{server}/@{role}/{name}", most, _window_of(code))
        shared = [("server.hour", server), ("server.day", server)]
        # Those who share an address with a moderator must not be able to lock them out.
        if address and not user.is_moderator:
            area = f"{server}/address {address}"
            shared = [("address.minute", area), ("address.hour", area), *shared]
        for code, area in shared:
            name = f"limits.{code}"
            if most := self._settings.value(name, place):
                yield RateLimit(code, f"{area}/{name}", most, _window_of(code))

    def count_request(self, request: Request, *, is_stop: bool) -> None:
        """Count a request, whatever it is. Raises UserError if they come too quickly from its user or its address.

        Those that stop something are counted apart: whoever has sent too much can still stop what is made for them.
        """
        self._count_pace(request, "stops" if is_stop else "requests", MAX_REQUESTS, MAX_REQUESTS_AT_ADDRESS)

    def count_completion(self, request: Request) -> None:
        """Count a request for suggestions, as `count_request` does; these come with every keystroke."""
        self._count_pace(request, "completions", MAX_COMPLETIONS, MAX_COMPLETIONS_AT_ADDRESS)

    def _count_pace(self, request: Request, kind: str, most: int, most_at_address: int) -> None:
        user, platform = request.user, request.place.platform
        if user.is_moderator or user.is_operator:
            return
        if not self._local.take(f"{platform}/{user.id}/{kind}", most, MINUTE_SECONDS):
            raise UserError("You are sending too much at once; wait a moment.")
        by_address = f"{platform}/address {request.address}/{kind}"
        if request.address and not self._local.take(by_address, most_at_address, MINUTE_SECONDS):
            raise UserError("Too many people at your IP address are asking at the moment; try again shortly.")

    def check(self, limits: Sequence[RateLimit]) -> None:
        """Raise LimitReached if one of these is used up by the count of this process; nothing is counted."""
        for limit in limits:
            if (wait := self._local_wait(limit)) > 0:
                raise limit.as_error(wait)

    async def find_reached(self, limits: Sequence[RateLimit]) -> list[LimitReached]:
        """Return an error for each of these that is used up, by the counts of this process and of Redis."""
        waits = [(limit, self._local_wait(limit) or await self._shared_wait(limit)) for limit in limits]
        return [limit.as_error(wait) for limit, wait in waits if wait > 0]

    @asynccontextmanager
    async def count_use(self, limits: Sequence[RateLimit]) -> AsyncIterator[Use]:
        """Count one use under each of these, or raise LimitReached and count none.

        If the use is refunded in the body of the context, it is no longer counted afterwards.
        """
        self.check(limits)
        for limit in limits:
            self._local.take(limit.key, limit.most + self._refunds(limit), limit.seconds)
        use, shared = Use(), list[RateLimit]()
        try:
            for limit in limits:
                wait = await self._take_shared(limit)
                if wait:
                    use.refund()
                    raise limit.as_error(wait)
                if wait is not None:
                    shared.append(limit)
            yield use
        finally:
            if use.is_refunded:
                self._refund_locally(limits)
                await self._refund_shared(shared)

    async def take(self, key: str, most: int, seconds: int) -> tuple[float, int]:
        """Count a call of another server, which all processes may make `most` times within `seconds`.

        Returns in how many seconds it may be made, which is 0 if it was counted, and how many there were. Without Redis
        nothing is counted.
        """
        wait, count, task = 0.0, 0, asyncio.current_task()
        before = 0 if task is None else task.cancelling()
        if (shared := self._reachable_shared()) is not None:
            async with self._local_on_failure():
                is_counted = await shared.acquire_entry(key, most, seconds)
                wait, count = await _window(shared, key, most, seconds)
                wait = 0.0 if is_counted else wait or MIN_WAIT_SECONDS
            # The client of Redis swallows cancellations, and whoever has to wait would go on for a minute.
            if task is not None and task.cancelling() > before:
                raise asyncio.CancelledError
        return wait, count

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._shared is not None:
            await cast(RedispyBridge, self._shared.bridge).storage.aclose()

    # The count of this process

    def _local_wait(self, limit: RateLimit) -> float:
        """Return in how many seconds a use is free; 0 if one is free now."""
        return self._local.wait(limit.key, limit.most + self._refunds(limit), limit.seconds)

    def _refunds(self, limit: RateLimit) -> int:
        return self._local.count(limit.refund_key, limit.seconds)

    def _refund_locally(self, limits: Sequence[RateLimit]) -> None:
        for limit in limits:
            if limit.most == 1:
                self._local.clear(limit.key)
            else:
                self._local.take(limit.refund_key, MAX_REFUNDS, limit.seconds)

    # The count of all processes

    async def _shared_wait(self, limit: RateLimit) -> float:
        if (shared := self._reachable_shared()) is None:
            return 0.0
        async with self._local_on_failure():
            most = limit.most + await self._shared_refunds(shared, limit)
            wait, count = await _window(shared, limit.key, most, limit.seconds)
            return wait if count >= most else 0.0
        return 0.0

    async def _take_shared(self, limit: RateLimit) -> float | None:
        """Count one use in Redis and return 0, or return in how many seconds one is free; None if Redis fails."""
        if (shared := self._reachable_shared()) is None:
            return None
        async with self._local_on_failure():
            most = limit.most + await self._shared_refunds(shared, limit)
            if await shared.acquire_entry(limit.key, most, limit.seconds):
                return 0.0
            return await self._shared_wait(limit) or MIN_WAIT_SECONDS
        return None

    async def _shared_refunds(self, shared: RedisStorage, limit: RateLimit) -> int:
        return (
            0 if limit.most == 1 else (await shared.get_moving_window(limit.refund_key, MAX_REFUNDS, limit.seconds))[1]
        )

    async def _refund_shared(self, limits: Sequence[RateLimit]) -> None:
        for limit in limits:
            if (shared := self._reachable_shared()) is None:
                return
            async with self._local_on_failure():
                if limit.most == 1:
                    await shared.clear(limit.key)
                else:
                    await shared.acquire_entry(limit.refund_key, MAX_REFUNDS, limit.seconds)

    def _reachable_shared(self) -> RedisStorage | None:
        """Return the storage that all processes share; None if there is none, or if it failed a moment ago."""
        return self._shared if time.monotonic() >= self._retry_at else None

    @asynccontextmanager
    async def _local_on_failure(self) -> AsyncIterator[None]:
        """Continue without Redis if the body of the context fails or takes too long."""
        try:
            async with asyncio.timeout(self._timing.redis):
                yield
        except (StorageError, OSError, TimeoutError) as error:
            self._retry_at = time.monotonic() + self._timing.away
            log.warning("Redis cannot be reached, so this process counts alone: %s", error or type(error).__name__)


class Use:
    """A use that was counted."""

    def __init__(self) -> None:
        self.is_refunded = False

    def refund(self) -> None:
        """Have it not counted, since it ended with an error."""
        self.is_refunded = True


async def ping(storage: str, timing: Timing | None = None) -> str:
    """Return a sentence on where uses are counted. Raises ConfigError if the Redis server does not answer."""
    if storage == MEMORY:
        return "This process alone counts how often people ask."
    _redis(storage)
    from redis.asyncio import Redis
    from redis.exceptions import AuthenticationError, AuthorizationError, RedisError

    seconds = (timing or Timing()).redis
    parts = urlsplit(storage)
    where = f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
    try:
        async with asyncio.timeout(seconds), Redis.from_url(storage) as client:
            await client.ping()
    except TimeoutError:
        raise ConfigError(f"Redis at {where} does not answer within {seconds:g} seconds.") from None
    except (AuthenticationError, AuthorizationError):
        raise ConfigError(f"Redis at {where} refuses the user or the password in TEMPERA_LIMITS__STORAGE.") from None
    except (RedisError, OSError, ValueError):
        raise ConfigError(f"Redis does not answer at {where}, which TEMPERA_LIMITS__STORAGE names.") from None
    return f"Redis at {where} answers; it counts how often people ask."


async def _window(shared: RedisStorage, key: str, most: int, seconds: int) -> tuple[float, int]:
    """Return in how many seconds the oldest use in a window is over, and how many there are, up to `most`."""
    start, count = await shared.get_moving_window(key, most, seconds)
    passed = time.time() - start
    if passed < -CLOCK_SKEW_SECONDS:
        await shared.clear(key)
        return 0.0, 0
    return min(max(0.0, seconds - passed), seconds), count


def _redis(address: str) -> RedisStorage:
    if not address.startswith(("redis://", "rediss://")):
        raise ConfigError("limits.storage must be “memory” or begin with redis:// or rediss://.")
    if find_spec("redis") is None:
        raise ConfigError(
            "limits.storage names a Redis server, which needs one more package: pip install 'tempera-bot[redis]'."
        )
    try:
        return RedisStorage(
            f"async+{address}", wrap_exceptions=True, implementation="redispy", key_prefix=REDIS_KEY_PREFIX
        )
    except (ConfigurationError, ValueError):
        raise ConfigError("limits.storage is not the address of a Redis server, like redis://host:6379.") from None
