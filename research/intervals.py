"""How sure counts are: the interval of a share, and whether one of two sides is worse on the same questions."""

from __future__ import annotations

import math
from statistics import NormalDist

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05
"""The probability of a sign test below which one side counts as worse."""


def wilson_interval(hits: int, attempts: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, “Probable inference”, 1927)."""
    if not attempts:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share, scale = hits / attempts, 1 + z * z / attempts
    middle = (share + z * z / (2 * attempts)) / scale
    half = z * math.sqrt(share * (1 - share) / attempts + z * z / (4 * attempts * attempts)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


def sign_test(better: int, worse: int) -> float:
    """Return how probable it is, between equals, to be better no more often than `better` times.

    Counted are the pairs in which the two sides differ. This is the exact sign test, one-sided.
    """
    pairs = better + worse
    at_most: int = sum(math.comb(pairs, count) for count in range(better + 1))
    return at_most / (1 << pairs)


def share(hits: int, attempts: int) -> str:
    """Return a count with its share and the interval of that."""
    if not attempts:
        return "0 of 0"
    low, high = wilson_interval(hits, attempts)
    return f"{hits} of {attempts} ({hits / attempts:.1%}, {100 * low:.1f} to {100 * high:.1f})"
