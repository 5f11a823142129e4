"""The built-in lists and patterns: which kinds of harm a text shows, and whom it names."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bot.safety.normalize import read, undisguised, words_of
from bot.safety.patterns import either
from bot.safety.words import Words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from bot.safety.normalize import NormalizedText

HERE = Path(__file__).parent
KEPT = 64
"""How many servers' own lists are kept compiled."""


class Rules:
    """lists.toml, ready to be looked up."""

    def __init__(self, path: Path) -> None:
        document = tomllib.loads(path.read_text("utf-8"))
        phrases = sorted(filter(None, map(words_of, document["innocent"].replace("\n", ",").split(","))), key=len)
        self._innocent: Any = either(rf"\b{phrase}\b" for phrase in reversed(phrases))
        self._meaning: Any = either(document["meaning"])
        self._words = Words(document["words"], stretch=2)
        self._patterns: dict[str, Any] = {kind: either(patterns) for kind, patterns in document["patterns"].items()}

    def kinds(self, text: str) -> set[str]:
        """What is in `text`: "profanity", "hate", "sexual", "violence", "harassment", "illicit", "self_harm"."""
        return self.kinds_of(self.readings(text))

    def readings(self, text: str) -> list[NormalizedText]:
        """`text` as it stands and as it is meant where it is disguised, without the phrases that only look bad."""
        found = [read(one) for one in (text, undisguised(text)) if one]
        return [replace(reading, plain=self._innocent.sub(" ", reading.plain)) for reading in found]

    def kinds_of(self, readings: Sequence[NormalizedText]) -> set[str]:
        """What `kinds` finds in a text with these readings."""
        seen = [reading.plain for reading in readings]
        found = {kind for reading in readings for kind in self._words.kinds(reading)}
        if self._meaning.search(seen[0]):
            found.discard("profanity")
        return found | {kind for kind, pattern in self._patterns.items() if any(map(pattern.search, seen))}


@cache
def rules() -> Rules:
    """The built-in ones, read once."""
    return Rules(HERE / "lists.toml")


@lru_cache(maxsize=KEPT)
def own(listed: str) -> Words:
    """The words of a server's own list."""
    return Words({"own": listed})
