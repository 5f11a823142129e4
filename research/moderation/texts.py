"""The training texts of the head.

The files in `written` have templates, whose braces are filled with words; some of the results get a typing error. The
prompts with which the safety checks were measured before are used unchanged.
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
from research.packages import CLDR, read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LANGUAGES = ("en", "de", "es")
WRITTEN_FOLDER = Path(__file__).parent / "written"
SLOT = re.compile(r"\{(\w+)\}")
VARIANTS_PER_TEMPLATE = 8
"""The number of examples from a template with braces; a template without braces is one example."""
TYPO_CHANCE = 0.3
CHAT_SPELLING = {
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
"""The spelling of words in chats. It says nothing about what somebody wants, and the head has to learn that."""
CHAT_CHANCES = (0.25, 0.12)
"""The chance of an additional example in chat spelling, for ordinary texts and for attacks.

It is lower for attacks, because the written attacks use the language of chats more often already.
"""
CATEGORY_OF_KIND = {
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
"""The category of each kind of measured attack. Names of people and personal data are left to the rules."""


@dataclass(frozen=True, slots=True)
class Example:
    """A text and its category, which is "fine" for ordinary texts."""

    text: str
    category: str


def read_written(folder: Path = WRITTEN_FOLDER, seed: int = 0) -> list[Example]:
    """Return the examples of all files in `folder`; the same seed gives the same ones.

    The words of one file can be used in the braces of all files. If two templates of different categories give the same
    text by chance, the first category counts.
    """
    documents = [tomllib.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.toml"))]
    slots = {name: words for document in documents for name, words in document.get("slots", {}).items()}
    random_source = random.Random(seed)  # noqa: S311 - examples are no secret
    examples = []
    for document in documents:
        for category, templates in document["texts"].items():
            for template in templates:
                count = VARIANTS_PER_TEMPLATE if SLOT.search(template) else 1
                texts = dict.fromkeys(fill_template(template, slots, random_source) for _ in range(count))
                examples += [Example(text, category) for text in texts]
                if random_source.random() < TYPO_CHANCE:
                    examples.append(Example(add_typo(next(iter(texts)), random_source), category))
    chat_random = random.Random(seed)  # noqa: S311 - likewise
    for example in tuple(examples):
        in_chat_spelling = to_chat_spelling(example.text)
        if in_chat_spelling != example.text.lower() and chat_random.random() < CHAT_CHANCES[example.category != "fine"]:
            examples.append(Example(in_chat_spelling, example.category))
    first_category: dict[str, str] = {}
    return [
        example for example in examples if first_category.setdefault(example.text, example.category) == example.category
    ]


def read_measured_prompts(paths: Iterable[Path]) -> list[Example]:
    """Read prompts like those of research/data/safety/development.jsonl, without attacks that are left to the rules."""
    rows = _read_json_lines(paths)
    categories = [CATEGORY_OF_KIND.get(row["kind"]) if row["label"] == "attack" else "fine" for row in rows]
    return [Example(row["text"], category) for row, category in zip(rows, categories, strict=True) if category]


def add_pieces(examples: Iterable[Example]) -> list[Example]:
    """Return `examples` and each piece of the ordinary ones, because the engine judges a text by its worst piece."""
    return [
        Example(piece, example.category)
        for example in examples
        for piece in dict.fromkeys(
            [example.text, *(split_into_pieces(example.text) if example.category == FINE else ())]
        )
    ]


def fill_template(template: str, slots: Mapping[str, Sequence[str]], random_source: random.Random) -> str:
    """Return `template` with a random word for each brace; words may have braces themselves."""
    while SLOT.search(template):
        template = SLOT.sub(lambda slot: random_source.choice(slots[slot[1]]), template)
    return template


def to_chat_spelling(text: str) -> str:
    """Return `text` in small letters and chat spelling, without punctuation at its end."""
    return " ".join(CHAT_SPELLING.get(word, word) for word in text.lower().replace("'", "").rstrip("?!. ").split(" "))


def read_questions(paths: Iterable[Path]) -> list[Example]:
    """Read questions in the format of research/data/explain/development.jsonl, as ordinary texts."""
    rows = _read_json_lines(paths)
    return [Example(text, "fine") for text in dict.fromkeys(row["question"] for row in rows)]


def read_things(packages: Path) -> list[Example]:
    """Read what Unicode calls things, and their keywords, in three languages, as ordinary texts.

    Bread, pigs and underwear are no insults, which a head learns only if it has seen their names.
    """
    found: dict[str, None] = {}
    for code in LANGUAGES:
        of_emoji = read_json(CLDR, packages, f"annotations/{code}/annotations.json")["annotations"]["annotations"]
        found |= dict.fromkeys(text for one in of_emoji.values() for some in one.values() for text in some)
    return [Example(text, FINE) for text in found]


def add_typo(text: str, random_source: random.Random) -> str:
    """Return `text` with two neighbouring letters swapped, or one left out."""
    index = random_source.randrange(max(1, len(text) - 1))
    swapped = text[index + 1 : index + 2] + text[index] if random_source.random() < 0.5 else ""
    return text[:index] + swapped + text[index + 2 if swapped else index + 1 :]


def _read_json_lines(paths: Iterable[Path]) -> list[dict[str, str]]:
    return [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines()]
