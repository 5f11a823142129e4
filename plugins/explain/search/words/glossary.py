"""Knows the words of German and Spanish: tells the language of a question, and turns it into English words.

Only questions of lessons that are in neither language are turned into English.

The embedding model that comes with Tempera knows English alone. To find a passage, the words of a question are enough:
those that questions are made of, and those of the default lesson's subject. Other words stay as they are, so that a
question about something else finds nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bot import language_code
from plugins.explain.search.words.vocabulary import ENGLISH, SearchLanguage, Vocabulary, words

FILE = Path(__file__).with_name("glossary.toml")
MIN_TELLING_WORDS, MIN_TELLING_SHARE = 2, 1 / 3
"""The number and the share of a question's words that must be such as tell its language."""


@dataclass(frozen=True, slots=True)
class _Language:
    """The words that tell this language, and the English translations of these and others."""

    code: str
    name: str
    search: SearchLanguage
    telling_words: frozenset[str]
    translations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Translation:
    """The English words of a question; `is_complete` is False if words stayed as they are that no lesson has."""

    text: str
    is_complete: bool


def translate_question(question: str, known: Vocabulary) -> Translation | None:
    """Return the English words of a German or Spanish question; None if it is neither.

    Words that are `known` to the lessons, as those of a German lesson are, do not tell that a question is foreign.
    """
    typed = words(question)
    language = _detect([word for word in typed if word not in known], len(typed))
    if language is None:
        return None
    is_complete = all(word in language.translations or word in known for word in typed)
    return Translation(" ".join(language.translations.get(word, word) for word in typed), is_complete)


def name_language(question: str) -> str:
    """Return the English name of the language of a German or Spanish question; "" for any other question."""
    typed = words(question)
    language = _detect(typed, len(typed))
    return language.name if language else ""


def choose_language(question: str, locale: str = "") -> str:
    """Return the code of the language of a question, "de" or "es", or "" for English.

    If its words do not tell, as a name alone does not, it is the language of `locale` ("de-AT").
    """
    counts = count_stop_words(question)
    best = max(counts.values())
    winners = [code for code, count in counts.items() if count == best]
    preferred = language_code(locale)
    code = preferred if preferred in winners else winners[0]
    return "" if code == ENGLISH.code else code


def language_codes() -> tuple[str, ...]:
    """Return the codes of the languages that are known beside English."""
    return tuple(language.code for language in _languages())


def count_stop_words(text: str) -> dict[str, int]:
    """Return how many of the words of a text are stop words, by the code of the language."""
    typed = words(text)
    known = {ENGLISH.code: ENGLISH} | {language.code: language.search for language in _languages()}
    return {code: sum(word in language.stop_words for word in typed) for code, language in known.items()}


def search_language(code: str) -> SearchLanguage:
    """Return what the search knows about the words of a language; English for one that it does not know."""
    return next((language.search for language in _languages() if language.code == code), ENGLISH)


def _detect(telling: Sequence[str], count: int) -> _Language | None:
    """Return the language of a question of `count` words, of which those in `telling` may tell it."""
    for language in _languages():
        found = sum(word in language.telling_words for word in telling)
        if found >= MIN_TELLING_WORDS and found >= MIN_TELLING_SHARE * count:
            return language
    return None


@cache
def _languages() -> list[_Language]:
    languages = []
    for code, tables in tomllib.loads(FILE.read_text("utf-8")).items():
        telling, others = _invert(tables["questions"]), _invert(tables["subject"])
        search = SearchLanguage(
            code,
            tables["name"].lower(),
            frozenset([*telling, *tables["stop_words"].split()]),
            tables["chat_forms"],
        )
        languages.append(_Language(code, tables["name"], search, frozenset(telling), telling | others))
    return languages


def _invert(table: Mapping[str, str]) -> dict[str, str]:
    return {word: english for english, foreign in table.items() for word in foreign.split()}
