"""The built-in word lists and patterns (lists.toml)."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bot.safety.normalize import normalize, remove_disguises, to_plain_words
from bot.safety.patterns import compile_any
from bot.safety.words import WordMatcher

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from bot.safety.normalize import NormalizedText

LISTS_FILE = Path(__file__).parent / "lists.toml"


class BuiltInRules:
    """The word lists and patterns of a file such as lists.toml, compiled."""

    def __init__(self, path: Path) -> None:
        document = tomllib.loads(path.read_text("utf-8"))
        phrases = sorted(filter(None, map(to_plain_words, document["innocent"].replace("\n", ",").split(","))), key=len)
        self._innocent: Any = compile_any(rf"\b{phrase}\b" for phrase in reversed(phrases))
        self._meaning: Any = compile_any(document["meaning"])
        self._words = WordMatcher(document["words"], stretch=2)
        self._patterns: dict[str, Any] = {
            category: compile_any(patterns) for category, patterns in document["patterns"].items()
        }

    def normalize(self, text: str) -> list[NormalizedText]:
        """Return `text`, and also `text` without its disguises if it has any, each without innocent phrases."""
        versions = [normalize(version) for version in (text, remove_disguises(text)) if version]
        return [replace(version, plain=self._innocent.sub(" ", version.plain)) for version in versions]

    def find_categories(self, versions: Sequence[NormalizedText]) -> set[str]:
        """Return the categories of harm in a text, whose `versions` `normalize` gave.

        They are "profanity", "hate", "sexual", "violence", "harassment", "illicit", "self_harm" and, for people who are
        described rather than named, "real_person".
        """
        texts = [version.plain for version in versions]
        categories = {category for version in versions for category in self._words.find_categories(version)}
        if self._meaning.search(texts[0]):
            categories.discard("profanity")
        return categories | {
            category for category, pattern in self._patterns.items() if any(map(pattern.search, texts))
        }


@cache
def built_in_rules() -> BuiltInRules:
    """Return the rules of lists.toml, which is read once."""
    return BuiltInRules(LISTS_FILE)
