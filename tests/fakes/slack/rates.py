"""Slack's rate limits: so many calls a minute of a method in a workspace, and messages a second of a channel."""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque

PER_MINUTE = {2: 20, 3: 50, 4: 100, 5: 600}
CHANNEL = "chat.postMessage"
MINUTE = 59.0
"""Seconds. Slack promises these numbers or more; a call may be on its way for longer than the one that it followed."""


class RateTiers:
    """Which calls go too far.

    `scale` is how long a minute lasts, in minutes: 0.1 makes everything ten times as fast. `per_minute` is by tier;
    a channel takes one message a second, after `burst` at once.
    """

    def __init__(self) -> None:
        self.scale = 1.0
        self.per_minute = dict(PER_MINUTE)
        self.burst = 5
        self._calls: dict[str, deque[float]] = defaultdict(deque)
        self._posts: dict[str, tuple[float, float]] = {}

    def wait(self, method: str, tier: int, channel: str) -> int:
        """Count one call; 0, or the whole seconds after which it may be tried again."""
        if method == CHANNEL:
            return self._post(channel)
        calls, now = self._calls[method], time.monotonic()
        minute = MINUTE * self.scale
        while calls and calls[0] <= now - minute:
            calls.popleft()
        if len(calls) >= self.per_minute[tier]:
            return max(1, math.ceil(calls[0] + minute - now))
        calls.append(now)
        return 0

    def _post(self, channel: str) -> int:
        now = time.monotonic()
        saved, since = self._posts.get(channel, (float(self.burst), now))
        saved = min(float(self.burst), saved + (now - since) / self.scale)
        if saved < 1:
            self._posts[channel] = (saved, now)
            return max(1, math.ceil((1 - saved) * self.scale))
        self._posts[channel] = (saved - 1, now)
        return 0
