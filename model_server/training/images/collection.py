"""The collection that the training draws from: pictures, how often each is drawn, and its captions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from model_server.training.images import captions, scenes
from model_server.training.images.colours import BACKGROUNDS, COLOURS, GREYS, ONE_COLOUR, main_hue, name_of, recolour
from model_server.training.images.emoji import SIZE
from model_server.training.images.things import bare_code, read_descriptions, read_things, read_unseen

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
"""By the words in its shortest name: what people often speak of, and ask for, has one of a word."""
COMMON_WEIGHT = 20.0
"""Of each of the two hundred common things: a network that sees all alike knows none, in a processor's time."""
SHARES = {"plain": 0.62, "colour": 0.2, "scene": 0.17, "tone": 0.01}
"""Which part of the drawn pictures is of which kind."""
NAMEABLE = {"Animals & Nature", "Food & Drink", "Travel & Places", "Activities", "Objects"}
TWO_SIDED = ("left", "right", "clock", "o’clock", "thirty", "button", "letter", "input", "music", "calendar", "medal")
WORN = {
    "sunglasses": ("eyes", ("wearing sunglasses", "with sunglasses", "in sunglasses")),
    "top hat": ("head", ("wearing a hat", "with a hat", "wearing a top hat")),
    "crown": ("head", ("wearing a crown", "with a crown")),
    "woman’s hat": ("head", ("wearing a sun hat", "with a hat")),
    "graduation cap": ("head", ("wearing a graduation cap", "with a graduation cap")),
}


@dataclass
class Described:
    """A thing that has descriptions: the numbers of these in `Collection.texts`, and those of its plain pictures.

    They are no captions of the pictures: a network that knows the thing's name teaches what they mean.
    """

    descriptions: list[int]
    pictures: list[int] = field(default_factory=list)


@dataclass
class Collection:
    """Pictures (64 × 64 × 3 each), their weights, and for each the numbers of its captions in `texts`.

    `shown` has the code of the one thing in each, "" where there are two, or one with a tone. `described` has the
    things with descriptions, by the number of their name.
    """

    pictures: list[Rgb] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    captions: list[list[int]] = field(default_factory=list)
    texts: dict[str, int] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    described: dict[int, Described] = field(default_factory=dict)

    def add(self, kind: str, picture: Rgb, weight: float, texts: list[str], shown: str = "") -> None:
        """One more picture; `shown` as in the list of this name, with or without selectors."""
        assert picture.shape == (SIZE, SIZE, 3)  # noqa: S101 - our own scenes
        self.pictures.append(picture)
        self.weights.append(weight)
        self.captions.append([self.number(text) for text in texts])
        self.kinds.append(kind)
        self.shown.append(bare_code(shown))

    def number(self, text: str) -> int:
        """The number of a caption or description, which is given to it now where it has none."""
        return self.texts.setdefault(text, len(self.texts))

    def probabilities(self) -> np.ndarray:
        """How likely each picture is to be drawn; they add up to 1, and each kind to its share."""
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
    """All pictures that are trained on; those of a set that is not in `weights` count once.

    Each emoji of each set comes in `variants` positions, every fourth mirrored where that does not make it wrong;
    recoloured in every colour that `captions.is_held_out` does not keep back; and `mixed` pictures show two emoji, a
    ground, a scene that `read_unseen` does not keep back, or something worn.
    """
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    collection = Collection()
    weights = weights or {}
    common = read_descriptions()
    asked = {thing.code: thing.name for thing in read_things()}
    emoji = [_as_asked(one, asked) for one in emoji]
    for name, pictures in sets.items():
        for one in emoji:
            if one.code in pictures:
                weight = weights.get(name, 1.0) * usual(one, common)
                descriptions = common.get(bare_code(one.code), ())
                _add_plain(collection, one, pictures[one.code], random, variants, weight, descriptions)
                _add_colours(collection, one, pictures[one.code], random, weight)
    _Mixer(emoji, sets, common, random).add_to(collection, mixed, weights)
    return collection


def _as_asked(emoji: Emoji, asked: Mapping[str, str]) -> Emoji:
    """With the name that a common thing is asked for by, too: “fir tree” beside Unicode's “evergreen tree”.

    `asked` has these names by code.
    """
    name = asked.get(bare_code(emoji.code))
    if name is None or emoji.tone or name in captions.names(emoji):
        return emoji
    return replace(emoji, synonyms=(name, *emoji.synonyms))


def usual(emoji: Emoji, common: Container[str]) -> float:
    """How often one picture of an emoji is drawn beside those of others. `common` has the codes of common things."""
    if bare_code(emoji.code) in common and not emoji.tone:
        return COMMON_WEIGHT
    words = min(len(name.split()) for name in captions.things(emoji))
    return GROUP_WEIGHTS[emoji.group] * NAME_WEIGHTS[min(words, len(NAME_WEIGHTS)) - 1]


def _may_flip(emoji: Emoji) -> bool:
    words = f"{emoji.name} {' '.join(emoji.synonyms)}"
    return emoji.group not in {"Symbols", "Flags"} and not any(word in words for word in TWO_SIDED)


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
    texts = captions.plain(emoji, random)
    colour = name_of(picture)
    if colour and not emoji.tone and emoji.group in NAMEABLE:
        texts += captions.coloured(emoji, colour)[:6]
    for number in range(count):
        flip = _may_flip(emoji) and number % 4 == 3
        collection.add(
            kind, scenes.place(picture, random, flip=flip), weight / count, texts, "" if emoji.tone else emoji.code
        )
    if descriptions and not emoji.tone:
        numbers = [collection.number(text) for text in descriptions]
        described = collection.described.setdefault(collection.texts[emoji.name], Described(numbers))
        described.pictures += range(len(collection.pictures) - count, len(collection.pictures))


def _add_colours(collection: Collection, emoji: Emoji, picture: Rgba, random: Random, weight: float) -> None:
    if emoji.tone or emoji.group not in {*NAMEABLE, "Smileys & Emotion"}:
        return
    bare = captions.things(emoji)
    has_hue = main_hue(picture)[1] >= ONE_COLOUR
    for colour in COLOURS:
        if captions.is_held_out(bare[0], colour) or (colour in GREYS and not has_hue):
            continue
        changed = recolour(picture, colour)
        if colour not in GREYS and main_hue(changed)[1] < ONE_COLOUR:
            continue
        flip = _may_flip(emoji) and random.random() < 0.5
        texts = captions.coloured(emoji, colour)
        collection.add("colour", scenes.place(changed, random, flip=flip), weight, random.sample(texts, 5), emoji.code)


class _Mixer:
    """Makes pictures of several emoji of one set, or of one somewhere else than on white, with their captions."""

    def __init__(self, emoji: Sequence[Emoji], sets: Sets, common: Container[str], random: Random) -> None:
        subjects = [one for one in emoji if one.group in NAMEABLE and not one.tone and _may_flip(one)]
        self._sets, self._random = sets, random
        self._by_name = {one.name: one for one in emoji if not one.tone}
        self._heads = [one for one in subjects if one.group == "Animals & Nature" and one.name.endswith(" face")]
        self._subjects = {name: [one for one in subjects if one.code in pictures] for name, pictures in sets.items()}
        # Or a common thing would hardly ever be seen anywhere but on white, and come out as a blob elsewhere.
        self._chances = {name: [usual(one, common) for one in those] for name, those in self._subjects.items()}
        self._kept_back: dict[str, set[str]] = defaultdict(set)
        for prompt in read_unseen():
            self._kept_back[prompt.code].add(prompt.scene)

    def add_to(self, collection: Collection, count: int, weights: Mapping[str, float]) -> None:
        """So many, of all kinds in turn; less where a set lacks what is worn."""
        kinds: list[Callable[[str], tuple[Rgb, list[str], str] | None]] = [self._two, self._ground, *[self._scene] * 4]
        if self._heads and all(thing in self._by_name for thing in WORN):
            kinds.append(self._worn)
        names = [name for name, those in self._subjects.items() if those]
        for number in range(count if names else 0):
            name = self._random.choice(names)
            if (made := kinds[number % len(kinds)](name)) is not None:
                collection.add("scene", made[0], weights.get(name, 1.0), made[1], made[2])

    def _subject(self, name: str) -> tuple[Emoji, Rgba, str]:
        one = self._random.choices(self._subjects[name], self._chances[name])[0]
        return one, self._sets[name][one.code], self._random.choice(captions.names(one)[:3])

    def _flip(self) -> bool:
        return self._random.random() < 0.5

    def _two(self, name: str) -> tuple[Rgb, list[str], str]:
        (_, left, first), (_, right, second) = self._subject(name), self._subject(name)
        a, b = captions.article(first), captions.article(second)
        texts = [f"{a} and {b}", f"{first} and {second}", f"{a} next to {b}", f"{a} beside {b}"]
        return scenes.pair(left, right, self._random), self._random.sample(texts, 2), ""

    def _ground(self, name: str) -> tuple[Rgb, list[str], str]:
        one, picture, thing = self._subject(name)
        colour = self._random.choice(list(BACKGROUNDS))
        ending = f"on {captions.article(f'{colour} background')}"
        texts = [f"{thing} {ending}", f"{captions.article(thing)} {ending}", f"{thing}, {colour} background"]
        return scenes.on_colour(picture, colour, self._random, flip=self._flip()), texts, one.code

    def _scene(self, name: str) -> tuple[Rgb, list[str], str]:
        one, picture, thing = self._subject(name)
        return self._put(one, picture, captions.article(thing), thing)

    def _worn(self, name: str) -> tuple[Rgb, list[str], str] | None:
        random, pictures = self._random, self._sets[name]
        thing = self._by_name[random.choice(list(WORN))]
        one = random.choice(self._heads)
        if thing.code not in pictures or one.code not in pictures:
            return None
        where, phrases = WORN[thing.name]
        dressed = scenes.wearing(pictures[one.code], pictures[thing.code], where=where)
        calls = [f"{captions.article(called)} {phrase}" for called in captions.things(one)[:3] for phrase in phrases]
        if random.random() < 0.3:
            called = random.choice(calls)
            return self._put(one, dressed, called, called)
        return scenes.place(dressed, random, flip=self._flip()), calls, one.code

    def _put(self, emoji: Emoji, picture: Rgba, called: str, thing: str) -> tuple[Rgb, list[str], str]:
        """The picture of `emoji` in one of the scenes; `called` is `thing` with its article."""
        random = self._random
        where = random.choice([scene for scene in scenes.SCENES if scene not in self._kept_back[bare_code(emoji.code)]])
        first, second, third = random.sample(scenes.SCENE_WORDS[where], 3)
        texts = [f"{called} {first}", f"{called} {second}", f"{called} that is {third}", f"{thing} {where}"]
        return scenes.in_scene(picture, where, random, flip=self._flip()), texts, emoji.code


def by_kind(collection: Collection) -> dict[str, int]:
    """How many pictures of each kind there are."""
    counts: dict[str, int] = defaultdict(int)
    for kind in collection.kinds:
        counts[kind] += 1
    return dict(counts)
