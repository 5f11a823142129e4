"""Guesses the next tokens of a text from the text itself: prompt lookup decoding (Saxena, 2023).

What follows a token now is often what followed it before, above all where an answer quotes a passage of its prompt. A
guess only saves time: whether it is right is decided by the draw that is made without it as well, as in speculative
sampling (arXiv 2211.17192) between two models that share their randomness.

One equal token is enough for a first guess, because a row more costs little. Longer n-grams were right more often, but
were found so seldom that they saved half as much; the longest one that is found, else a shorter one, saved no more.
"""

from __future__ import annotations

import logging
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

STEP_COSTS = (1.0, 1.05, 1.25, 1.5, 1.75, 2.0, 2.1, 2.25)
"""The time of a step by its number of guesses, in steps without any: as measured on the C++ runner."""
FIRST_RATE = 0.3
"""The share of right guesses that is assumed when an answer begins."""
RATE_SMOOTHING = 0.1
"""Weight of the newest guess in the share of right ones."""
GUESSES_PER_REPORT = 1000


class PromptLookup:
    """Guesses for one sequence, whose `tokens` grow outside. `limit`: the most tokens that it can have.

    It keeps to the place that the text seems to be copied from, and judges every token by it, also those for which
    nothing was guessed, so that it notices when guesses pay again.
    """

    def __init__(self, tokens: Sequence[int], limit: int) -> None:
        self._tokens = tokens
        self._limit = limit
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
        count = min(choose_count(self._rate), self._limit - len(self._tokens) - 1)
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


def choose_count(rate: float) -> int:
    """Return the number of guesses per step that writes the fastest if each is right with the probability `rate`."""
    written = accumulate(rate**count for count in range(len(STEP_COSTS)))
    speeds = [tokens / cost for tokens, cost in zip(written, STEP_COSTS, strict=True)]
    return speeds.index(max(speeds))


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
