"""Slack's rate limits: calls of a method per minute in a workspace, and messages per second in a channel."""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque

PER_MINUTE = {2: 20, 3: 50, 4: 100, 5: 600}
POST = "chat.postMessage"
MINUTE_SECONDS = 59.0
"""Seconds in which calls are counted: less than 60, because calls may arrive closer together than they were sent."""


class RateTiers:
    """Counts calls, and finds those that exceed a rate limit.

    `scale` is the length of a minute in minutes: 0.1 makes everything ten times as fast. `per_minute` is by tier; a
    channel takes `burst` messages at once, then one per second.
    """

    def __init__(self) -> None:
        self.scale = 1.0
        self.per_minute = dict(PER_MINUTE)
        self.burst = 5
        self._calls: dict[str, deque[float]] = defaultdict(deque)
        self._posts: dict[str, tuple[float, float]] = {}

    def wait(self, method: str, tier: int, channel: str) -> int:
        """Count one call. Return 0 if it is allowed, else the Retry-After in whole seconds."""
        if method == POST:
            return self._post(channel)
        calls, now = self._calls[method], time.monotonic()
        minute = MINUTE_SECONDS * self.scale
        while calls and calls[0] <= now - minute:
            calls.popleft()
        if len(calls) >= self.per_minute[tier]:
            return max(1, math.ceil(calls[0] + minute - now))
        calls.append(now)
        return 0

    def _post(self, channel: str) -> int:
        now = time.monotonic()
        allowed, since = self._posts.get(channel, (float(self.burst), now))
        allowed = min(float(self.burst), allowed + (now - since) / self.scale)
        if allowed < 1:
            self._posts[channel] = (allowed, now)
            return max(1, math.ceil((1 - allowed) * self.scale))
        self._posts[channel] = (allowed - 1, now)
        return 0
