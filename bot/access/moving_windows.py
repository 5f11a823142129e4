"""Counts of what happened lately, in the memory of this process."""

from __future__ import annotations

from bisect import bisect_left
from time import monotonic

MIN_KEYS = 10_000
"""With fewer keys, those that count nothing any more are not looked for."""


class MovingWindows:
    """Counts uses under keys, each in a window of time that moves on. A key has the same length of window each time.

    The clock is the monotonic one: a wall clock that is set back would keep uses in their windows for longer.
    """

    def __init__(self) -> None:
        self._uses: dict[str, tuple[list[float], float]] = {}
        """By key, the times of its uses, the oldest first, and the length of the window."""
        self._most_keys = MIN_KEYS

    def __len__(self) -> int:
        return len(self._uses)

    def take(self, key: str, most: int, seconds: float) -> bool:
        """Count a use now; return False, and count none, if there are as many as `most` in the window."""
        times = self._times(key, seconds)
        if len(times) >= most:
            return False
        times.append(monotonic())
        self._uses[key] = times, seconds
        self._forget_idle_keys()
        return True

    def count(self, key: str, seconds: float) -> int:
        """Return the number of uses in the window."""
        return len(self._times(key, seconds))

    def wait(self, key: str, most: int, seconds: float) -> float:
        """Return in how many seconds there are fewer than `most` uses in the window; 0 for now."""
        times = self._times(key, seconds)
        return max(0.0, times[-most] + seconds - monotonic()) if len(times) >= most else 0.0

    def clear(self, key: str) -> None:
        """Forget all uses under a key."""
        self._uses.pop(key, None)

    def _times(self, key: str, seconds: float) -> list[float]:
        times, _ = self._uses.get(key, ([], seconds))
        del times[: bisect_left(times, monotonic() - seconds)]
        return times

    def _forget_idle_keys(self) -> None:
        """Remove the keys that count nothing any more: each visitor ever seen has some."""
        if len(self._uses) >= self._most_keys:
            now = monotonic()
            self._uses = {key: use for key, use in self._uses.items() if use[0] and use[0][-1] + use[1] > now}
            self._most_keys = max(MIN_KEYS, 2 * len(self._uses))
