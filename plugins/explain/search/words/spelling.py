"""English words and their frequencies, which tell a typing error from a correct word that the lessons do not have.

pyspellchecker provides the words and their counts in a large collection of texts.
"""

from __future__ import annotations

from functools import cache

MIN_KNOWN_COUNT = 100
"""The count from which on a word is no typing error; rarer entries are mostly outdated spellings."""
MIN_USUAL_COUNT = 1000
"""The count from which on a word is a likely correction."""
MAX_DISTANCE = 2
"""The largest number of letters in which a typed long word may differ from its correction; half of it for a short one.
"""
MIN_LONG_WORD_LETTERS = 7
"""The length from which on a word is long."""


def read_words() -> None:
    """Read the words and their counts into memory, which takes a while."""
    _counts()


def is_word(word: str) -> bool:
    """Return True if `word` is English. Here and below, it is in lower case and without apostrophes."""
    return _counts().get(word, 0) >= MIN_KNOWN_COUNT


def frequency(word: str) -> float:
    """Return the share of `word` in English texts, or that of the rarest words if it is none."""
    return max(_counts().get(word, 0), MIN_KNOWN_COUNT) / _total()


def nearest_word(word: str) -> tuple[str, int] | None:
    """Return the common word with the smallest distance, and the distance; of several the most frequent one."""
    from rapidfuzz.distance import OSA
    from rapidfuzz.process import extract

    candidates = [
        known
        for first in dict.fromkeys(word[:2])
        for known in _usual_words().get(first, ())
        if abs(len(known) - len(word)) <= MAX_DISTANCE
    ]
    max_distance = MAX_DISTANCE if len(word) >= MIN_LONG_WORD_LETTERS else MAX_DISTANCE // 2
    matches = extract(word, candidates, scorer=OSA.distance, score_cutoff=max_distance, limit=None)
    if not matches:
        return None
    distance, _, known = min((distance, -_counts()[known], known) for known, distance, _ in matches)
    return known, int(distance)


@cache
def _counts() -> dict[str, int]:
    from spellchecker import SpellChecker

    counts = SpellChecker(language="en").word_frequency.items()
    # In ascending order, so that of two words that only an apostrophe tells apart the larger count stays.
    return {word.replace("'", ""): count for word, count in sorted(counts, key=lambda item: item[1])}


@cache
def _total() -> int:
    return sum(_counts().values())


@cache
def _usual_words() -> dict[str, list[str]]:
    by_first: dict[str, list[str]] = {}
    for word, count in _counts().items():
        if count >= MIN_USUAL_COUNT and len(word) > MAX_DISTANCE:
            by_first.setdefault(word[0], []).append(word)
    return by_first
