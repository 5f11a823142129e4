"""Rate limits of the Web API: calls of each method per minute, and one message per second in a channel.

All answers in a workspace share them, with Redis those of all processes. A method has a `RateBudget` of
bot/core/throttle.py; a channel has a `ChannelQueue`, because messages in a channel must stay in order.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from bot.core.throttle import MINUTE_SECONDS, RateBudget, Throttle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Take = Callable[[str, int, int], Awaitable[tuple[float, int]]]

POST, UPDATE, DELETE, POST_EPHEMERAL = "chat.postMessage", "chat.update", "chat.delete", "chat.postEphemeral"
START, APPEND, STOP = "chat.startStream", "chat.appendStream", "chat.stopStream"
STATUS = "assistant.threads.setStatus"
UPLOAD, FILE, DELETE_FILE = "files.getUploadURLExternal", "files.info", "files.delete"

TIER_2, TIER_3, TIER_4 = 20, 50, 100
PER_MINUTE = {
    START: TIER_2,
    STOP: TIER_2,
    UPDATE: TIER_3,
    DELETE: TIER_3,
    "conversations.list": TIER_2,
    "conversations.open": TIER_3,
    DELETE_FILE: TIER_3,
    # Slack documents no number for these two; posting is limited per channel.
    POST: 300,
    STATUS: 100,
}
"""Calls of a method allowed in any sixty seconds. Methods that are not listed have those of tier 4."""
POST_SECONDS, POST_BURST = 1.0, 3


class ChannelQueue:
    """Lets callers post in one channel in order: the first few at once, then one every second."""

    def __init__(self) -> None:
        self._next_turn = -math.inf
        self.first = asyncio.Lock()
        """Held by the first of those who have had their turn here while other processes post there."""

    def delay(self) -> float:
        """Return the seconds until the next free turn; 0 means now."""
        return max(0.0, self._next_turn - _now())

    async def take_turn(self) -> None:
        """Wait for the next turn and take it."""
        turn = max(self._next_turn, _now() - (POST_BURST - 1) * POST_SECONDS)
        self._next_turn = turn + POST_SECONDS
        await asyncio.sleep(max(0.0, turn - _now()))

    def block_for(self, seconds: float) -> None:
        """Give no turn for `seconds`, as a Retry-After header asks."""
        self._next_turn = max(self._next_turn, _now() + seconds)


class RateBudgets:
    """The rate limits of one workspace, shared by all answers."""

    def __init__(self) -> None:
        self._methods: dict[str, RateBudget] = {}
        self._channels: dict[str, ChannelQueue] = {}
        self._take: Take | None = None
        self._name = ""

    def share(self, take: Take, workspace: str) -> None:
        """Count all calls by `take` as well, which is `RateLimiter.take`."""
        self._take, self._name = take, f"slack calls/{workspace}"

    def method_budget(self, method: str) -> RateBudget:
        """Return the budget of a method."""
        return self._methods.setdefault(method, RateBudget(PER_MINUTE.get(method, TIER_4)))

    def channel_queue(self, channel: str) -> ChannelQueue:
        """Return the queue for posting in a channel."""
        return self._channels.setdefault(channel, ChannelQueue())

    async def spend(self, method: str, channel: str = "") -> None:
        """Wait until a call is allowed, and count it. It may use the part that is reserved for final snapshots."""
        if method == POST:
            await self._take_turn(channel)
        budget = self.method_budget(method)
        # Other calls may have used up the budget while this one waited.
        while delay := budget.delay(final=True) or await self._count_call(method, budget):  # noqa: ASYNC110 - time must pass
            await asyncio.sleep(delay)

    async def _take_turn(self, channel: str) -> None:
        """Wait until a message may be posted in a channel."""
        queue = self.channel_queue(channel)
        await queue.take_turn()
        async with queue.first:
            while delay := await self._count_post(channel):  # noqa: ASYNC110 - time must pass
                await asyncio.sleep(delay)

    async def _count_post(self, channel: str) -> float:
        """Count a message among those of all processes; return in how many seconds it is allowed, 0 for now."""
        delay, _ = await self._count(channel, POST_BURST, math.ceil(POST_BURST * POST_SECONDS))
        return delay

    async def _count_call(self, method: str, budget: RateBudget) -> float:
        """Do the same with a call, and count it in the budget of this process."""
        # First, so that others here do not take it for one of another process.
        budget.spend()
        delay, count = await self._count(method, PER_MINUTE.get(method, TIER_4), int(MINUTE_SECONDS))
        if delay:
            budget.take_back()
        budget.note_total(count)
        return delay

    async def _count(self, name: str, most: int, seconds: int) -> tuple[float, int]:
        return (0.0, 0) if self._take is None else await self._take(f"{self._name}/{name}", most, seconds)

    def block_for(self, seconds: float, method: str, channel: str = "") -> None:
        """Allow no call of this method (for posts: in this channel) for `seconds`."""
        if method == POST and channel:
            self.channel_queue(channel).block_for(seconds)
        else:
            self.method_budget(method).block_for(seconds)


class ViewThrottle(Throttle):
    """Paces the snapshots of one answer; `snapshot_delay` returns the seconds until the next one can be shown.

    The final snapshot passes at once, because the view waits for the budget of each of its calls.
    """

    def __init__(self, snapshot_delay: Callable[[], float]) -> None:
        super().__init__(0.0)
        self._snapshot_delay = snapshot_delay

    def delay(self, *, final: bool, first: bool = False) -> float:
        """Return the seconds until a snapshot may be sent; 0 means now."""
        return 0.0 if final else self._snapshot_delay()


def _now() -> float:
    return asyncio.get_running_loop().time()
