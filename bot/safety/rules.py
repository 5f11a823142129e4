"""The built-in lists and patterns: which kinds of harm a text shows, and whom it names."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bot.safety.normalize import normalize, plain_words, remove_disguises
from bot.safety.patterns import compile_any
from bot.safety.words import WordMatcher

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from bot.safety.normalize import NormalizedText

HERE = Path(__file__).parent
MAX_COMPILED_LISTS = 64
"""How many servers' own lists are kept compiled."""


class BuiltInRules:
    """lists.toml, ready to be looked up."""

    def __init__(self, path: Path) -> None:
        document = tomllib.loads(path.read_text("utf-8"))
        phrases = sorted(filter(None, map(plain_words, document["innocent"].replace("\n", ",").split(","))), key=len)
        self._innocent: Any = compile_any(rf"\b{phrase}\b" for phrase in reversed(phrases))
        self._meaning: Any = compile_any(document["meaning"])
        self._words = WordMatcher(document["words"], stretch=2)
        self._patterns: dict[str, Any] = {
            kind: compile_any(patterns) for kind, patterns in document["patterns"].items()
        }

    def categories(self, text: str) -> set[str]:
        """What is in `text`: "profanity", "hate", "sexual", "violence", "harassment", "illicit", "self_harm"."""
        return self.categories_of(self.readings(text))

    def readings(self, text: str) -> list[NormalizedText]:
        """`text` as it stands and as it is meant where it is disguised, without the phrases that only look bad."""
        found = [normalize(one) for one in (text, remove_disguises(text)) if one]
        return [replace(reading, plain=self._innocent.sub(" ", reading.plain)) for reading in found]

    def categories_of(self, readings: Sequence[NormalizedText]) -> set[str]:
        """What `categories` finds in a text with these readings."""
        seen = [reading.plain for reading in readings]
        found = {kind for reading in readings for kind in self._words.categories(reading)}
        if self._meaning.search(seen[0]):
            found.discard("profanity")
        return found | {kind for kind, pattern in self._patterns.items() if any(map(pattern.search, seen))}


@cache
def built_in_rules() -> BuiltInRules:
    """The built-in ones, read once."""
    return BuiltInRules(HERE / "lists.toml")


@lru_cache(maxsize=MAX_COMPILED_LISTS)
def compile_word_list(listed: str) -> WordMatcher:
    """The words of a server's own list."""
    return WordMatcher({"own": listed})
