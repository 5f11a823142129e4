"""Guesses the next tokens of a text from the text itself: prompt lookup decoding (Saxena, 2023).

What follows a token now is often what followed it before, above all where an answer quotes a passage of its prompt. A
guess only saves time: whether it is right is decided by the draw that is made without it as well, as in speculative
sampling (arXiv 2211.17192) between two models that share their randomness.

One equal token is enough for a first guess, because a row more costs little. Longer n-grams were right more often, but
were found so seldom that they saved half as much; the longest one that is found, else a shorter one, saved no more.
"""

from __future__ import annotations

import logging
import time
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

MEASURED_ROWS = (1, 2, 4, 8)
MEASUREMENTS = 3
"""How often the time of a step is measured at most; the shortest one counts."""
LONG_STEP_SECONDS = 0.3
"""A step that takes longer is measured once: noise is small beside it, and the model should be ready soon."""
FIRST_RATE = 0.3
"""The share of right guesses that is assumed when an answer begins."""
RATE_SMOOTHING = 0.1
"""Weight of the newest guess in the share of right ones."""
GUESSES_PER_REPORT = 1000


class PromptLookup:
    """Guesses for one sequence, whose `tokens` grow outside. `limit`: the most tokens that it can have.

    `costs`: the time of a step by its number of guesses, in steps without any.
    It keeps to the place that the text seems to be copied from, and judges every token by it, also those for which
    nothing was guessed, so that it notices when guesses pay again.
    """

    def __init__(self, tokens: Sequence[int], limit: int, costs: Sequence[float]) -> None:
        self._tokens = tokens
        self._limit = limit
        self._costs = costs
        self._followers: dict[int, int] = {}
        """The place after the last occurrence of each token, but for the end of the text."""
        self._seen = 0
        self._source: int | None = None
        """The place of the token that is probably the next one, too."""
        self._rate = FIRST_RATE

    def guess(self) -> tuple[int, ...]:
        """Return the tokens that probably come next, as many as are worth their time; perhaps none."""
        self._read_new_tokens()
        if self._source is None:
            return ()
        # The step draws one token more than it guesses.
        count = min(choose_count(self._rate, self._costs), self._limit - len(self._tokens) - 1)
        return tuple(self._tokens[self._source : self._source + count])

    def _read_new_tokens(self) -> None:
        tokens = self._tokens
        if not self._seen:
            self._followers = dict(zip(tokens, range(1, len(tokens)), strict=False))
            self._seen = len(tokens)
            self._source = self._followers.get(tokens[-1])
        for place in range(self._seen, len(tokens)):
            self._followers[tokens[place - 1]] = place
            if self._source is not None:
                is_right = tokens[self._source] == tokens[place]
                self._rate += RATE_SMOOTHING * (is_right - self._rate)
                self._source = self._source + 1 if is_right else None
            if self._source is None:
                self._source = self._followers.get(tokens[place])
        self._seen = len(tokens)


def choose_count(rate: float, costs: Sequence[float]) -> int:
    """Return the number of guesses per step that writes the fastest if each is right with the probability `rate`."""
    written = accumulate(rate**count for count in range(len(costs)))
    speeds = [tokens / cost for tokens, cost in zip(written, costs, strict=True)]
    return speeds.index(max(speeds))


def measure_step_costs(compute: Callable[[int], object]) -> tuple[float, ...]:
    """Return the time of a step with 0 to 7 guesses, in steps without any. `compute` computes that many rows.

    It depends on the runner and the machine: where the memory decides, a second row is nearly free.
    """
    times: list[float] = []
    for rows in MEASURED_ROWS:
        taken = []
        for _ in range(MEASUREMENTS):
            began = time.perf_counter()
            compute(rows)
            taken.append(time.perf_counter() - began)
            if taken[-1] > LONG_STEP_SECONDS:
                break
        # More rows never take less: that was noise.
        times.append(max([min(taken), *times[-1:]]))
    costs = [times[0]]
    for (few, short), (many, long) in pairwise(zip(MEASURED_ROWS, times, strict=True)):
        costs += [short + (long - short) * (rows - few) / (many - few) for rows in range(few + 1, many + 1)]
    return tuple(cost / times[0] for cost in costs)


class GuessLog:
    """Tells the log from time to time how many guesses were right."""

    def __init__(self) -> None:
        self._guessed = self._right = 0

    def record(self, guessed: int, right: int) -> None:
        """Count the guesses of one step."""
        before = self._guessed // GUESSES_PER_REPORT
        self._guessed += guessed
        self._right += right
        if self._guessed // GUESSES_PER_REPORT > before:
            log.info("%d tokens were guessed: %.0f%% were right.", self._guessed, 100 * self._right / self._guessed)
