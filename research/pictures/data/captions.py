"""Writes captions for a picture in several wordings, so that the generator learns words and not one wording."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from research.pictures.data.things import to_code

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from research.pictures.data.emoji import Emoji

COLOUR_WORD = re.compile(
    r"\b(?:light |dark )?(?:red|orange|yellow|green|blue|purple|pink|brown|black|white|grey|gray) (?=\S)"
)
COLOUR_FORMS = (
    "{colour} {thing}",
    "{a_colour} {thing}",
    "{a_colour} {thing}",
    "a picture of {a_colour} {thing}",
    "{a_thing} that is {colour}",
    "{thing} in {colour}",
    "{colour} coloured {thing}",
    "the {thing} is {colour}",
)
COUNTS = {2: "two", 3: "three", 4: "four"}
PLURALS = {"mouse": "mice", "goose": "geese", "wolf": "wolves", "leaf": "leaves", "knife": "knives", "sheep": "sheep"}
PLURALS |= {"fish": "fish", "man": "men", "woman": "women", "child": "children", "tooth": "teeth", "foot": "feet"}
"""The plurals that do not end in “s”, or change more than that."""
EXPRESSIONS_FILE = Path(__file__).with_name("expressions.txt")


@cache
def read_expressions(path: Path = EXPRESSIONS_FILE) -> dict[str, tuple[str, ...]]:
    """Return the words for the faces, by code without variation selectors, whose eyes and mouths other things get."""
    rows = [line.split("\t") for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    return {to_code(character): tuple(words.split(", ")) for character, words in rows}


def add_article(thing: str) -> str:
    """Return `thing` with “a” or “an”, or unchanged if it looks like a plural."""
    if thing.endswith("s") and not thing.endswith(("ss", "us", "is")):
        return thing
    return f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}"


def list_names(emoji: Emoji) -> list[str]:
    """Return the name and the synonyms of an emoji, the most usual first."""
    return [emoji.name, *(synonym for synonym in emoji.synonyms if len(synonym) > 1)]


def list_uncoloured_names(emoji: Emoji) -> list[str]:
    """Return the names without a colour or the word “face”, so that a colour can be put before them."""
    uncoloured = [COLOUR_WORD.sub("", name) for name in list_names(emoji)]
    if emoji.group == "Animals & Nature":
        uncoloured += [name.removesuffix(" face") for name in uncoloured]
    return list(dict.fromkeys(uncoloured))


def write_plain_captions(emoji: Emoji, random: Random) -> list[str]:
    """Return captions for the picture of one emoji; repeated ones are meant to be drawn more often."""
    all_names = list_names(emoji)
    texts = [emoji.name] * 4 + [add_article(emoji.name)] * 2
    for name in all_names:
        texts += [name, add_article(name), f"a picture of {add_article(name)}"]
    texts += [
        f"{emoji.name} emoji",
        f"an emoji of {add_article(emoji.name)}",
        f"a drawing of {add_article(all_names[-1])}",
    ]
    keywords = [word for word in emoji.keywords if word not in all_names]
    if keywords:
        texts += [f"{emoji.name}, {', '.join(random.sample(keywords, min(2, len(keywords))))}" for _ in range(2)]
        texts += [f"{random.choice(keywords)} {random.choice(all_names)}" for _ in range(2)]
        texts += keywords[:4]
    if len(keywords) > 1:
        texts += [" ".join(random.sample(keywords, min(3, len(keywords)))) for _ in range(3)]
    return texts


def write_colour_captions(emoji: Emoji, colour: str) -> list[str]:
    """Return captions for an emoji that is mostly of one colour."""
    texts = []
    for thing in list_uncoloured_names(emoji)[:3]:
        words = {
            "colour": colour,
            "a_colour": add_article(f"{colour} x")[:-2],
            "thing": thing,
            "a_thing": add_article(thing),
        }
        texts += [form.format(**words) for form in COLOUR_FORMS]
    return texts


def make_plural(thing: str) -> str:
    """Return the plural of a thing's name, of which only the last word changes."""
    *before, noun = thing.split(" ")
    if noun in PLURALS:
        plural = PLURALS[noun]
    elif noun.endswith("s") and not noun.endswith(("ss", "us", "is")):
        plural = noun
    elif noun.endswith(("s", "x", "ch", "sh")):
        plural = f"{noun}es"
    elif noun.endswith("y") and noun[-2:-1] not in "aeiou":
        plural = f"{noun[:-1]}ies"
    else:
        plural = f"{noun}s"
    return " ".join([*before, plural])


def write_pair_captions(left: str, right: str) -> list[str]:
    """Return captions for two things side by side."""
    a, b = add_article(left), add_article(right)
    return [f"{a} and {b}", f"{left} and {right}", f"{a} next to {b}", f"{a} beside {b}", f"{b} to the right of {a}"]


def write_copies_captions(thing: str, count: int) -> list[str]:
    """Return captions for two, three or four things of a kind."""
    things, number = make_plural(thing), COUNTS[count]
    return [f"{number} {things}", f"{number} {things}", f"a picture of {number} {things}", f"{count} {things}"]


def write_on_captions(upper: str, lower: str) -> list[str]:
    """Return captions for one thing on top of another one."""
    a, b = add_article(upper), add_article(lower)
    return [f"{a} on {b}", f"{upper} on {lower}", f"{a} on top of {b}", f"{a} that sits on {b}", f"{b} under {a}"]


def write_with_captions(main: str, small: str) -> list[str]:
    """Return captions for a thing that has or holds a small one."""
    a, b = add_article(main), add_article(small)
    return [f"{a} with {b}", f"{main} with {small}", f"{a} holding {b}", f"{a} that has {b}", f"{b} of {a}"]


def write_behind_captions(back: str, front: str) -> list[str]:
    """Return captions for one thing behind another one."""
    a, b = add_article(back), add_article(front)
    return [f"{a} behind {b}", f"{b} in front of {a}", f"{front} in front of {back}"]


def write_expression_captions(thing: str, expressions: Sequence[str]) -> list[str]:
    """Return captions for a thing with the features of a face that shows one of these expressions."""
    texts = [add_article(f"{word} {thing}") for word in expressions]
    return [*texts, texts[0], f"{expressions[0]} {thing}", f"{add_article(thing)} that looks {expressions[0]}"]


def write_face_captions(expressions: Sequence[str]) -> list[str]:
    """Return captions for a face that shows one of these expressions."""
    forms = ("a face that is {word}", "{a_word} face", "{word} face", "a face that looks {word}")
    words = [{"word": word, "a_word": add_article(word)} for word in expressions]
    return [form.format(**one) for one in words for form in forms]


def is_held_out(thing: str, colour: str) -> bool:
    """Return whether the thing is never shown in that colour: a quarter of all pairs, kept to test generalisation.

    `thing` is a name without a colour, such as “apple”.
    """
    return hashlib.sha256(f"{thing}/{colour}".encode()).digest()[0] % 4 == 0
