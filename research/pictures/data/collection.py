"""Builds the collection of training pictures, with their captions and the weights by which they are drawn."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from model_server.engines.diffusion.request import append_style
from research.pictures.data import captions, scenes
from research.pictures.data.choice import (
    COMMON_WEIGHT,
    NAMEABLE,
    can_flip,
    compute_draw_weight,
    list_colours,
    show_in_colour,
)
from research.pictures.data.colours import name_colour
from research.pictures.data.composites import CompositeMaker
from research.pictures.data.emoji import SIZE
from research.pictures.data.things import read_descriptions, read_things, strip_selector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from research.pictures.data.emoji import Emoji, Rgba
    from research.pictures.data.scenes import Rgb

    Sets = dict[str, dict[str, Rgba]]

SHARES = {"plain": 0.5, "colour": 0.17, "scene": 0.32, "tone": 0.01}
"""The share of each kind among the drawn pictures."""
COMMON_VARIANTS, OTHER_VARIANTS = 6, 1
"""The number of positions in which each drawing of a common thing, and of any other, is shown."""
OTHER_COLOURS = 2
"""The number of colours in which each drawing of a thing that is not common is shown."""


@dataclass
class DescribedThing:
    """A thing with descriptions: the `name` and descriptions themselves, and the numbers of the thing's plain pictures.

    Descriptions are not captions of these pictures: the UNet learns them from the name of the thing.
    """

    name: str
    descriptions: Sequence[str]
    pictures: list[int] = field(default_factory=list)


@dataclass
class Collection:
    """Pictures (64 × 64 × 3 each), their weights, kinds and styles, and the numbers of the captions of each in `texts`.

    `things` has the code of the one thing that each picture shows, or "" for two things or a skin tone. `described` has
    the things with descriptions, by code.
    """

    pictures: list[Rgb] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    captions: list[list[int]] = field(default_factory=list)
    texts: dict[str, int] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)
    things: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    described: dict[str, DescribedThing] = field(default_factory=dict)

    def add(self, kind: str, picture: Rgb, weight: float, texts: list[str], thing: str = "", style: str = "") -> None:
        """Add a picture in a style; `thing` is the code of the one thing in it, with or without variation selectors.

        Two in three captions name the style.
        """
        assert picture.shape == (SIZE, SIZE, 3)  # noqa: S101 - our own scenes
        self.pictures.append(picture)
        self.weights.append(weight)
        texts = [append_style(text, style if number % 3 else "") for number, text in enumerate(texts, 1)]
        self.captions.append([self.texts.setdefault(text, len(self.texts)) for text in texts])
        self.kinds.append(kind)
        self.things.append(strip_selector(thing))
        self.styles.append(style)

    def probabilities(self) -> np.ndarray:
        """Return the probability with which each picture is drawn; those of each kind add up to its share."""
        weights, kinds = np.asarray(self.weights), np.asarray(self.kinds)
        for kind in set(self.kinds):
            weights[kinds == kind] *= SHARES[kind] / weights[kinds == kind].sum()
        weights /= weights.sum()
        return weights


def collect(
    emoji: list[Emoji], sets: Sets, seed: int, *, styles: Mapping[str, str] | None = None, mixed: int = 16_000
) -> Collection:
    """Make all training pictures. `styles` has the word for the style of each set, if there are any.

    Each emoji of each set is placed in some positions, every fourth mirrored if that does not make it wrong, and
    recoloured in colours that `captions.is_held_out` does not exclude. `mixed` pictures show several emoji, a
    background, a scene that `read_unseen_prompts` does not exclude, something worn, or an expression.
    """
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    collection = Collection()
    styles = styles or {}
    descriptions = read_descriptions()
    prompt_names = {thing.code: thing.name for thing in read_things()}
    emoji = [_add_prompt_name(one, prompt_names) for one in emoji]
    for name, pictures in sets.items():
        for one in emoji:
            if one.code in pictures:
                weight = compute_draw_weight(one, descriptions)
                own_descriptions = descriptions.get(strip_selector(one.code), ())
                style = styles.get(name, "")
                _add_plain(collection, one, pictures[one.code], random, weight, own_descriptions, style)
                _add_colours(collection, one, pictures[one.code], random, weight, style)
    maker = CompositeMaker(emoji, sets, descriptions, random)
    for picture, texts, thing, name in maker.make(mixed):
        collection.add("scene", picture, 1.0, texts, thing, styles.get(name, ""))
    return collection


def _add_prompt_name(emoji: Emoji, prompt_names: Mapping[str, str]) -> Emoji:
    """Add the name by which prompts ask for a common thing (by code), such as “fir tree” for “evergreen tree”."""
    name = prompt_names.get(strip_selector(emoji.code))
    if name is None or emoji.tone or name in captions.list_names(emoji):
        return emoji
    return replace(emoji, synonyms=(name, *emoji.synonyms))


def _add_plain(
    collection: Collection,
    emoji: Emoji,
    picture: Rgba,
    random: Random,
    weight: float,
    descriptions: Sequence[str],
    style: str,
) -> None:
    kind = "tone" if emoji.tone else "plain"
    count = COMMON_VARIANTS if descriptions and not emoji.tone else OTHER_VARIANTS
    colour = name_colour(picture)
    for _ in range(count):
        texts = captions.write_plain_captions(emoji, random)
        if colour and not emoji.tone and emoji.group in NAMEABLE:
            texts += captions.write_colour_captions(emoji, colour)[:6]
        random.shuffle(texts)
        flip = can_flip(emoji) and random.random() < 0.25
        placed = scenes.place(picture, random, flip=flip)
        collection.add(kind, placed, weight / count, texts, "" if emoji.tone else emoji.code, style)
    if descriptions and not emoji.tone:
        described = collection.described.setdefault(emoji.code, DescribedThing(emoji.name, descriptions))
        described.pictures += range(len(collection.pictures) - count, len(collection.pictures))


def _add_colours(
    collection: Collection, emoji: Emoji, picture: Rgba, random: Random, weight: float, style: str
) -> None:
    if emoji.tone or emoji.group not in {*NAMEABLE, "Smileys & Emotion"}:
        return
    colours = list_colours(emoji, picture)
    if weight < COMMON_WEIGHT:
        colours = random.sample(colours, min(OTHER_COLOURS, len(colours)))
    for colour in colours:
        if (recoloured := show_in_colour(picture, colour)) is None:
            continue
        placed = scenes.place(recoloured, random, flip=can_flip(emoji) and random.random() < 0.5)
        texts = random.sample(captions.write_colour_captions(emoji, colour), 6)
        collection.add("colour", placed, weight / len(colours), texts, emoji.code, style)


def count_by_kind(collection: Collection) -> dict[str, int]:
    """Return the number of pictures of each kind."""
    return dict(Counter(collection.kinds))
