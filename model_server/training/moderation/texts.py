"""What the head learns from.

The files of `written` are templates with some of the words of their braces, now and then mistyped. Beside them stand
the prompts that safety was measured with before, each as it is.
"""

from __future__ import annotations

import json
import random
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model_server.engines.moderation.engine import FINE, split_into_pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FOLDER = Path(__file__).parent / "written"
SLOT = re.compile(r"\{(\w+)\}")
VARIANTS = 8
"""Of a template with braces; one without them is one example."""
TYPO_CHANCE = 0.3
CHAT = {
    "what": "wat",
    "why": "y",
    "you": "u",
    "your": "ur",
    "are": "r",
    "and": "n",
    "please": "pls",
    "people": "ppl",
    "because": "cuz",
    "something": "smth",
    "someone": "sum1",
    "with": "w",
    "thanks": "thx",
    "picture": "pic",
    "pictures": "pics",
    "really": "rly",
    "know": "kno",
    "have": "hav",
    "could": "cud",
    "before": "b4",
    "though": "tho",
    "right": "rite",
    "this": "dis",
    "best": "bes",
}
"""How words are spelt in haste. It tells nothing about what somebody wants, which the head has to learn."""
CHAT_CHANCES = (0.25, 0.12)
"""Of an ordinary example, and of an attack: the written attacks are in the language of chats more often already."""
KINDS = {
    "bullying": "harassment",
    "profanity": "harassment",
    "harassment": "harassment",
    "hate": "hate",
    "self_harm": "self-harm",
    "sexual": "sexual",
    "violence": "violence",
    "drugs_weapons": "illicit",
    "jailbreak": "illicit",
}
"""The category of each kind of measured attack; names of people and personal data are for rules to find."""


@dataclass(frozen=True, slots=True)
class Example:
    """A text, and its category: one of the head's, or "fine"."""

    text: str
    category: str


def read(folder: Path = FOLDER, seed: int = 0) -> list[Example]:
    """All examples; the same seed gives the same ones. Words of one file stand in braces of the others, too.

    What two templates of different categories come to by chance counts for the first of them.
    """
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
    hasty = random.Random(seed)  # noqa: S311 - likewise
    for example in tuple(found):
        quick = chatted(example.text)
        if quick != example.text.lower() and hasty.random() < CHAT_CHANCES[example.category != "fine"]:
            found.append(Example(quick, example.category))
    first: dict[str, str] = {}
    return [example for example in found if first.setdefault(example.text, example.category) == example.category]


def measured(paths: Iterable[Path]) -> list[Example]:
    """The prompts of files as tests/data/safety_development.jsonl is one, without attacks that are not the head's."""
    rows = [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines()]
    categories = [KINDS.get(row["kind"]) if row["label"] == "attack" else "fine" for row in rows]
    return [Example(row["text"], category) for row, category in zip(rows, categories, strict=True) if category]


def with_pieces(examples: Iterable[Example]) -> list[Example]:
    """`examples`, and each piece of the ordinary ones, since a text is judged by its worst piece."""
    return [
        Example(piece, example.category)
        for example in examples
        for piece in dict.fromkeys(
            [example.text, *(split_into_pieces(example.text) if example.category == FINE else ())]
        )
    ]


def filled(template: str, slots: Mapping[str, Sequence[str]], chance: random.Random) -> str:
    """`template` with a word for each brace; words may have braces themselves."""
    while SLOT.search(template):
        template = SLOT.sub(lambda slot: chance.choice(slots[slot[1]]), template)
    return template


def chatted(text: str) -> str:
    """`text` in small letters, its words as they are spelt in haste, without signs at its end."""
    return " ".join(CHAT.get(word, word) for word in text.lower().replace("'", "").rstrip("?!. ").split(" "))


def asked(paths: Iterable[Path]) -> list[Example]:
    """The questions of files as tests/data/explain_development.jsonl is one, all of them ordinary."""
    rows = [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines()]
    return [Example(text, "fine") for text in dict.fromkeys(row["question"] for row in rows)]


def mistyped(text: str, chance: random.Random) -> str:
    """`text` with two neighbouring letters exchanged, or one left out."""
    place = chance.randrange(max(1, len(text) - 1))
    between = text[place + 1 : place + 2] + text[place] if chance.random() < 0.5 else ""
    return text[:place] + between + text[place + 2 if between else place + 1 :]
