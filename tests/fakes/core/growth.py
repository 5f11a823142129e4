"""How the time of a function grows with its text."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

REPEATS = 5
SHORTEST_SECONDS = 50e-6
"""Shorter times are mostly those of the clock, so they count as this one."""


def growth(function: Callable[[str], object], piece: str, characters: int) -> float:
    """Return how many times as long `function` takes for a text of four times as many characters, of `piece` alone.

    A linear function gives 4 or less, a quadratic one 16. Each time is the best of several, in seconds of this process.
    """
    return _fastest(function, piece, 4 * characters) / max(SHORTEST_SECONDS, _fastest(function, piece, characters))


def _fastest(function: Callable[[str], object], piece: str, characters: int) -> float:
    text = (piece * (characters // len(piece) + 1))[:characters]
    return min(_measure(function, text) for _ in range(REPEATS))


def _measure(function: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    function(text)
    return time.process_time() - start
