"""The files of `written` as examples: templates with some of the words of their braces, now and then mistyped."""

from __future__ import annotations

import random
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER = Path(__file__).parent / "written"
SLOT = re.compile(r"\{(\w+)\}")
VARIANTS = 8
"""Of a template with braces; one without them is one example."""
TYPO_CHANCE = 0.3


@dataclass(frozen=True, slots=True)
class Example:
    """A text, and its category: one of the head's, or "fine"."""

    text: str
    category: str


def read(folder: Path = FOLDER, seed: int = 0) -> list[Example]:
    """All examples; the same seed gives the same ones. Words of one file stand in braces of the others, too."""
    documents = [tomllib.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.toml"))]
    slots = {name: words for document in documents for name, words in document.get("slots", {}).items()}
    chance = random.Random(seed)  # noqa: S311 - examples are no secret
    found = []
    for document in documents:
        for category, templates in document["texts"].items():
            for template in templates:
                count = VARIANTS if SLOT.search(template) else 1
                texts = dict.fromkeys(filled(template, slots, chance) for _ in range(count))
                found += [Example(text, category) for text in texts]
                if chance.random() < TYPO_CHANCE:
                    found.append(Example(mistyped(next(iter(texts)), chance), category))
    return found


def filled(template: str, slots: Mapping[str, Sequence[str]], chance: random.Random) -> str:
    """`template` with a word for each brace; words may have braces themselves."""
    while SLOT.search(template):
        template = SLOT.sub(lambda slot: chance.choice(slots[slot[1]]), template)
    return template


def mistyped(text: str, chance: random.Random) -> str:
    """`text` with two neighbouring letters exchanged, or one left out."""
    place = chance.randrange(max(1, len(text) - 1))
    between = text[place + 1 : place + 2] + text[place] if chance.random() < 0.5 else ""
    return text[:place] + between + text[place + 2 if between else place + 1 :]
