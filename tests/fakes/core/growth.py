"""How the time of a function grows with its text."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ATTEMPTS, SURELY_LINEAR = 3, 6
REPEATS = 5
SHORTEST_SECONDS = 50e-6
"""Shorter times are mostly those of the clock, so they count as this one."""


def growth(function: Callable[[str], object], piece: str, characters: int) -> float:
    """Return how many times as long `function` takes for a text of four times as many characters, of `piece` alone.

    A linear function gives 4 or less, a quadratic one 16. Each time is the best of several, in seconds of this process.
    A result that does not look linear is measured again, because the machine may have been slowed in between.
    """
    found = float("inf")
    for _ in range(ATTEMPTS):
        longer = _fastest(function, piece, 4 * characters)
        found = min(found, longer / max(SHORTEST_SECONDS, _fastest(function, piece, characters)))
        if found < SURELY_LINEAR:
            break
    return found


def _fastest(function: Callable[[str], object], piece: str, characters: int) -> float:
    text = (piece * (characters // len(piece) + 1))[:characters]
    return min(_measure(function, text) for _ in range(REPEATS))


def _measure(function: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    function(text)
    return time.process_time() - start
