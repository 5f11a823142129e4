"""Builds the collection of training pictures, with their captions and the weights by which they are drawn."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from model_server.training.images import captions, scenes
from model_server.training.images.colours import (
    BACKGROUNDS,
    COLOURS,
    GREYS,
    MIN_HUE_SHARE,
    find_main_hue,
    name_colour,
    recolour,
)
from model_server.training.images.emoji import SIZE
from model_server.training.images.things import read_descriptions, read_things, read_unseen_prompts, strip_selector

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from model_server.training.images.emoji import Emoji, Rgba
    from model_server.training.images.scenes import Rgb

    Sets = dict[str, dict[str, Rgba]]

GROUP_WEIGHTS = {
    "Smileys & Emotion": 1.0,
    "People & Body": 0.12,
    "Animals & Nature": 1.6,
    "Food & Drink": 1.6,
    "Travel & Places": 1.0,
    "Activities": 1.0,
    "Objects": 1.0,
    "Symbols": 0.08,
    "Flags": 0.02,
}
NAME_WEIGHTS = (2.0, 0.8, 0.2)
"""The factor by the number of words in the shortest name: common things have names of one word."""
COMMON_WEIGHT = 20.0
"""The weight of each of the two hundred common things, without which they would not be learnt in reasonable time."""
SHARES = {"plain": 0.62, "colour": 0.2, "scene": 0.17, "tone": 0.01}
"""The share of each kind among the drawn pictures."""
NAMEABLE = {"Animals & Nature", "Food & Drink", "Travel & Places", "Activities", "Objects"}
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
WORN = {
    "sunglasses": ("eyes", ("wearing sunglasses", "with sunglasses", "in sunglasses")),
    "top hat": ("head", ("wearing a hat", "with a hat", "wearing a top hat")),
    "crown": ("head", ("wearing a crown", "with a crown")),
    "woman’s hat": ("head", ("wearing a sun hat", "with a hat")),
    "graduation cap": ("head", ("wearing a graduation cap", "with a graduation cap")),
}


@dataclass
class DescribedThing:
    """A thing with descriptions: their numbers in `Collection.texts`, and the numbers of the thing's plain pictures.

    Descriptions are not captions of these pictures: the UNet learns them from the name of the thing.
    """

    descriptions: list[int]
    pictures: list[int] = field(default_factory=list)


@dataclass
class Collection:
    """Pictures (64 × 64 × 3 each), their weights and kinds, and for each the numbers of its captions in `texts`.

    `things` has the code of the one thing that each picture shows, or "" for two things or a skin tone. `described` has
    the things with descriptions, by the number of their name in `texts`.
    """

    pictures: list[Rgb] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    captions: list[list[int]] = field(default_factory=list)
    texts: dict[str, int] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)
    things: list[str] = field(default_factory=list)
    described: dict[int, DescribedThing] = field(default_factory=dict)

    def add(self, kind: str, picture: Rgb, weight: float, texts: list[str], thing: str = "") -> None:
        """Add a picture; `thing` is the code of the one thing in it, with or without variation selectors."""
        assert picture.shape == (SIZE, SIZE, 3)  # noqa: S101 - our own scenes
        self.pictures.append(picture)
        self.weights.append(weight)
        self.captions.append([self.number(text) for text in texts])
        self.kinds.append(kind)
        self.things.append(strip_selector(thing))

    def number(self, text: str) -> int:
        """Return the number of a caption or description; a new text gets the next number."""
        return self.texts.setdefault(text, len(self.texts))

    def probabilities(self) -> np.ndarray:
        """Return the probability with which each picture is drawn; those of each kind add up to its share."""
        weights, kinds = np.asarray(self.weights), np.asarray(self.kinds)
        for kind in set(self.kinds):
            weights[kinds == kind] *= SHARES[kind] / weights[kinds == kind].sum()
        weights /= weights.sum()
        return weights


def collect(
    emoji: list[Emoji],
    sets: Sets,
    seed: int,
    *,
    weights: Mapping[str, float] | None = None,
    variants: int = 4,
    mixed: int = 36_000,
) -> Collection:
    """Make all training pictures. The weight of a set is in `weights`, or else 1.

    Each emoji of each set is placed in `variants` positions, every fourth mirrored if that does not make it wrong, and
    recoloured in every colour that `captions.is_held_out` does not exclude. `mixed` pictures show two emoji, a
    background, a scene that `read_unseen_prompts` does not exclude, or something worn.
    """
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    collection = Collection()
    weights = weights or {}
    descriptions = read_descriptions()
    prompt_names = {thing.code: thing.name for thing in read_things()}
    emoji = [_add_prompt_name(one, prompt_names) for one in emoji]
    for name, pictures in sets.items():
        for one in emoji:
            if one.code in pictures:
                weight = weights.get(name, 1.0) * compute_draw_weight(one, descriptions)
                own_descriptions = descriptions.get(strip_selector(one.code), ())
                _add_plain(collection, one, pictures[one.code], random, variants, weight, own_descriptions)
                _add_colours(collection, one, pictures[one.code], random, weight)
    _SceneMaker(emoji, sets, descriptions, random).add_to(collection, mixed, weights)
    return collection


def _add_prompt_name(emoji: Emoji, prompt_names: Mapping[str, str]) -> Emoji:
    """Add the name by which prompts ask for a common thing (by code), such as “fir tree” for “evergreen tree”."""
    name = prompt_names.get(strip_selector(emoji.code))
    if name is None or emoji.tone or name in captions.list_names(emoji):
        return emoji
    return replace(emoji, synonyms=(name, *emoji.synonyms))


def compute_draw_weight(emoji: Emoji, common: Container[str]) -> float:
    """Return how often a picture of an emoji is drawn, relative to others; `common` has the codes of common things."""
    if strip_selector(emoji.code) in common and not emoji.tone:
        return COMMON_WEIGHT
    words = min(len(name.split()) for name in captions.list_uncoloured_names(emoji))
    return GROUP_WEIGHTS[emoji.group] * NAME_WEIGHTS[min(words, len(NAME_WEIGHTS)) - 1]


def _can_flip(emoji: Emoji) -> bool:
    words = f"{emoji.name} {' '.join(emoji.synonyms)}"
    return emoji.group not in {"Symbols", "Flags"} and not any(word in words for word in ORIENTED_WORDS)


def _add_plain(
    collection: Collection,
    emoji: Emoji,
    picture: Rgba,
    random: Random,
    variants: int,
    weight: float,
    descriptions: Sequence[str],
) -> None:
    kind = "tone" if emoji.tone else "plain"
    count = 1 if emoji.tone else variants
    texts = captions.write_plain_captions(emoji, random)
    colour = name_colour(picture)
    if colour and not emoji.tone and emoji.group in NAMEABLE:
        texts += captions.write_colour_captions(emoji, colour)[:6]
    for number in range(count):
        flip = _can_flip(emoji) and number % 4 == 3
        collection.add(
            kind, scenes.place(picture, random, flip=flip), weight / count, texts, "" if emoji.tone else emoji.code
        )
    if descriptions and not emoji.tone:
        numbers = [collection.number(text) for text in descriptions]
        described = collection.described.setdefault(collection.texts[emoji.name], DescribedThing(numbers))
        described.pictures += range(len(collection.pictures) - count, len(collection.pictures))


def _add_colours(collection: Collection, emoji: Emoji, picture: Rgba, random: Random, weight: float) -> None:
    if emoji.tone or emoji.group not in {*NAMEABLE, "Smileys & Emotion"}:
        return
    name = captions.list_uncoloured_names(emoji)[0]
    has_hue = find_main_hue(picture)[1] >= MIN_HUE_SHARE
    for colour in COLOURS:
        if captions.is_held_out(name, colour) or (colour in GREYS and not has_hue):
            continue
        recoloured = recolour(picture, colour)
        if colour not in GREYS and find_main_hue(recoloured)[1] < MIN_HUE_SHARE:
            continue
        placed = scenes.place(recoloured, random, flip=_can_flip(emoji) and random.random() < 0.5)
        texts = random.sample(captions.write_colour_captions(emoji, colour), 5)
        collection.add("colour", placed, weight, texts, emoji.code)


class _SceneMaker:
    """Makes pictures of two emoji of one set, or of one that is not on plain white, with their captions."""

    def __init__(self, emoji: Sequence[Emoji], sets: Sets, common: Container[str], random: Random) -> None:
        subjects = [one for one in emoji if one.group in NAMEABLE and not one.tone and _can_flip(one)]
        self._sets, self._random = sets, random
        self._by_name = {one.name: one for one in emoji if not one.tone}
        self._animal_faces = [one for one in subjects if one.group == "Animals & Nature" and one.name.endswith(" face")]
        self._subjects = {name: [one for one in subjects if one.code in pictures] for name, pictures in sets.items()}
        # Without weights, a common thing would hardly ever be seen outside plain white, and be drawn as a blob there.
        self._weights = {
            name: [compute_draw_weight(one, common) for one in those] for name, those in self._subjects.items()
        }
        self._held_out: dict[str, set[str]] = defaultdict(set)
        for prompt in read_unseen_prompts():
            self._held_out[prompt.code].add(prompt.scene)

    def add_to(self, collection: Collection, count: int, weights: Mapping[str, float]) -> None:
        """Add `count` pictures, of all kinds in turn; fewer if a set lacks what is worn."""
        makers: list[Callable[[str], tuple[Rgb, list[str], str] | None]] = [
            self._make_pair,
            self._make_background,
            *[self._make_scene] * 4,
        ]
        if self._animal_faces and all(thing in self._by_name for thing in WORN):
            makers.append(self._make_dressed)
        names = [name for name, subjects in self._subjects.items() if subjects]
        for number in range(count if names else 0):
            name = self._random.choice(names)
            if (made := makers[number % len(makers)](name)) is not None:
                picture, texts, thing = made
                collection.add("scene", picture, weights.get(name, 1.0), texts, thing)

    def _draw_subject(self, name: str) -> tuple[Emoji, Rgba, str]:
        emoji = self._random.choices(self._subjects[name], self._weights[name])[0]
        return emoji, self._sets[name][emoji.code], self._random.choice(captions.list_names(emoji)[:3])

    def _draw_flip(self) -> bool:
        return self._random.random() < 0.5

    def _make_pair(self, name: str) -> tuple[Rgb, list[str], str]:
        (_, left, first), (_, right, second) = self._draw_subject(name), self._draw_subject(name)
        a, b = captions.add_article(first), captions.add_article(second)
        texts = [f"{a} and {b}", f"{first} and {second}", f"{a} next to {b}", f"{a} beside {b}"]
        return scenes.place_pair(left, right, self._random), self._random.sample(texts, 2), ""

    def _make_background(self, name: str) -> tuple[Rgb, list[str], str]:
        emoji, picture, thing = self._draw_subject(name)
        colour = self._random.choice(list(BACKGROUNDS))
        ending = f"on {captions.add_article(f'{colour} background')}"
        texts = [f"{thing} {ending}", f"{captions.add_article(thing)} {ending}", f"{thing}, {colour} background"]
        return scenes.place_on_colour(picture, colour, self._random, flip=self._draw_flip()), texts, emoji.code

    def _make_scene(self, name: str) -> tuple[Rgb, list[str], str]:
        emoji, picture, thing = self._draw_subject(name)
        return self._place_in_scene(emoji, picture, captions.add_article(thing), thing)

    def _make_dressed(self, name: str) -> tuple[Rgb, list[str], str] | None:
        random, pictures = self._random, self._sets[name]
        worn = self._by_name[random.choice(list(WORN))]
        emoji = random.choice(self._animal_faces)
        if worn.code not in pictures or emoji.code not in pictures:
            return None
        position, phrases = WORN[worn.name]
        dressed = scenes.put_on(pictures[emoji.code], pictures[worn.code], position=position)
        names = captions.list_uncoloured_names(emoji)[:3]
        texts = [f"{captions.add_article(thing)} {phrase}" for thing in names for phrase in phrases]
        if random.random() < 0.3:
            text = random.choice(texts)
            return self._place_in_scene(emoji, dressed, text, text)
        return scenes.place(dressed, random, flip=self._draw_flip()), texts, emoji.code

    def _place_in_scene(self, emoji: Emoji, picture: Rgba, with_article: str, thing: str) -> tuple[Rgb, list[str], str]:
        """Place the picture of `emoji` in a random scene; `with_article` is `thing` with its article."""
        random, held_out = self._random, self._held_out[strip_selector(emoji.code)]
        scene = random.choice([scene for scene in scenes.SCENES if scene not in held_out])
        first, second, third = random.sample(scenes.SCENE_WORDS[scene], 3)
        texts = [
            f"{with_article} {first}",
            f"{with_article} {second}",
            f"{with_article} that is {third}",
            f"{thing} {scene}",
        ]
        return scenes.place_in_scene(picture, scene, random, flip=self._draw_flip()), texts, emoji.code


def count_by_kind(collection: Collection) -> dict[str, int]:
    """Return the number of pictures of each kind."""
    return dict(Counter(collection.kinds))
