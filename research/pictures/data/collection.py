"""Builds the collection of training pictures, with their captions and the weights by which they are drawn."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from model_server.engines.diffusion.request import append_style
from research.pictures.data import captions, scenes
from research.pictures.data.choice import (
    COLOURABLE,
    COMMON_WEIGHT,
    NAMEABLE,
    can_flip,
    compute_draw_weight,
    is_drawable,
    list_colours,
    show_in_colour,
)
from research.pictures.data.colours import name_colour
from research.pictures.data.composites import CompositeMaker
from research.pictures.data.things import read_descriptions, read_things, strip_selector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from research.pictures.data.drawings import Drawing
    from research.pictures.data.emoji import Emoji, Rgba
    from research.pictures.data.scenes import Rgb

    Sets = dict[str, dict[str, Rgba]]

SHARES = {"centred": 0.12, "plain": 0.42, "colour": 0.26, "composite": 0.2}
"""The share of each kind among the drawn pictures."""
COMMON_VARIANTS, FREQUENT_VARIANTS, OTHER_VARIANTS = 8, 4, 2
"""The number of positions in which each drawing of a common thing is shown, and of any other."""
FURTHER_WEIGHT = 0.6
"""The weight of each drawing beside the sets: they are drawn in many hands, and some are hard to name."""
DISTORTED_SHARE = 0.5
"""The share of the positions in which a drawing is distorted, too."""
COMMON_COLOURS, OTHER_COLOURS = 6, 2
"""The number of colours in which each drawing of a common thing is shown, and of any other."""
PLAIN_CAPTIONS, DESCRIPTIONS = 6, 3
"""The number of captions of each plain picture, and of descriptions that are captions, too, if its thing has any."""


@dataclass
class Collection:
    """Pictures (side × side × 3 each), their weights and kinds, and the numbers of the captions of each in `texts`.

    `things` has the codes of all that each picture shows, without variation selectors, and `sets` the set of each.
    """

    pictures: list[Rgb] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    captions: list[list[int]] = field(default_factory=list)
    texts: dict[str, int] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)
    things: list[tuple[str, ...]] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)

    def add(
        self,
        kind: str,
        picture: Rgb,
        weight: float,
        texts: Sequence[str],
        things: Sequence[str] = (),
        set_name: str = "",
        style: str = "",
    ) -> None:
        """Add a picture of `things`, by code. Two in three captions name the style of its set, if that has a word."""
        self.pictures.append(picture)
        self.weights.append(weight)
        texts = [append_style(text, style if number % 3 else "") for number, text in enumerate(texts, 1)]
        self.captions.append([self.texts.setdefault(text, len(self.texts)) for text in texts])
        self.kinds.append(kind)
        self.things.append(tuple(map(strip_selector, things)))
        self.sets.append(set_name)

    def probabilities(self) -> np.ndarray:
        """Return the probability with which each picture is drawn; those of each kind add up to its share."""
        weights, kinds = np.asarray(self.weights), np.asarray(self.kinds)
        for kind in set(self.kinds):
            weights[kinds == kind] *= SHARES[kind] / weights[kinds == kind].sum()
        weights /= weights.sum()
        return weights


def collect(
    emoji: Sequence[Emoji],
    sets: Sets,
    seed: int,
    *,
    styles: Mapping[str, str] | None = None,
    mixed: int = 20_000,
    further: Iterable[Drawing] = (),
) -> Collection:
    """Make all training pictures. `styles` has the word for the style of each set, if there are any.

    Each emoji of each set is shown in the middle and in some positions, some mirrored if that does not make them wrong,
    and recoloured in colours that `captions.is_held_out` does not exclude. `mixed` pictures show several emoji, a
    background, a scene that `read_unseen_prompts` does not exclude, something worn, or an expression. `further`
    drawings are looked at as they are, and learnt in another position.
    """
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    collection = Collection()
    styles = styles or {}
    descriptions = read_descriptions()
    emoji = add_prompt_names(emoji)
    for name, pictures in sets.items():
        for one in emoji:
            if one.code in pictures:
                weight = compute_draw_weight(one, descriptions)
                own_descriptions = descriptions.get(strip_selector(one.code), ())
                add = partial(collection.add, things=[one.code], set_name=name, style=styles.get(name, ""))
                _add_plain(add, one, pictures[one.code], random, weight, own_descriptions)
                _add_colours(add, one, pictures[one.code], random, weight)
    faceless = {name for name in sets if name not in styles} if styles else ()
    maker = CompositeMaker(emoji, sets, descriptions, random, faceless)
    for picture, texts, things, name in maker.make(mixed):
        collection.add("composite", picture, 1.0, texts, things, name, styles.get(name, ""))
    learnt = {(name, strip_selector(code)) for name, pictures in sets.items() for code in pictures}
    for drawing in further:
        if drawing.code and (drawing.set, drawing.code) not in learnt:
            collection.add("centred", scenes.centre(drawing.picture), 0.0, (), [drawing.code], drawing.set)
            texts = [captions.add_article(name) for name in drawing.names[:PLAIN_CAPTIONS]] + list(drawing.names[:2])
            placed = scenes.place(scenes.distort(drawing.picture, random), random, flip=random.random() < 0.5)
            collection.add("plain", placed, FURTHER_WEIGHT, texts, [drawing.code], drawing.set)
    return collection


def add_prompt_names(emoji: Sequence[Emoji]) -> list[Emoji]:
    """Return what can be drawn, with the names by which prompts ask: “fir tree” for “evergreen tree”."""
    names = {thing.code: thing.name for thing in read_things()}
    return [_add_name(one, names.get(strip_selector(one.code))) for one in emoji if is_drawable(one)]


def _add_name(emoji: Emoji, name: str | None) -> Emoji:
    if name is None or name in captions.list_names(emoji):
        return emoji
    return replace(emoji, synonyms=(name, *emoji.synonyms))


def _add_plain(
    add: Callable[..., None], emoji: Emoji, picture: Rgba, random: Random, weight: float, descriptions: Sequence[str]
) -> None:
    count = COMMON_VARIANTS if descriptions else FREQUENT_VARIANTS if weight >= 1 else OTHER_VARIANTS
    colour, expressions = name_colour(picture), captions.read_expressions().get(strip_selector(emoji.code), ())
    for number in range(count + 1):
        texts = captions.write_plain_captions(emoji, random) + captions.write_face_captions(expressions)
        if colour and emoji.group in NAMEABLE:
            texts += captions.write_colour_captions(emoji, colour)[:6]
        texts = random.sample(texts, PLAIN_CAPTIONS)
        texts += random.sample(descriptions, min(DESCRIPTIONS, len(descriptions)))
        random.shuffle(texts)
        if number == 0:
            add("centred", scenes.centre(picture), weight, texts)
        else:
            flip = can_flip(emoji) and random.random() < 0.3
            shown = scenes.distort(picture, random) if random.random() < DISTORTED_SHARE else picture
            add("plain", scenes.place(shown, random, flip=flip), weight / count, texts)


def _add_colours(add: Callable[..., None], emoji: Emoji, picture: Rgba, random: Random, weight: float) -> None:
    if emoji.group not in COLOURABLE:
        return
    colours = list_colours(emoji, picture)
    count = COMMON_COLOURS if weight >= COMMON_WEIGHT else OTHER_COLOURS
    for colour in random.sample(colours, min(count, len(colours))):
        if (recoloured := show_in_colour(picture, colour)) is not None:
            placed = scenes.place(recoloured, random, flip=can_flip(emoji) and random.random() < 0.4)
            texts = random.sample(captions.write_colour_captions(emoji, colour), 6)
            add("colour", placed, weight / count, texts)


def count_by_kind(collection: Collection) -> dict[str, int]:
    """Return the number of pictures of each kind."""
    return dict(Counter(collection.kinds))
