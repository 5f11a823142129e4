"""Measures the work of one queue: seconds per job, tokens per second, hits in the prefix cache."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model_server.jobs import Finished

SMOOTHING = 0.2
"""Weight of the newest job in the moving averages."""
DECAY_SECONDS = 30.0
"""Busy seconds after which a token counts for 1/e in the rate."""
DEFAULT_OUTPUT_TOKENS = 128.0
"""Tokens that an answer is expected to have before the first one was measured."""


class ThroughputMeter:
    """Moving averages; None, or a default, before there was anything to measure."""

    def __init__(self) -> None:
        self.mean_seconds: float | None = None
        """Mean time that a job spends in the worker."""
        self._mean_tokens: float | None = None
        self._tokens = 0.0
        self._busy = 0.0
        self._since: float | None = None
        self._prompt = self._cached = 0

    @property
    def expected_output_tokens(self) -> float:
        """The mean number of tokens of an answer."""
        return DEFAULT_OUTPUT_TOKENS if self._mean_tokens is None else self._mean_tokens

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens that all jobs together wrote in a second of work, averaged over the recent past."""
        return self._tokens / self._busy if self._tokens and self._busy else None

    @property
    def prefix_hit_rate(self) -> float | None:
        """The share of all prompt tokens that the cache held, from 0 to 1."""
        return self._cached / self._prompt if self._prompt else None

    def record_finished(self, event: Finished, seconds: float) -> None:
        """Note a job that finished after `seconds` in the worker."""
        self.mean_seconds = _move_average(self.mean_seconds, seconds)
        if event.completion_tokens:
            self._mean_tokens = _move_average(self._mean_tokens, event.completion_tokens)
        self._prompt += event.prompt_tokens
        self._cached += event.cached_tokens

    def tick(self, now: float, tokens: int, *, busy: bool) -> None:
        """Note that `tokens` were written since the last tick, and whether there is work to do from now on."""
        if self._since is not None:
            passed = now - self._since
            fading = math.exp(-passed / DECAY_SECONDS)
            self._tokens, self._busy = self._tokens * fading, self._busy * fading + passed
        self._tokens += tokens
        self._since = now if busy else None


def _move_average(mean: float | None, value: float) -> float:
    return value if mean is None else mean + SMOOTHING * (value - mean)
