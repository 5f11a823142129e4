"""Everyday English, for telling a typing error from a word that the lessons do not have.

The words and how often each was counted, in many millions of words, come with pyspellchecker.
"""

from __future__ import annotations

from functools import cache

KNOWN = 100
"""How often a word was counted that is no typing error; below are those that nobody says, among them old spellings."""
USUAL = 1000
"""How often one was counted that is likely to be what somebody meant."""
REACH = 2
"""Letters by which a typed word may differ from what was meant; half of it where it is short."""
SHORT = 7


def is_word(word: str) -> bool:
    """Whether it is English. `word` is in small letters and without apostrophes, here and below."""
    return _counts().get(word, 0) >= KNOWN


def nearest(word: str) -> tuple[str, int] | None:
    """The usual word that differs least, of several the most frequent one; and in how many letters it differs."""
    from rapidfuzz.distance import OSA
    from rapidfuzz.process import extract

    alike = [
        known
        for first in dict.fromkeys(word[:2])
        for known in _usual().get(first, ())
        if abs(len(known) - len(word)) <= REACH
    ]
    reach = REACH if len(word) >= SHORT else REACH // 2
    near = extract(word, alike, scorer=OSA.distance, score_cutoff=reach, limit=None)
    if not near:
        return None
    distance, _, known = min((distance, -_counts()[known], known) for known, distance, _ in near)
    return known, int(distance)


@cache
def _counts() -> dict[str, int]:
    from spellchecker import SpellChecker

    counted = SpellChecker(language="en").word_frequency.items()
    return {word.replace("'", ""): count for word, count in sorted(counted, key=lambda one: one[1])}


@cache
def _usual() -> dict[str, list[str]]:
    by_first: dict[str, list[str]] = {}
    for word, count in _counts().items():
        if count >= USUAL and len(word) > REACH:
            by_first.setdefault(word[0], []).append(word)
    return by_first
