"""Brings the words of questions and passages to a common form, and corrects typing errors."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING

from plugins.explain.search.words import spelling

if TYPE_CHECKING:
    from Stemmer import Stemmer

CHAT_FORMS = {
    "cuz": "because",
    "diff": "different",
    "gen": "generative",
    "gimme": "give me",
    "gonna": "going to",
    "msg": "message",
    "n": "and",
    "pic": "picture",
    "pics": "pictures",
    "ppl": "people",
    "r": "are",
    "temp": "temperature",
    "u": "you",
    "ur": "your",
    "vid": "video",
    "vids": "videos",
    "vs": "versus",
    "w": "with",
    "wat": "what",
    "wats": "what is",
    "whats": "what is",
    "wich": "which",
    "y": "why",
}
"""Short forms that people use in chats, with the words they stand for."""

COMMON = """
    a about actually after again ai all also am an and any are as at be because been before being between but by
    can cant could did do does doesnt doing dont each else ever every explain few find for from get gets give go
    going got had has have having he hello help her hey hi him his how i if im in into is isnt it its just kind
    know lol made make makes many may me mean means might more most much my need no not now of off ok okay on
    once one only or other our out over please pls really said same say see she should so some something
    sometimes stuff such supposed tell tf than that thats the their them then there these they thing things this
    those though tho through to too up us use used uses using very versus want was way we well were what when
    where which while who why will with wont would wtf yes yo you your
"""
STOP_WORDS = frozenset(COMMON.split())
"""Words that say nothing about the subject of a question."""

FILLER = "bro dude even gimme just lol n ok okay omg please pls really so somebody stuff tf tho wtf yo"
FILLER_WORDS = frozenset(FILLER.split())
"""Stop words that can be left out of a question without changing its meaning."""


@dataclass(frozen=True, slots=True)
class SearchLanguage:
    """What the search knows about the words of a language. All words are folded."""

    code: str
    stemmer: str
    """The name of its Snowball stemmer."""
    stop_words: frozenset[str]
    chat_forms: Mapping[str, str]


ENGLISH = SearchLanguage("en", "english", STOP_WORDS, CHAT_FORMS)

MIN_CORRECTED_LETTERS = 4
"""The length from which on a word may be corrected."""
MAX_CORRECTED_WORDS = 20
"""The unknown words of a question that are corrected: each is compared with all words of the lessons."""
MAX_SHORT_WORD_LETTERS = 5
"""The length up to which a word has many similar words."""

WORD = re.compile(r"[^\W_]+")
LETTER_HYPHEN = re.compile(r"\b([^\W\d_])-(?=[^\W\d_]{2})")
"""A hyphen after a single letter, as in “e-mail”, which some write without it."""
COMPOUND = re.compile(r"(?<![^\W_])[^\W_]{2,}(?:-[^\W_]{2,})+")


def fold(text: str) -> str:
    """Return a text in lower case, without accents and apostrophes."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    return re.sub(r"[’'´`\u0300-\u036f]", "", folded)


def words(text: str) -> list[str]:
    """Return all words of a text in order, folded."""
    return WORD.findall(LETTER_HYPHEN.sub(r"\1", fold(text)))


def join_compounds(text: str) -> list[str]:
    """Return the words with hyphens of a text, without their hyphens: “mockups” for “mock-ups”."""
    return [word.replace("-", "") for word in COMPOUND.findall(fold(text))]


@cache
def _stemmer(name: str) -> Stemmer:
    from Stemmer import Stemmer

    return Stemmer(name)


def stems(words: Iterable[str], language: SearchLanguage = ENGLISH) -> list[str]:
    """Return the stems of some words, without stop words."""
    return all_stems([word for word in words if word not in language.stop_words], language)


def all_stems(words: Sequence[str], language: SearchLanguage = ENGLISH) -> list[str]:
    """Return the stem of each word, of stop words as well."""
    return list(_stemmer(language.stemmer).stemWords(words))


class Vocabulary:
    """The words of some texts and of an `other` vocabulary, to which it corrects questions in `language`."""

    def __init__(
        self, texts: Iterable[str], other: Vocabulary | None = None, language: SearchLanguage = ENGLISH
    ) -> None:
        self._language = language
        self._counts: dict[str, int] = dict(other._counts) if other else {}
        for text in texts:
            for word in (*words(text), *join_compounds(text)):
                self._counts[word] = self._counts.get(word, 0) + 1
        self._stems = set(stems(self._counts, language))
        self._corrections = [word for word in self._counts if len(word) >= MIN_CORRECTED_LETTERS and word.isalpha()]

    def __contains__(self, word: str) -> bool:
        if word in self._counts or word in self._language.stop_words:
            return True
        return stems([word], self._language)[0] in self._stems

    def correct_words(self, question: str) -> list[str]:
        """Return the words of a question with short forms written out and unknown words corrected.

        Two words that the texts write as one are joined. If most words are unknown, the question is in another
        language, and is corrected to the words of the texts alone.
        """
        forms = self._language.chat_forms
        typed = [part for word in words(question) for part in forms.get(word, word).split()]
        unknown = {word for word in typed if word not in self and not spelling.is_word(word)}
        is_english = self._language is ENGLISH and 2 * sum(word in unknown for word in typed) <= len(typed)
        first_unknown = islice(dict.fromkeys(word for word in typed if word in unknown), MAX_CORRECTED_WORDS)
        corrections = {word: self._correct_word(word, is_english) for word in first_unknown}
        corrected: list[str] = []
        for word in typed:
            correction = corrections.get(word, word)
            if corrected and f"{corrected[-1]}{correction}" in self._counts:
                corrected[-1] += correction
            else:
                corrected.append(correction)
        return corrected

    def _correct_word(self, word: str, is_english: bool) -> str:
        if len(word) < MIN_CORRECTED_LETTERS or not word.isalpha():
            return word
        own = self._nearest_word(word)
        common = spelling.nearest_word(word) if is_english else None
        return min(filter(None, (own, common)), key=lambda match: match[1], default=(word, 0))[0]

    def _nearest_word(self, word: str) -> tuple[str, int] | None:
        """Return the nearest word of the texts, and its distance; None if no word is near enough.

        Short words have many similar ones, so they are corrected only if a letter is missing or added or two letters
        are swapped.
        """
        from rapidfuzz.distance import OSA
        from rapidfuzz.process import extract

        max_distance = 1 if len(word) < 8 else 2
        matches = extract(word, self._corrections, scorer=OSA.distance, score_cutoff=max_distance, limit=8)
        candidates = [
            (distance, -self._counts[known], known)
            for known, distance, _ in matches
            if sorted(known[:2]) == sorted(word[:2]) or (known[0] == word[0] and len(word) > MAX_SHORT_WORD_LETTERS)
            if len(word) > MAX_SHORT_WORD_LETTERS or not _is_other_word(word, known)
        ]
        if not candidates:
            return None
        distance, _, known = min(candidates)
        return known, int(distance)


def _is_other_word(word: str, known: str) -> bool:
    """Return True if two words differ in one letter in place of another, or in the ending, as different words do."""
    return known.startswith(word) or (len(known) == len(word) and sorted(known) != sorted(word))
