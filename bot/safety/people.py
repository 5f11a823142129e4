"""Finds the names of well-known people (people.txt), even with one typing error."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bot.safety.normalize import to_plain_words
from bot.safety.words import WordMatcher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot.safety.normalize import NormalizedText

PEOPLE_FILE = Path(__file__).parent / "people.txt"
MIN_LETTERS = 8
"""The length from which a name is recognised with one wrong, missing or extra letter, or with two letters swapped."""
MAX_EXACT_LETTERS = 3
"""Words of up to this length must be spelt correctly, because too many words are one letter away from a short one."""
MAX_WORDS = 4


class FamousPeople:
    """The names in a file with one person per line and semicolons between spellings of the name."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text("utf-8").splitlines()
        names = [to_plain_words(name) for line in lines if not line.startswith("#") for name in line.split(";")]
        names = list(filter(None, names))
        long = [name for name in names if len(name) > MIN_LETTERS]
        # Long names are also recognised without their spaces.
        spellings = [*names, *(name.replace(" ", "") for name in long)]
        self._names = WordMatcher({"people": "\n".join([*spellings, *(f"{name}s" for name in spellings)])})
        self._deletions = {shorter for name in long for shorter in _deletions(name)}
        self._longest = 1 + max(map(len, long), default=0)

    def is_named_in(self, normalized: NormalizedText) -> bool:
        """Return whether the text names one of these people."""
        return self._names.find(normalized) is not None or any(
            shorter in self._deletions
            for run in _word_runs(normalized.plain.split(" "), self._longest)
            for shorter in _deletions(run)
        )


def _word_runs(words: list[str], longest: int) -> Iterator[str]:
    """Yield every run of up to MAX_WORDS neighbouring words that is as long as a name must be, and no longer."""
    for start in range(len(words)):
        for end in range(start + 1, min(start + MAX_WORDS, len(words)) + 1):
            run = " ".join(words[start:end])
            if MIN_LETTERS <= len(run) <= longest:
                yield run


def _deletions(name: str) -> set[str]:
    """Return `name`, and `name` with one letter deleted in each possible place.

    Two names that differ by one error share at least one of these strings.
    """
    words = name.split(" ")
    variants = {name}
    for number, word in enumerate(words):
        if len(word) > MAX_EXACT_LETTERS:
            shorter = (word[:place] + word[place + 1 :] for place in range(len(word)))
            variants |= {" ".join([*words[:number], short, *words[number + 1 :]]) for short in shorter}
    return variants


@cache
def famous_people() -> FamousPeople:
    """Return the people of people.txt, which is read once."""
    return FamousPeople(PEOPLE_FILE)
