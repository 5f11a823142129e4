"""The circuit breaker of an upstream: after failures it is passed over for a while, and then tried again."""

from __future__ import annotations

import random
import time

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""How long an upstream is passed over after one failure, in seconds, and at most. Each failure doubles the pause."""
MOST_PATIENCE = 600.0
"""The longest time that an upstream may ask to be left alone for."""
JITTER = 0.25
"""The largest part by which a pause is longer, so that the processes of a bot do not all come back at once."""


def with_jitter(seconds: float) -> float:
    """Return a time that is a little longer, by chance."""
    return seconds * (1 + random.random() * JITTER)  # noqa: S311 - nobody gains by a guess


class Breaker:
    """Knows whether an upstream failed lately."""

    def __init__(self) -> None:
        self._failures = 0
        self._closed_at = 0.0
        self._is_trial = False

    @property
    def is_open(self) -> bool:
        """True while the upstream is passed over if there is another one."""
        return time.monotonic() < self._closed_at

    def begin(self) -> None:
        """Note a request. The first one after a pause is a trial: until it ends, others go elsewhere."""
        if self._failures and not self.is_open:
            self._closed_at = time.monotonic() + self._pause()
            self._is_trial = True

    def record_success(self) -> None:
        """Note that the upstream answered."""
        self._failures, self._closed_at, self._is_trial = 0, 0.0, False

    def record_failure(self, retry_after: float = 0.0) -> None:
        """Note that it did not; `retry_after` is the time in seconds that it asked for."""
        # Many requests that fail together are one failure.
        if not self.is_open or self._is_trial:
            self._failures += 1
        self._is_trial = False
        pause = max(self._pause(), min(retry_after, MOST_PATIENCE))
        self._closed_at = time.monotonic() + with_jitter(pause)

    def _pause(self) -> float:
        return float(min(FIRST_PAUSE * 2 ** min(self._failures - 1, 10), LONGEST_PAUSE))
