"""What was measured of one lane's work: how long jobs take, how much they write, how often the cache helps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model_server.jobs import Finished

SMOOTHING = 0.2
"""Weight of the newest job in the running means."""
MEMORY_SECONDS = 30.0
"""Busy seconds after which a token counts for a third in the rate."""
USUAL_OUTPUT = 128.0
"""Tokens that an answer is expected to have before any was seen."""


class ThroughputMeter:
    """Running figures; None, or a guess, before there was anything to measure."""

    def __init__(self) -> None:
        self.mean_seconds: float | None = None
        """How long the worker has a job as a rule."""
        self._mean_tokens: float | None = None
        self._tokens = 0.0
        self._busy = 0.0
        self._since: float | None = None
        self._prompt = self._cached = 0

    @property
    def usual_output(self) -> float:
        """Tokens that an answer has as a rule."""
        return USUAL_OUTPUT if self._mean_tokens is None else self._mean_tokens

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens written in a second of work, by all jobs together, lately."""
        return self._tokens / self._busy if self._tokens and self._busy else None

    @property
    def prefix_hit_rate(self) -> float | None:
        """Which part of all prompt tokens the cache held, from 0 to 1."""
        return self._cached / self._prompt if self._prompt else None

    def finished(self, event: Finished, seconds: float) -> None:
        """A job was answered in full."""
        self.mean_seconds = _moved(self.mean_seconds, seconds)
        if event.completion_tokens:
            self._mean_tokens = _moved(self._mean_tokens, event.completion_tokens)
        self._prompt += event.prompt_tokens
        self._cached += event.cached_tokens

    def tick(self, now: float, tokens: int, *, busy: bool) -> None:
        """`tokens` were written since the last tick; `busy`: there is work to do from now on."""
        if self._since is not None:
            passed = now - self._since
            fading = math.exp(-passed / MEMORY_SECONDS)
            self._tokens, self._busy = self._tokens * fading, self._busy * fading + passed
        self._tokens += tokens
        self._since = now if busy else None


def _moved(mean: float | None, value: float) -> float:
    return value if mean is None else mean + SMOOTHING * (value - mean)
