"""Finds listed words and phrases in a text, in a time that does not depend on their number.

The algorithm is that of Aho and Corasick, "Efficient String Matching: An Aid to Bibliographic Search", CACM 18, 1975.

In a list, words are separated by commas or line breaks. A * at either end stands for any letters there; without it,
only the whole word matches. A letter that the list has once may be repeated in the text, so that stretching a word does
not hide it. A letter that the list has twice must be there at least twice, so that "Niger" is a different word.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import ahocorasick

from bot.safety.normalize import RunLengths, to_plain_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from bot.safety.normalize import NormalizedText

SEPARATOR = re.compile(r"[,\n]")
REPEATED = re.compile(r"(.)\1+")
MIN_HIDDEN_LETTERS = 4
"""The length of the shortest word that is looked for inside a row of single letters or behind a mask."""
INDEXED_LETTERS, LETTER_GROUPS = 8, 32
"""Words behind masks are found by one of so many first letters or by the last; letters are told apart in groups."""
WORD_BYTES = 240
"""What a word takes in memory beside the automata."""


@dataclass(frozen=True, slots=True)
class ListedWord:
    """A word or phrase with the category of its list."""

    text: str
    category: str
    matches_any_prefix: bool
    matches_any_suffix: bool

    @property
    def unspaced(self) -> str:
        """The text without its spaces."""
        return self.text.replace(" ", "")


class WordMatcher:
    """Finds the words of several lists.

    `lists` maps each category to its list. A letter counts as stretched when it is repeated at least `stretch` times.
    With 2, a word with a double letter matches one with a single letter (good, god), so 2 is only for lists without
    such words.
    """

    def __init__(self, lists: Mapping[str, str], *, stretch: int = 3) -> None:
        words = [word for category, listed in lists.items() for word in _parse_list(category, listed)]
        phrases = [word for word in words if " " in word.text]
        self._spaced = _Automaton(words, lambda word: word.text, stretch)
        self._unspaced_phrases = _Automaton(phrases, lambda word: word.unspaced, stretch)
        self._masked = _MaskIndex(words)
        self.bytes = self._spaced.bytes + self._unspaced_phrases.bytes + WORD_BYTES * len(words)
        """About how much memory it takes."""

    def find(self, normalized: NormalizedText) -> ListedWord | None:
        """Return the first listed word in any form of the text, or None."""
        return next(self._find_all(normalized), None)

    def find_categories(self, normalized: NormalizedText) -> set[str]:
        """Return the categories of all listed words in the text."""
        return {word.category for word in self._find_all(normalized)}

    def _find_all(self, normalized: NormalizedText) -> Iterator[ListedWord]:
        yield from _whole_words(normalized.plain, self._spaced.find(normalized.plain))
        yield from _whole_words(normalized.decoded, self._find_unspaced(normalized.decoded))
        for row in normalized.joined.split():
            letters = _squeeze(row)
            for word, start, end in self._find_unspaced(row):
                if len(word.text) >= MIN_HIDDEN_LETTERS or (start == 0 and end == len(letters)):
                    yield word
        for mask in dict.fromkeys(normalized.masked):
            yield from self._masked.find(mask)

    def _find_unspaced(self, text: str) -> Iterator[tuple[ListedWord, int, int]]:
        """Yield what `_Automaton.find` yields, with all words written without spaces."""
        yield from (match for match in self._spaced.find(text) if " " not in match[0].text)
        yield from self._unspaced_phrases.find(text)


class _Automaton:
    """Finds words in a text by their letters, each run of the same letter taken as one.

    It holds numbers alone, since objects would take many times as much memory as the automaton itself.
    """

    def __init__(self, words: Iterable[ListedWord], spelling: Callable[[ListedWord], str], stretch: int) -> None:
        """`spelling` returns the text of a word as it is looked for."""
        self._spelling = spelling
        self._stretch = stretch
        spelt = sorted(((_squeeze(spelling(word)), word) for word in words), key=lambda pair: pair[0])
        self._words = [word for _, word in spelt]
        self._counts: dict[int, int] = {}
        """For a word whose letters others have, too, how many of them follow it in the list."""
        self._automaton: Any = ahocorasick.Automaton(ahocorasick.STORE_INTS)
        first = 0
        for letters, same in groupby(spelt, key=lambda pair: pair[0]):
            count = len(list(same))
            self._automaton.add_word(letters, first)
            if count > 1:
                self._counts[first] = count
            first += count
        self._automaton.make_automaton()
        self.bytes = int(self._automaton.get_stats()["total_size"])

    def find(self, text: str) -> Iterator[tuple[ListedWord, int, int]]:
        """Yield each word anywhere in `text`, with its first index among the runs and the index after its last."""
        if not self._words or not text:
            return
        runs = RunLengths.of(text)
        for end, first in self._automaton.iter(runs.letters):
            for word in self._words[first : first + self._counts.get(first, 1)]:
                listed = RunLengths.of(self._spelling(word))
                start = end + 1 - len(listed.letters)
                if all(map(self._is_same_run, runs.counts[start : end + 1], listed.counts)):
                    yield word, start, end + 1

    def _is_same_run(self, count: int, listed: int) -> bool:
        return count == listed or (count > listed and count >= self._stretch)


class _MaskIndex:
    """Finds the words that a mask such as "f.ck" may stand for, without trying all words of that length."""

    def __init__(self, words: Iterable[ListedWord]) -> None:
        self._words = [word for word in words if len(word.text) >= MIN_HIDDEN_LETTERS]
        self._numbers: dict[tuple[int, int, int], array[int]] = {}
        """The words of a length that have a letter of a group at a place; place -1 is the last one."""
        for number, word in enumerate(self._words):
            for key in _letter_keys(word.text):
                self._numbers.setdefault(key, array("I")).append(number)

    def find(self, mask: str) -> Iterator[ListedWord]:
        """Yield the words that `mask` may stand for; it has a full stop for each hidden letter."""
        candidates = [self._numbers.get(key, ()) for key in _letter_keys(mask)]
        if not candidates:
            return
        for number in min(candidates, key=len):
            word = self._words[number]
            if all(map(_fits, mask, word.text)):
                yield word


def _fits(sign: str, letter: str) -> bool:
    return sign in (".", letter)


def _letter_keys(text: str) -> list[tuple[int, int, int]]:
    """Return the keys of a word or a mask in a `_MaskIndex`; hidden letters have none."""
    places = [*enumerate(text[:INDEXED_LETTERS]), (-1, text[-1])]
    return [(len(text), place, ord(letter) % LETTER_GROUPS) for place, letter in places if letter != "."]


def _whole_words(text: str, matches: Iterable[tuple[ListedWord, int, int]]) -> Iterator[ListedWord]:
    """Yield the words among the `matches` in `text` that are whole there, or may begin or end with other letters."""
    letters = f" {_squeeze(text)} "
    for word, start, end in matches:
        starts_word = word.matches_any_prefix or letters[start] == " "
        if starts_word and (word.matches_any_suffix or letters[end + 1] == " "):
            yield word


def _squeeze(text: str) -> str:
    """Return `text` with each run of the same letter once, which is `RunLengths.of(text).letters`."""
    return REPEATED.sub(r"\1", text)


def count_entries(listed: str) -> int:
    """Return how many entries a list has."""
    return sum(1 for entry in SEPARATOR.split(listed) if entry.strip())


def _parse_list(category: str, listed: str) -> Iterator[ListedWord]:
    for entry in SEPARATOR.split(listed):
        text = to_plain_words(entry)
        if text:
            entry = entry.strip()
            yield ListedWord(text, category, entry.startswith("*"), entry.endswith("*"))
