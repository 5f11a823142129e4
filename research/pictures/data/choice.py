"""Which emoji are drawn often, and what may be done with the picture of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from research.pictures.data import captions
from research.pictures.data.colours import COLOURS, GREYS, MIN_HUE_SHARE, find_main_hue, recolour
from research.pictures.data.things import strip_selector

if TYPE_CHECKING:
    from collections.abc import Container

    from research.pictures.data.emoji import Emoji, Rgba

GROUP_WEIGHTS = {
    "Smileys & Emotion": 1.0,
    "People & Body": 0.12,
    "Animals & Nature": 1.6,
    "Food & Drink": 1.6,
    "Travel & Places": 1.0,
    "Activities": 1.0,
    "Objects": 1.0,
}
NAME_WEIGHTS = (2.0, 0.8, 0.2)
"""The factor by the number of words in the shortest name: common things have names of one word."""
COMMON_WEIGHT = 8.0
"""The weight of each of the two hundred common things. With 20, these were learnt by heart, and others stayed blobs."""
FACE_WEIGHT = 4.0
"""The weight of each face whose expression has words: what tells it from the others are a few cells."""
NAMEABLE = {"Animals & Nature", "Food & Drink", "Travel & Places", "Activities", "Objects"}
COLOURABLE = {*NAMEABLE, "Smileys & Emotion"}
ORIENTED_WORDS = (
    "left",
    "right",
    "clock",
    "o’clock",
    "thirty",
    "button",
    "letter",
    "input",
    "music",
    "calendar",
    "medal",
)
"""Words in the names of emoji that must not be mirrored."""


def is_drawable(emoji: Emoji) -> bool:
    """Return whether an emoji is drawn at all: symbols, flags and other skin tones are not."""
    return emoji.group in GROUP_WEIGHTS and not emoji.tone


def compute_draw_weight(emoji: Emoji, common: Container[str]) -> float:
    """Return how often a picture of an emoji is drawn, relative to others; `common` has the codes of common things."""
    if strip_selector(emoji.code) in common:
        return COMMON_WEIGHT
    if strip_selector(emoji.code) in captions.read_expressions():
        return FACE_WEIGHT
    words = min(len(name.split()) for name in captions.list_uncoloured_names(emoji))
    return GROUP_WEIGHTS[emoji.group] * NAME_WEIGHTS[min(words, len(NAME_WEIGHTS)) - 1]


def can_flip(emoji: Emoji) -> bool:
    """Return whether an emoji may be mirrored."""
    words = f"{emoji.name} {' '.join(emoji.synonyms)}"
    return not any(word in words for word in ORIENTED_WORDS)


def list_colours(emoji: Emoji, picture: Rgba) -> list[str]:
    """Return the colours in which an emoji may be shown: none that is held out, and greys only if it has a colour."""
    name = captions.list_uncoloured_names(emoji)[0]
    has_hue = find_main_hue(picture)[1] >= MIN_HUE_SHARE
    return [one for one in COLOURS if not captions.is_held_out(name, one) and (has_hue or one not in GREYS)]


def show_in_colour(picture: Rgba, colour: str) -> Rgba | None:
    """Return the picture in another colour, or None if most of it cannot be changed."""
    recoloured = recolour(picture, colour)
    return recoloured if colour in GREYS or find_main_hue(recoloured)[1] >= MIN_HUE_SHARE else None
