"""Well-known people by name (people.txt), also with a typing error in it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bot.safety.normalize import plain_words
from bot.safety.words import WordMatcher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot.safety.normalize import NormalizedText

PEOPLE_FILE = Path(__file__).parent / "people.txt"
MIN_LETTERS = 8
"""Of a name that is known again with one letter wrong, missing, too much, or two exchanged."""
MAX_EXACT_LETTERS = 3
"""Letters of the longest word that has to be right: too many words are one letter away from a short one."""
MAX_WORDS = 4


class FamousPeople:
    """The names in a file, one person a line, other ways to write the name after semicolons."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text("utf-8").splitlines()
        names = [plain_words(name) for line in lines if not line.startswith("#") for name in line.split(";")]
        names = list(filter(None, names))
        long = [name for name in names if len(name) > MIN_LETTERS]
        # Long names are known without their spaces, too.
        written = [*names, *(name.replace(" ", "") for name in long)]
        self._names = WordMatcher({"people": "\n".join([*written, *(f"{name}s" for name in written)])})
        self._nearly = {shorter for name in long for shorter in _deletions(name)}

    def find(self, reading: NormalizedText) -> bool:
        """Whether somebody is named."""
        return self._names.find(reading) is not None or any(
            shorter in self._nearly for words in _word_runs(reading.plain.split(" ")) for shorter in _deletions(words)
        )


def _word_runs(words: list[str]) -> Iterator[str]:
    for start in range(len(words)):
        for end in range(start + 1, min(start + MAX_WORDS, len(words)) + 1):
            run = " ".join(words[start:end])
            if len(run) >= MIN_LETTERS:
                yield run


def _deletions(name: str) -> set[str]:
    """`name`, and `name` without one of its letters: two that differ by one error have one of these in common."""
    words = name.split(" ")
    found = {name}
    for number, word in enumerate(words):
        if len(word) > MAX_EXACT_LETTERS:
            shorter = (word[:place] + word[place + 1 :] for place in range(len(word)))
            found |= {" ".join([*words[:number], short, *words[number + 1 :]]) for short in shorter}
    return found


@cache
def famous_people() -> FamousPeople:
    """The people of people.txt, read once."""
    return FamousPeople(PEOPLE_FILE)
