"""What a picture is called, in several ways, so that the generator learns words and not one wording."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    from model_server.training.images.emoji import Emoji

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
TONE_FORMS = ("{thing}, {tone}", "{thing} with {tone}", "a picture of {a_thing} with {tone}", "{thing}: {tone}")


def article(thing: str) -> str:
    """`thing` with “a” or “an”, or without where it looks like a plural."""
    if thing.endswith("s") and not thing.endswith(("ss", "us", "is")):
        return thing
    return f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}"


def names(emoji: Emoji) -> list[str]:
    """The name and what else the thing is called, the most usual first."""
    return [emoji.name, *(synonym for synonym in emoji.synonyms if len(synonym) > 1)]


def things(emoji: Emoji) -> list[str]:
    """The names without a colour or the word “face”: what a colour word can stand before."""
    bare = [COLOUR_WORD.sub("", name) for name in names(emoji)]
    if emoji.group == "Animals & Nature":
        bare += [name.removesuffix(" face") for name in bare]
    return list(dict.fromkeys(bare))


def plain(emoji: Emoji, random: Random) -> list[str]:
    """Captions for the picture of one emoji; repeated ones are meant to be drawn more often."""
    if emoji.tone:
        chosen = {"thing": emoji.name, "a_thing": article(emoji.name), "tone": emoji.tone}
        return [form.format(**chosen) for form in TONE_FORMS]
    called = names(emoji)
    found = [emoji.name] * 4 + [article(emoji.name)] * 2
    for name in called:
        found += [name, article(name), f"a picture of {article(name)}"]
    found += [f"{emoji.name} emoji", f"an emoji of {article(emoji.name)}", f"a drawing of {article(called[-1])}"]
    words = [word for word in emoji.keywords if word not in called]
    if words:
        found += [f"{emoji.name}, {', '.join(random.sample(words, min(2, len(words))))}" for _ in range(2)]
        found += [f"{random.choice(words)} {random.choice(called)}" for _ in range(2)]
        found += words[:4]
    if len(words) > 1:
        found += [" ".join(random.sample(words, min(3, len(words)))) for _ in range(3)]
    return found


def coloured(emoji: Emoji, colour: str) -> list[str]:
    """Captions for an emoji that is mostly of one colour."""
    found = []
    for thing in things(emoji)[:3]:
        chosen = {"colour": colour, "a_colour": article(f"{colour} x")[:-2], "thing": thing, "a_thing": article(thing)}
        found += [form.format(**chosen) for form in COLOUR_FORMS]
    return found


def is_held_out(thing: str, colour: str) -> bool:
    """Whether the thing was never shown in that colour: a quarter of all pairs, to test what was not merely seen.

    `thing` is a name without a colour, such as “apple”.
    """
    return hashlib.sha256(f"{thing}/{colour}".encode()).digest()[0] % 4 == 0
