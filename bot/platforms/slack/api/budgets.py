"""What may still be asked of Slack: so many calls a minute of each method, and one message a second in a channel.

All answers of a workspace share these. A method has a `RateBudget` of bot/core/throttle.py; a channel has a
`ChannelQueue`, since messages in a channel have to come in order.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from bot.core.throttle import RateBudget, Throttle

if TYPE_CHECKING:
    from collections.abc import Callable

POST, UPDATE, DELETE, WHISPER = "chat.postMessage", "chat.update", "chat.delete", "chat.postEphemeral"
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
    # Slack names no number for these two; posting has its limit in each channel.
    POST: 300,
    STATUS: 100,
}
"""Calls of a method in any sixty seconds, all workspaces' tiers alike; for the others it is tier 4."""
POST_SECONDS, POST_BURST = 1.0, 3


class ChannelQueue:
    """Who may post next in one channel: one every second in order of asking, after a few at once."""

    def __init__(self) -> None:
        self._free = -math.inf

    def delay(self) -> float:
        """Seconds until the next turn; 0 for at once."""
        return max(0.0, self._free - _now())

    async def next(self) -> None:
        """Wait for a turn, and take it."""
        mine = max(self._free, _now() - (POST_BURST - 1) * POST_SECONDS)
        self._free = mine + POST_SECONDS
        await asyncio.sleep(max(0.0, mine - _now()))

    def block_for(self, seconds: float) -> None:
        """Give no turn for `seconds`, as a Retry-After asks."""
        self._free = max(self._free, _now() + seconds)


class RateBudgets:
    """The allowances of one workspace."""

    def __init__(self) -> None:
        self._methods: dict[str, RateBudget] = {}
        self._channels: dict[str, ChannelQueue] = {}

    def of(self, method: str) -> RateBudget:
        """The allowance of a method."""
        return self._methods.setdefault(method, RateBudget(PER_MINUTE.get(method, TIER_4)))

    def turns(self, channel: str) -> ChannelQueue:
        """The allowance for posting in a channel."""
        return self._channels.setdefault(channel, ChannelQueue())

    async def spend(self, method: str, channel: str = "") -> None:
        """Wait until a call may be made, as for a final snapshot, and count it."""
        if method == POST:
            await self.turns(channel).next()
        budget = self.of(method)
        # Others may have spent what was there when this one began to wait.
        while delay := budget.delay(final=True):  # noqa: ASYNC110 - it is time that is waited for
            await asyncio.sleep(delay)
        budget.spend()

    def block_for(self, seconds: float, method: str, channel: str = "") -> None:
        """Let nothing of that kind pass for `seconds`."""
        if method == POST and channel:
            self.turns(channel).block_for(seconds)
        else:
            self.of(method).block_for(seconds)


class ViewThrottle(Throttle):
    """When the next snapshot of an answer may go out: `allowance` tells for how long it cannot be shown yet.

    The last one is let through at once: what shows it waits for each of its calls.
    """

    def __init__(self, allowance: Callable[[], float]) -> None:
        super().__init__(0.0)
        self._allowance = allowance

    def delay(self, *, final: bool) -> float:
        """Seconds until a snapshot may be sent; 0 for at once."""
        return 0.0 if final else self._allowance()


def _now() -> float:
    return asyncio.get_running_loop().time()
