"""Finds listed words and phrases in a text, in a time that does not depend on their number.

The algorithm is that of Aho and Corasick, "Efficient String Matching: An Aid to Bibliographic Search", CACM 18, 1975.

In a list, words are separated by commas or line breaks. A * at either end stands for any letters there; without it,
only the whole word matches. A letter that the list has once may be repeated in the text, so that stretching a word does
not hide it. A letter that the list has twice must be there at least twice, so that "Niger" is a different word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import ahocorasick

from bot.safety.normalize import RunLengths, to_plain_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bot.safety.normalize import NormalizedText

SEPARATOR = re.compile(r"[,\n]")
MIN_HIDDEN_LETTERS = 4
"""The length of the shortest word that is looked for inside a row of single letters or behind a mask."""


@dataclass(frozen=True, slots=True)
class ListedWord:
    """A word or phrase with the category of its list."""

    text: str
    category: str
    runs: RunLengths
    matches_any_prefix: bool
    matches_any_suffix: bool


class WordMatcher:
    """Finds the words of several lists.

    `lists` maps each category to its list. A letter counts as stretched when it is repeated at least `stretch` times.
    With 2, a word with a double letter matches one with a single letter (good, god), so 2 is only for lists without
    such words.
    """

    def __init__(self, lists: Mapping[str, str], *, stretch: int = 3) -> None:
        self._stretch = stretch
        words = [word for category, listed in lists.items() for word in _parse_list(category, listed)]
        self._spaced = _build_automaton((word.runs.letters, word) for word in words)
        unspaced = [replace(word, runs=RunLengths.of(word.text.replace(" ", ""))) for word in words]
        self._unspaced = _build_automaton((word.runs.letters, word) for word in unspaced)
        self._by_length: dict[int, list[ListedWord]] = {}
        for word in unspaced:
            if len(word.text) >= MIN_HIDDEN_LETTERS:
                self._by_length.setdefault(len(word.text), []).append(word)

    def find(self, normalized: NormalizedText) -> ListedWord | None:
        """Return the first listed word in any form of the text, or None."""
        return next(self._find_all(normalized), None)

    def find_categories(self, normalized: NormalizedText) -> set[str]:
        """Return the categories of all listed words in the text."""
        return {word.category for word in self._find_all(normalized)}

    def _find_all(self, normalized: NormalizedText) -> Iterator[ListedWord]:
        yield from self._find_whole_words(self._spaced, normalized.plain)
        yield from self._find_whole_words(self._unspaced, normalized.decoded)
        for row in normalized.joined.split():
            yield from self._find_inside(row)
        for masked in normalized.masked:
            for word in self._by_length.get(len(masked), ()):
                if re.fullmatch(masked, word.text):
                    yield word

    def _find_whole_words(self, automaton: Any, text: str) -> Iterator[ListedWord]:
        runs = RunLengths.of(text)
        letters = f" {runs.letters} "
        for word, start, end in self._find_matches(automaton, runs):
            starts_word = word.matches_any_prefix or letters[start] == " "
            if starts_word and (word.matches_any_suffix or letters[end + 1] == " "):
                yield word

    def _find_inside(self, row: str) -> Iterator[ListedWord]:
        runs = RunLengths.of(row)
        for word, start, end in self._find_matches(self._unspaced, runs):
            if len(word.text) >= MIN_HIDDEN_LETTERS or (start == 0 and end == len(runs.letters)):
                yield word

    def _find_matches(self, automaton: Any, runs: RunLengths) -> Iterator[tuple[ListedWord, int, int]]:
        """Yield each word anywhere in `runs`, with its first index and the index after its last."""
        if not automaton or not runs.letters:
            return
        for end, words in automaton.iter(runs.letters):
            for word in words:
                start = end + 1 - len(word.runs.letters)
                counts = runs.counts[start : end + 1]
                if all(map(self._is_same_run, counts, word.runs.counts)):
                    yield word, start, end + 1

    def _is_same_run(self, count: int, listed: int) -> bool:
        return count == listed or (count > listed and count >= self._stretch)


def _parse_list(category: str, listed: str) -> Iterator[ListedWord]:
    for entry in SEPARATOR.split(listed):
        text = to_plain_words(entry)
        if text:
            entry = entry.strip()
            yield ListedWord(text, category, RunLengths.of(text), entry.startswith("*"), entry.endswith("*"))


def _build_automaton(words: Iterable[tuple[str, ListedWord]]) -> Any:
    by_letters: dict[str, list[ListedWord]] = {}
    for letters, word in words:
        by_letters.setdefault(letters, []).append(word)
    automaton = ahocorasick.Automaton()
    for letters, same in by_letters.items():
        automaton.add_word(letters, same)
    automaton.make_automaton()
    return automaton
