"""English words and their frequencies, which tell a typing error from a correct word that the lessons do not have.

pyspellchecker provides the words and their counts in a large collection of texts.
"""

from __future__ import annotations

from functools import cache

MIN_KNOWN_COUNT = 100
"""The count from which on a word is no typing error; rarer entries are mostly outdated spellings."""


def read_words() -> None:
    """Read the words and their counts into memory, which takes a while."""
    _counts()


def is_word(word: str) -> bool:
    """Return True if `word` is English. Here and below, it is in lower case and without apostrophes."""
    return _counts().get(word, 0) >= MIN_KNOWN_COUNT


def frequency(word: str) -> float:
    """Return the share of `word` in English texts, or that of the rarest words if it is none."""
    return max(_counts().get(word, 0), MIN_KNOWN_COUNT) / _total()


@cache
def _counts() -> dict[str, int]:
    from spellchecker import SpellChecker

    counts = SpellChecker(language="en").word_frequency.items()
    # In ascending order, so that of two words that only an apostrophe tells apart the larger count stays.
    return {word.replace("'", ""): count for word, count in sorted(counts, key=lambda item: item[1])}


@cache
def _total() -> int:
    return sum(_counts().values())
