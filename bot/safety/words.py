"""Finds listed words and phrases in a text, in a time that their number does not change (Aho and Corasick, 1975).

In a list, words stand in lines or with commas between them. A * at an end stands for any letters there; without it, a
word is a whole word. A letter may stand in a row where the list has it once, so that stretching a word does not hide
it; one that the list has twice must be there twice, so that "Niger" is another word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import ahocorasick

from bot.safety.normalize import RunLengths, plain_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bot.safety.normalize import NormalizedText

SEPARATOR = re.compile(r"[,\n]")
MIN_HIDDEN_LETTERS = 4
"""Letters of the shortest word that is looked for inside a row of single letters, or behind a mask."""


@dataclass(frozen=True, slots=True)
class ListedWord:
    """A listed word or phrase, and of which list it is."""

    text: str
    kind: str
    view: RunLengths
    matches_any_prefix: bool
    matches_any_suffix: bool


class WordMatcher:
    """Words of several lists.

    `lists` maps what kind of words they are to the list. A letter is stretched when it stands `stretch` times: two may
    be another word (god, good), so only a list that has none of these should say 2.
    """

    def __init__(self, lists: Mapping[str, str], *, stretch: int = 3) -> None:
        self._stretch = stretch
        words = [word for kind, listed in lists.items() for word in _parse_list(kind, listed)]
        self._spoken = _build_automaton((word.view.letters, word) for word in words)
        unspaced = [replace(word, view=RunLengths.of(word.text.replace(" ", ""))) for word in words]
        self._unspaced = _build_automaton((word.view.letters, word) for word in unspaced)
        self._by_length: dict[int, list[ListedWord]] = {}
        for word in unspaced:
            if len(word.text) >= MIN_HIDDEN_LETTERS:
                self._by_length.setdefault(len(word.text), []).append(word)

    def find(self, reading: NormalizedText) -> ListedWord | None:
        """The first listed word that `reading` has, in any of its ways; None if there is none."""
        return next(self._all(reading), None)

    def categories(self, reading: NormalizedText) -> set[str]:
        """Of which lists `reading` has words."""
        return {word.kind for word in self._all(reading)}

    def _all(self, reading: NormalizedText) -> Iterator[ListedWord]:
        yield from self._whole(self._spoken, reading.plain)
        yield from self._whole(self._unspaced, reading.decoded)
        for row in reading.joined.split():
            yield from self._inside(row)
        for masked in reading.masked:
            for word in self._by_length.get(len(masked), ()):
                if re.fullmatch(masked, word.text):
                    yield word

    def _whole(self, automaton: Any, text: str) -> Iterator[ListedWord]:
        view = RunLengths.of(text)
        letters = f" {view.letters} "
        for word, start, end in self._hits(automaton, view):
            begins = word.matches_any_prefix or letters[start] == " "
            if begins and (word.matches_any_suffix or letters[end + 1] == " "):
                yield word

    def _inside(self, row: str) -> Iterator[ListedWord]:
        view = RunLengths.of(row)
        for word, start, end in self._hits(self._unspaced, view):
            if len(word.text) >= MIN_HIDDEN_LETTERS or (start == 0 and end == len(view.letters)):
                yield word

    def _hits(self, automaton: Any, view: RunLengths) -> Iterator[tuple[ListedWord, int, int]]:
        """Each word that stands somewhere in `view`, with where it begins and where it is over."""
        if not automaton or not view.letters:
            return
        for end, same in automaton.iter(view.letters):
            for word in same:
                start = end + 1 - len(word.view.letters)
                there = view.counts[start : end + 1]
                if all(map(self._is_spelt, there, word.view.counts)):
                    yield word, start, end + 1

    def _is_spelt(self, count: int, listed: int) -> bool:
        return count == listed or (count > listed and count >= self._stretch)


def _parse_list(kind: str, listed: str) -> Iterator[ListedWord]:
    for entry in SEPARATOR.split(listed):
        text = plain_words(entry)
        if text:
            entry = entry.strip()
            yield ListedWord(text, kind, RunLengths.of(text), entry.startswith("*"), entry.endswith("*"))


def _build_automaton(words: Iterable[tuple[str, ListedWord]]) -> Any:
    listed: dict[str, list[ListedWord]] = {}
    for key, word in words:
        listed.setdefault(key, []).append(word)
    automaton = ahocorasick.Automaton()
    for key, same in listed.items():
        automaton.add_word(key, same)
    automaton.make_automaton()
    return automaton
