"""How often somebody may ask: cooldowns and quotas, counted in moving windows.

This process counts in its memory, which is known at once. With a Redis server all processes count there, too; while it
cannot be reached, each goes on with what it has counted itself. A limit that was set for a channel counts what is asked
in that channel alone.
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

from limits.aio.storage import RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge
from limits.errors import ConfigurationError, StorageError
from limits.storage import MemoryStorage

from bot.core.errors import ConfigError, LimitReached
from bot.core.i18n import Sentence
from bot.settings.scopes import home
from bot.settings.setting import CHANNEL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from bot.commands.command import Command
    from bot.core.messages import Place, User
    from bot.settings.resolver import Settings

log = logging.getLogger(__name__)

HOUR, DAY = 3600, 24 * 3600
REDIS_SECONDS = 2.0
"""How long a Redis server may take before this process goes on alone."""
AWAY_SECONDS = 30.0
"""For how long it then goes on alone before it tries again, so that not every question waits."""
MEMORY = "memory"
MANY = 10**6
"""More than anybody can be given back."""
LEAST_SECONDS = 1.0
"""How long to wait when a use was taken by somebody else in this very moment."""
PREFIX = "tempera"
SENTENCES = {
    "cooldown": Sentence("Between two questions of one person must be {span} here. You can ask again in {wait}."),
    "user": Sentence(
        "The limit here is {most} {span} for each person, and yours is used up. You can ask again in {wait}."
    ),
    "role": Sentence(
        "The limit here is {most} {span} for all with one of your roles, and it is used up. Ask again in {wait}."
    ),
    "server": Sentence("The limit here is {most} {span} for the whole server, and it is used up. Ask again in {wait}."),
}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One limit: `most` times within `seconds`, counted under `key`; `code` is "user.hour", `setting` where it is."""

    code: str
    key: str
    most: int
    seconds: int
    setting: str

    @property
    def given_back(self) -> str:
        """Where it is counted what was given back."""
        return f"{self.key}/back"

    def reached(self, wait: float) -> LimitReached:
        """What is raised when it is used up for `wait` seconds more."""
        kind = self.code.split(".")[0]
        per = Sentence("per hour") if self.seconds == HOUR else Sentence("per day")
        about = span(self.seconds) if kind == "cooldown" else per
        return LimitReached(
            SENTENCES[kind].text, code=self.code, retry_after=wait, most=self.most, span=about, wait=span(wait)
        )


def span(seconds: float) -> Sentence:
    """A time in words, rounded up: "4 minutes"."""
    # Redis gives times back with fewer digits, which alone must not make a minute more of it.
    count = max(1, math.ceil(round(seconds, 1)))
    if count < 100:
        return Sentence("1 second") if count == 1 else Sentence("{count} seconds", {"count": count})
    if count < 100 * 60:
        return Sentence("{count} minutes", {"count": math.ceil(count / 60)})
    return Sentence("{count} hours", {"count": math.ceil(count / 3600)})


class RateLimiter:
    """Counts who asks how often."""

    def __init__(self, settings: Settings, storage: str = MEMORY) -> None:
        """`storage` is "memory" or the address of a Redis server. Raises ConfigError if it is neither."""
        self._settings = settings
        self._here = MemoryStorage()
        self._shared = None if storage == MEMORY else _redis(storage)
        self._away_until = 0.0

    def on(self, user: User, command: Command, place: Place) -> list[RateLimit]:
        """The limits that count for `command` of `user` in `place`."""
        return list(self._on(user, place)) if command.is_limited else []

    def _on(self, user: User, place: Place) -> Iterator[RateLimit]:
        where = home(place)
        server = f"{where.platform}/{where.server or where.channel}"
        for name, seconds in (("limits.cooldown", 0), ("limits.user.hour", HOUR), ("limits.user.day", DAY)):
            level = self._settings.source(name, place, user)
            # What was set for a channel is counted apart from what is asked elsewhere.
            area = f"{server}/{place.channel}" if level.where == CHANNEL else server
            key = f"{area}/{user.id}/{name}"
            if level.value and not seconds:
                yield RateLimit("cooldown", key, 1, level.value, name)
            elif level.value:
                yield RateLimit(name.removeprefix("limits."), key, level.value, seconds, name)
        for role in user.roles or ():
            for name, seconds in (("limits.role.hour", HOUR), ("limits.role.day", DAY)):
                level = self._settings.levels(name, place, role)[-1]
                if level.value:
                    key = f"{server}/@{role}/{name}"
                    yield RateLimit(name.removeprefix("limits."), key, level.value, seconds, name)
        for name, seconds in (("limits.server.hour", HOUR), ("limits.server.day", DAY)):
            if most := self._settings.value(name, place):
                yield RateLimit(name.removeprefix("limits."), f"{server}/{name}", most, seconds, name)

    def check(self, limits: Sequence[RateLimit]) -> None:
        """Raise LimitReached if one of these is used up, as far as this process has counted. Takes nothing."""
        for limit in limits:
            if (wait := self._wait(limit)) > 0:
                raise limit.reached(wait)

    async def used_up(self, limits: Sequence[RateLimit]) -> list[LimitReached]:
        """Those that are used up, as far as can be found out."""
        waits = [(limit, self._wait(limit) or await self._shared_wait(limit)) for limit in limits]
        return [limit.reached(wait) for limit, wait in waits if wait > 0]

    @asynccontextmanager
    async def taken(self, limits: Sequence[RateLimit]) -> AsyncIterator[Use]:
        """Count one use under each of these, or raise LimitReached and count none. At the end it may be given back."""
        self.check(limits)
        for limit in limits:
            self._here.acquire_entry(limit.key, limit.most + self._back(limit), limit.seconds)
        use, shared = Use(), list[RateLimit]()
        try:
            for limit in limits:
                wait = await self._take_shared(limit)
                if wait:
                    use.give_back()
                    raise limit.reached(wait)
                if wait is not None:
                    shared.append(limit)
            yield use
        finally:
            if use.is_given_back:
                self._give_back(limits)
                await self._give_back_shared(shared)

    async def close(self) -> None:
        """Let go of the connections to Redis."""
        if self._shared is not None:
            await cast(RedispyBridge, self._shared.bridge).storage.aclose()

    # What this process has counted

    def _wait(self, limit: RateLimit) -> float:
        """In how many seconds one use is free; 0 for now."""
        used, most = self._here.events.get(limit.key, []), limit.most + self._back(limit)
        return max(0.0, used[most - 1].atime + limit.seconds - time.time()) if len(used) >= most else 0.0

    def _back(self, limit: RateLimit) -> int:
        return self._here.get_moving_window(limit.given_back, MANY, limit.seconds)[1]

    def _give_back(self, limits: Sequence[RateLimit]) -> None:
        for limit in limits:
            if limit.most == 1:
                self._here.clear(limit.key)
            else:
                self._here.acquire_entry(limit.given_back, MANY, limit.seconds)

    # What all processes have counted

    async def _shared_wait(self, limit: RateLimit) -> float:
        if (shared := self._reachable()) is None:
            return 0.0
        async with self._alone_if_need_be():
            most = limit.most + await self._shared_back(shared, limit)
            start, count = await shared.get_moving_window(limit.key, most, limit.seconds)
            return max(0.0, start + limit.seconds - time.time()) if count >= most else 0.0
        return 0.0

    async def _take_shared(self, limit: RateLimit) -> float | None:
        """Take one use, and 0; or else in how many seconds one is free. None if it is not counted there."""
        if (shared := self._reachable()) is None:
            return None
        async with self._alone_if_need_be():
            most = limit.most + await self._shared_back(shared, limit)
            if await shared.acquire_entry(limit.key, most, limit.seconds):
                return 0.0
            return await self._shared_wait(limit) or LEAST_SECONDS
        return None

    async def _shared_back(self, shared: RedisStorage, limit: RateLimit) -> int:
        return 0 if limit.most == 1 else (await shared.get_moving_window(limit.given_back, MANY, limit.seconds))[1]

    async def _give_back_shared(self, limits: Sequence[RateLimit]) -> None:
        for limit in limits:
            if (shared := self._reachable()) is None:
                return
            async with self._alone_if_need_be():
                if limit.most == 1:
                    await shared.clear(limit.key)
                else:
                    await shared.acquire_entry(limit.given_back, MANY, limit.seconds)

    def _reachable(self) -> RedisStorage | None:
        """What all processes count in, unless it did not do its part a moment ago."""
        return self._shared if time.monotonic() >= self._away_until else None

    @asynccontextmanager
    async def _alone_if_need_be(self) -> AsyncIterator[None]:
        """Go on without Redis if it does not do its part in time."""
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                yield
        except (StorageError, OSError, TimeoutError) as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            log.warning("Redis does not count along: %s", error or type(error).__name__)


class Use:
    """One use that was counted."""

    def __init__(self) -> None:
        self.is_given_back = False

    def give_back(self) -> None:
        """Let it cost nothing, since nothing came of it."""
        self.is_given_back = True


def _redis(address: str) -> RedisStorage:
    if not address.startswith(("redis://", "rediss://")):
        raise ConfigError("limits.storage must be “memory” or begin with redis:// or rediss://.")
    if find_spec("redis") is None:
        raise ConfigError(
            "limits.storage names a Redis server, which needs one more package: pip install 'tempera-bot[redis]'."
        )
    try:
        return RedisStorage(f"async+{address}", wrap_exceptions=True, implementation="redispy", key_prefix=PREFIX)
    except (ConfigurationError, ValueError):
        raise ConfigError("limits.storage is not the address of a Redis server, like redis://host:6379.") from None
