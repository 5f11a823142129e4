"""Uses of a command that rate limits count, for the tests of one process and of several."""

import time

import pytest
from fakes.core.requests import ANN, ROOM

from bot.access.rate_limits import RateLimiter
from bot.commands.command import Command
from bot.core.errors import LimitReached
from bot.core.messages import Place, User

ASK = Command(name="ask", description="Ask.", options=(), handler=lambda: None, plugin="ask")


class Clock:
    """A clock that a test moves forward."""

    def __init__(self) -> None:
        self.passed = 0.0
        self._began = time.time()

    def __call__(self) -> float:
        return self._began + self.passed


async def use(
    limits: RateLimiter, user: User = ANN, place: Place = ROOM, *, address: str = "", fails: bool = False
) -> None:
    async with limits.count_use(limits.limits_for(user, ASK, place, address)) as made:
        if fails:
            made.refund()


async def refused(limits: RateLimiter, user: User = ANN, place: Place = ROOM) -> LimitReached:
    """Return the error for `user`, which is raised by the check and by the use itself."""
    with pytest.raises(LimitReached) as at_once:
        limits.check(limits.limits_for(user, ASK, place))
    with pytest.raises(LimitReached):
        await use(limits, user, place)
    return at_once.value
