"""Well-known people by name (people.txt), also with a typing error in it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bot.safety.normalize import words_of
from bot.safety.words import Words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot.safety.normalize import NormalizedText

FILE = Path(__file__).parent / "people.txt"
FEWEST_LETTERS = 8
"""Of a name that is known again with one letter wrong, missing, too much, or two exchanged."""
FIRM = 3
"""Letters of the longest word that has to be right: too many words are one letter away from a short one."""
MOST_WORDS = 4


class FamousPeople:
    """The names in a file, one person a line, other ways to write the name after semicolons."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text("utf-8").splitlines()
        names = [words_of(name) for line in lines if not line.startswith("#") for name in line.split(";")]
        names = list(filter(None, names))
        long = [name for name in names if len(name) > FEWEST_LETTERS]
        # Long names are known without their spaces, too.
        written = [*names, *(name.replace(" ", "") for name in long)]
        self._names = Words({"people": "\n".join([*written, *(f"{name}s" for name in written)])})
        self._nearly = {shorter for name in long for shorter in _without_one(name)}

    def find(self, reading: NormalizedText) -> bool:
        """Whether somebody is named."""
        return self._names.find(reading) is not None or any(
            shorter in self._nearly for words in _runs(reading.plain.split(" ")) for shorter in _without_one(words)
        )


def _runs(words: list[str]) -> Iterator[str]:
    for start in range(len(words)):
        for end in range(start + 1, min(start + MOST_WORDS, len(words)) + 1):
            run = " ".join(words[start:end])
            if len(run) >= FEWEST_LETTERS:
                yield run


def _without_one(name: str) -> set[str]:
    """`name`, and `name` without one of its letters: two that differ by one error have one of these in common."""
    words = name.split(" ")
    found = {name}
    for number, word in enumerate(words):
        if len(word) > FIRM:
            shorter = (word[:place] + word[place + 1 :] for place in range(len(word)))
            found |= {" ".join([*words[:number], short, *words[number + 1 :]]) for short in shorter}
    return found


@cache
def famous() -> FamousPeople:
    """The people of people.txt, read once."""
    return FamousPeople(FILE)
