"""Turns German and Spanish prompts into English, which the models that draw know best, with a small dictionary.

The words are in dictionary.tsv. A phrase of up to four words is looked up at once, then each word, with and without the
endings of plurals and adjectives. What is not in the dictionary stays as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from bot import language_code

FILE = Path(__file__).with_name("dictionary.tsv")
MAX_PHRASE_WORDS = 4
IRREGULAR = {
    "child": "children",
    "deer": "deer",
    "fish": "fish",
    "foot": "feet",
    "knife": "knives",
    "leaf": "leaves",
    "man": "men",
}
IRREGULAR |= {"mouse": "mice", "sheep": "sheep", "wolf": "wolves", "woman": "women"}
"""English nouns whose plural has no s, by their singular."""
ONE, MANY = ("a", "with a", "one"), ("two", "three", "four", "five", "six", "many")
GERMAN_ENDINGS = ("", "e", "n", "en", "er", "es", "em", "s", "ern", "ens", "nen")
SPANISH_ENDINGS = ("", "s", "es")
PART = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]+")


@dataclass(frozen=True, slots=True)
class Translation:
    """A prompt in English; `unknown` are its words that stayed."""

    text: str
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A word or phrase: its English translation, and “noun”, “adjective” or “other”.

    `as_noun` is the translation of an adjective where it is a noun, as “rosa” is a rose and “mono” a monkey. `umlauts`
    is how many the German word has in the singular.
    """

    english: str
    kind: str
    is_plural: bool = False
    as_noun: str = ""
    umlauts: int = 0


def translate_prompt(prompt: str, locale: str = "") -> Translation | None:
    """Return a prompt in English; None if it is in English already, or no word of it is in the dictionary.

    A prompt whose words are in several languages, as “Ball” is, is in that of `locale` if it may be. A prompt is only
    translated if a thing or a property is among its words.
    """
    german, spanish, english = _dictionaries()
    parts = PART.findall(prompt)
    found = {"de": list(_look_up(parts, german, "de")), "es": list(_look_up(parts, spanish, "es"))}
    counts = {code: _count_known(entries) for code, entries in found.items()}
    counts["en"] = sum(_fold(part) in english for part in parts)
    best = max(counts.values())
    winners = [code for code in ("en", "de", "es") if counts[code] == best]
    preferred = language_code(locale)
    language = preferred if preferred in winners else winners[0]
    if language == "en" or not _has_content(found[language]):
        return None
    # A single word among others may be a name, like the first one of “Mona Lisa”.
    if counts[language] == 1 < sum(part[0].isalnum() for part in parts) and language != preferred:
        return None
    entries = [entry for _, entry in found[language]]
    if language == "es":
        _read_nouns(entries)
        _put_adjectives_first(entries)
    text = _join(entries)
    unknown = tuple(dict.fromkeys(entry for entry in entries if isinstance(entry, str) and entry[0].isalpha()))
    return Translation(text, unknown) if text.casefold() != prompt.casefold() else None


def _count_known(entries: list[tuple[int, _Entry | str]]) -> int:
    return sum(length for length, entry in entries if isinstance(entry, _Entry))


def _has_content(entries: list[tuple[int, _Entry | str]]) -> bool:
    return any(isinstance(entry, _Entry) and (entry.kind != "other" or length > 1) for length, entry in entries)


def _look_up(parts: list[str], dictionary: Mapping[str, _Entry], language: str) -> Iterator[tuple[int, _Entry | str]]:
    """Yield the entries of a prompt, or its parts that have none, each with the number of parts that it stands for."""
    place = 0
    while place < len(parts):
        for length in range(min(MAX_PHRASE_WORDS, len(parts) - place), 0, -1):
            if entry := _find(" ".join(parts[place : place + length]), dictionary, language):
                yield length, entry
                place += length
                break
        else:
            yield 1, parts[place]
            place += 1


def _find(words: str, dictionary: Mapping[str, _Entry], language: str) -> _Entry | None:
    phrase = _fold(words)
    if entry := dictionary.get(phrase):
        # “Äpfel” is the plural of “Apfel”: nothing but the umlaut tells.
        return replace(entry, is_plural=language == "de" and _count_umlauts(words) > entry.umlauts)
    for ending in (GERMAN_ENDINGS if language == "de" else SPANISH_ENDINGS)[1:]:
        stem = phrase.removesuffix(ending)
        if stem != phrase and len(stem) > 1:
            # “Peces” are several of “pez”.
            forms = (stem, f"{stem}e") if language == "de" else (stem, f"{stem[:-1]}o", re.sub("c$", "z", stem))
            for form in forms:
                if entry := dictionary.get(form):
                    return replace(entry, is_plural=language == "es" or ending != "s")
    if language == "es" and phrase.endswith("a"):
        entry = dictionary.get(f"{phrase[:-1]}o") or dictionary.get(phrase[:-1])
        return entry if entry and entry.kind == "adjective" else None
    return None


def _read_nouns(entries: list[_Entry | str]) -> None:
    """Let a word that may be an adjective or a noun be a noun unless it follows what it may describe."""
    described = False
    for place, entry in enumerate(entries):
        if isinstance(entry, _Entry) and entry.as_noun and not described:
            entries[place] = entry = replace(entry, english=entry.as_noun, kind="noun")
        described = entry.kind != "other" if isinstance(entry, _Entry) else entry[0].isalpha()


def _put_adjectives_first(entries: list[_Entry | str]) -> None:
    """Let an adjective that follows a noun stand before it, as in English."""
    for place in range(1, len(entries)):
        now, before = entries[place], entries[place - 1]
        if isinstance(now, _Entry) and now.kind == "adjective" and isinstance(before, _Entry) and before.kind == "noun":
            number, _, noun = before.english.rpartition(" ")
            if number in MANY:
                # “Dos corazones” is the name of an emoji, but “dos corazones rojos” is not.
                now, before = replace(before, english=f"{number} {now.english}"), replace(before, english=noun)
            entries[place - 1], entries[place] = now, before


def _join(entries: list[_Entry | str]) -> str:
    """Return the English words as a text; a noun after “a” is never in the plural, one after “two” always is."""
    words: list[str] = []
    number = ""
    for entry in entries:
        if isinstance(entry, str):
            words.append(entry)
            continue
        is_plural = number in MANY or (entry.is_plural and not number)
        words.append(_plural(entry.english) if is_plural and entry.kind == "noun" else entry.english)
        if entry.kind != "adjective":
            number = entry.english if entry.english in (*ONE, *MANY) else ""
    text = re.sub(r"\s+([,.;:!?])", r"\1", " ".join(words))
    return re.sub(r"\ba (?=[aeio]|u(?!ni|fo))", "an ", text)


def _plural(noun: str) -> str:
    if noun in IRREGULAR:
        return IRREGULAR[noun]
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun if noun.endswith("s") else f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else f"{noun}s"


def _count_umlauts(text: str) -> int:
    return sum(letter in "äöü" for letter in unicodedata.normalize("NFC", text.casefold()))


def _fold(text: str) -> str:
    """Return a text in lower case, without accents."""
    return re.sub(r"[\u0300-\u036f]", "", unicodedata.normalize("NFKD", text.casefold()))


@cache
def _dictionaries() -> tuple[Mapping[str, _Entry], Mapping[str, _Entry], frozenset[str]]:
    """Return the German and the Spanish dictionary, and all English words of both, in lower case without accents."""
    german: dict[str, _Entry] = {}
    spanish: dict[str, _Entry] = {}
    english: set[str] = {"an"}
    for line in FILE.read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        kind, translation, *foreign = line.split("\t")
        english.update(translation.split())
        for dictionary, words in zip((german, spanish), foreign, strict=True):
            for word in filter(None, words.split("|")):
                key = " ".join(_fold(part) for part in PART.findall(word))
                first = dictionary.setdefault(key, _Entry(translation, kind, umlauts=_count_umlauts(word)))
                if first.kind == "adjective" and kind == "noun":
                    dictionary[key] = replace(first, as_noun=translation)
    return german, spanish, frozenset(english)
