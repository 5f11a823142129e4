"""How many of a question's runs of letters each passage has: alike to typing errors, endings and turns of phrase.

A run is three or four letters, spaces between words included. A run counts by its rarity, and is kept as 16 bits of a
hash, so that what a passage has is a short row of numbers and a question costs one look-up for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from plugins.explain.search.vocabulary import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LENGTHS = (3, 4)
HASHES = 1 << 16
FACTOR, MIX, KEPT_ABOVE = np.uint64(1_000_003), np.uint64(0x9E3779B97F4A7C15), np.uint64(48)


class CharacterNgrams:
    """The runs of letters of some texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        runs = [_runs(text) for text in texts]
        self._bounds = np.cumsum([0, *map(len, runs)])
        self._runs = np.concatenate(runs) if runs else np.zeros(0, np.uint16)
        have = np.bincount(self._runs, minlength=HASHES)
        self._rarity = np.log1p(len(texts) / (1 + have)).astype(np.float32)

    def shares(self, question: str, chosen: NDArray[np.intp]) -> NDArray[Any]:
        """How much of the question each chosen text has: 0 to 1."""
        asked = _runs(question)
        weights = np.zeros(HASHES, np.float32)
        weights[asked] = self._rarity[asked]
        rows, begin = gathered(self._bounds, chosen)
        found = np.add.reduceat(weights[self._runs[rows]], begin)
        return np.asarray(found / max(float(weights.sum()), 1e-9))


def gathered(bounds: NDArray[np.intp], chosen: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The places from `bounds[n]` to `bounds[n + 1]` for each chosen n, and where among them those of each begin."""
    starts = bounds[chosen]
    counts = bounds[chosen + 1] - starts
    begin = np.cumsum(counts) - counts
    return np.arange(counts.sum()) + np.repeat(starts - begin, counts), begin


def _runs(text: str) -> NDArray[np.uint16]:
    """The distinct runs of a text, never none: the margin makes one, too."""
    codes = np.frombuffer(f"  {' '.join(words(text))}  ".encode("utf-32-le"), np.uint32).astype(np.uint64)
    hashes = []
    for length in LENGTHS:
        run = np.zeros(len(codes) - length + 1, np.uint64)
        for place in range(length):
            run = run * FACTOR + codes[place : place + len(run)]
        hashes.append((run * MIX >> KEPT_ABOVE).astype(np.uint16))
    return np.unique(np.concatenate(hashes))
