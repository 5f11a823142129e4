"""The share of a question's character n-grams that each passage has, which hardly changes with typing errors.

An n-gram has three or four characters, the spaces between words included. Each counts by its rarity, and is stored as
16 bits of a hash: a passage is a short row of numbers, and a question takes one look-up for each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.explain.search.words.vocabulary import words

NGRAM_LENGTHS = (3, 4)
HASH_COUNT = 1 << 16
FACTOR, MIX, HASH_SHIFT = np.uint64(1_000_003), np.uint64(0x9E3779B97F4A7C15), np.uint64(48)


class CharacterNgrams:
    """The character n-grams of some texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        ngrams = [_ngrams(text) for text in texts]
        self._bounds = np.cumsum([0, *map(len, ngrams)])
        self._all_ngrams = np.concatenate(ngrams) if ngrams else np.zeros(0, np.uint16)
        text_counts = np.bincount(self._all_ngrams, minlength=HASH_COUNT)
        self._rarity = np.log1p(len(texts) / (1 + text_counts)).astype(np.float32)

    def overlap(self, question: str, chosen: NDArray[np.intp]) -> NDArray[Any]:
        """Return the share of the question's n-grams, weighted by rarity, that each chosen text has: 0 to 1."""
        in_question = _ngrams(question)
        weights = np.zeros(HASH_COUNT, np.float32)
        weights[in_question] = self._rarity[in_question]
        positions, begins = gather_ranges(self._bounds, chosen)
        shared = np.add.reduceat(weights[self._all_ngrams[positions]], begins)
        return np.asarray(shared / max(float(weights.sum()), 1e-9))


def gather_ranges(bounds: NDArray[np.intp], chosen: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the positions from `bounds[n]` to `bounds[n + 1]` for each chosen n, and where in them each n begins."""
    starts = bounds[chosen]
    counts = bounds[chosen + 1] - starts
    begins = np.cumsum(counts) - counts
    return np.arange(counts.sum()) + np.repeat(starts - begins, counts), begins


def _ngrams(text: str) -> NDArray[np.uint16]:
    """Return the distinct n-grams of a text as hashes; the margin makes sure that there is one."""
    codes = np.frombuffer(f"  {' '.join(words(text))}  ".encode("utf-32-le"), np.uint32).astype(np.uint64)
    hashes = []
    for length in NGRAM_LENGTHS:
        ngrams = np.zeros(len(codes) - length + 1, np.uint64)
        for offset in range(length):
            ngrams = ngrams * FACTOR + codes[offset : offset + len(ngrams)]
        hashes.append((ngrams * MIX >> HASH_SHIFT).astype(np.uint16))
    return np.unique(np.concatenate(hashes))
