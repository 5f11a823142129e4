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

from bot.safety.normalize import View, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bot.safety.normalize import NormalizedText

SPLIT = re.compile(r"[,\n]")
SHORTEST_HIDDEN = 4
"""Letters of the shortest word that is looked for inside a row of single letters, or behind a mask."""


@dataclass(frozen=True, slots=True)
class Word:
    """A listed word or phrase, and of which list it is."""

    text: str
    kind: str
    view: View
    begins_anywhere: bool
    ends_anywhere: bool


class Words:
    """Words of several lists.

    `lists` maps what kind of words they are to the list. A letter is stretched when it stands `stretch` times: two may
    be another word (god, good), so only a list that has none of these should say 2.
    """

    def __init__(self, lists: Mapping[str, str], *, stretch: int = 3) -> None:
        self._stretch = stretch
        words = [word for kind, listed in lists.items() for word in _words(kind, listed)]
        self._spoken = _automaton((word.view.letters, word) for word in words)
        unspaced = [replace(word, view=View.of(word.text.replace(" ", ""))) for word in words]
        self._unspaced = _automaton((word.view.letters, word) for word in unspaced)
        self._by_length: dict[int, list[Word]] = {}
        for word in unspaced:
            if len(word.text) >= SHORTEST_HIDDEN:
                self._by_length.setdefault(len(word.text), []).append(word)

    def find(self, reading: NormalizedText) -> Word | None:
        """The first listed word that `reading` has, in any of its ways; None if there is none."""
        return next(self._all(reading), None)

    def kinds(self, reading: NormalizedText) -> set[str]:
        """Of which lists `reading` has words."""
        return {word.kind for word in self._all(reading)}

    def _all(self, reading: NormalizedText) -> Iterator[Word]:
        yield from self._whole(self._spoken, reading.plain)
        yield from self._whole(self._unspaced, reading.spelt)
        for row in reading.joined.split():
            yield from self._inside(row)
        for masked in reading.masked:
            for word in self._by_length.get(len(masked), ()):
                if re.fullmatch(masked, word.text):
                    yield word

    def _whole(self, automaton: Any, text: str) -> Iterator[Word]:
        view = View.of(text)
        letters = f" {view.letters} "
        for word, start, end in self._hits(automaton, view):
            begins = word.begins_anywhere or letters[start] == " "
            if begins and (word.ends_anywhere or letters[end + 1] == " "):
                yield word

    def _inside(self, row: str) -> Iterator[Word]:
        view = View.of(row)
        for word, start, end in self._hits(self._unspaced, view):
            if len(word.text) >= SHORTEST_HIDDEN or (start == 0 and end == len(view.letters)):
                yield word

    def _hits(self, automaton: Any, view: View) -> Iterator[tuple[Word, int, int]]:
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


def _words(kind: str, listed: str) -> Iterator[Word]:
    for entry in SPLIT.split(listed):
        text = words_of(entry)
        if text:
            entry = entry.strip()
            yield Word(text, kind, View.of(text), entry.startswith("*"), entry.endswith("*"))


def _automaton(words: Iterable[tuple[str, Word]]) -> Any:
    listed: dict[str, list[Word]] = {}
    for key, word in words:
        listed.setdefault(key, []).append(word)
    automaton = ahocorasick.Automaton()
    for key, same in listed.items():
        automaton.add_word(key, same)
    automaton.make_automaton()
    return automaton
