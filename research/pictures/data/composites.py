"""Makes training pictures of several emoji, or of one that is not on plain white, with their captions."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from research.pictures.data import captions, scenes
from research.pictures.data.choice import NAMEABLE, can_flip, compute_draw_weight, list_colours, show_in_colour
from research.pictures.data.colours import BACKGROUNDS
from research.pictures.data.things import read_unseen_prompts, strip_selector

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence
    from random import Random

    from research.pictures.data.emoji import Emoji, Rgba
    from research.pictures.data.scenes import Rgb

    Sets = dict[str, dict[str, Rgba]]
    Composite = tuple[Rgb, list[str], tuple[str, ...]]
    """A picture, its captions, and the codes of all that it shows, the most important first."""
    WriteCaptions = Callable[[str, str], list[str]]
    PlaceTwo = Callable[[Rgba, Rgba, Random], Rgb]

WORN = {
    "sunglasses": ("eyes", ("wearing sunglasses", "with sunglasses", "in sunglasses")),
    "top hat": ("head", ("wearing a hat", "with a hat", "wearing a top hat")),
    "crown": ("head", ("wearing a crown", "with a crown")),
    "woman’s hat": ("head", ("wearing a sun hat", "with a hat")),
    "graduation cap": ("head", ("wearing a graduation cap", "with a graduation cap")),
}
COLOURED_SHARE = 0.4
"""The share of the things in composites that are shown in another colour than their own."""


class _Subject(NamedTuple):
    """An emoji, its picture in one set, and its name, with a colour if the picture was recoloured."""

    emoji: Emoji
    picture: Rgba
    name: str

    @property
    def with_article(self) -> str:
        return captions.add_article(self.name)


class CompositeMaker:
    """Makes composites of the emoji of one set at a time. `common` has the codes of the common things.

    The faces of the sets `faceless` are not put on other things, nor their hats on animals: their lines are too unlike.
    """

    def __init__(
        self,
        emoji: Sequence[Emoji],
        sets: Sets,
        common: Container[str],
        random: Random,
        faceless: Container[str] = (),
    ) -> None:
        subjects = [
            one for one in emoji if (one.group in NAMEABLE or strip_selector(one.code) in common) and can_flip(one)
        ]
        self._sets, self._random, self._faceless = sets, random, faceless
        self._by_code = {strip_selector(one.code): one for one in emoji}
        self._by_name = {one.name: one for one in self._by_code.values()}
        self._animal_faces = [one for one in subjects if one.group == "Animals & Nature" and one.name.endswith(" face")]
        self._subjects = {name: [one for one in subjects if one.code in pictures] for name, pictures in sets.items()}
        # Without weights, a common thing would hardly ever be seen outside plain white, and be drawn as a blob there.
        self._weights = {
            name: [compute_draw_weight(one, common) for one in those] for name, those in self._subjects.items()
        }
        faces = [(self._by_code.get(code), words) for code, words in captions.read_expressions().items()]
        self._faces = {
            name: [(face, words) for face, words in faces if face is not None and face.code in pictures]
            for name, pictures in sets.items()
        }
        self._held_out: dict[str, set[str]] = defaultdict(set)
        for prompt in read_unseen_prompts():
            self._held_out[prompt.code].add(prompt.scene)

    def make(self, count: int) -> Iterator[tuple[Rgb, list[str], tuple[str, ...], str]]:
        """Make `count` composites, of all kinds in turn, with the set of each; fewer if a set lacks what is needed."""
        makers: list[Callable[[str], Composite | None]] = [
            *[partial(self._make_two, captions.write_pair_captions, scenes.place_pair)] * 2,
            self._make_copies,
            partial(self._make_two, captions.write_on_captions, scenes.place_on),
            partial(self._make_two, captions.write_with_captions, scenes.place_with),
            partial(self._make_two, captions.write_behind_captions, scenes.place_behind),
            self._make_background,
            *[self._make_scene] * 3,
            *[self._make_dressed] * 2,
            *[self._make_expression] * 4,
        ]
        names = [name for name, subjects in self._subjects.items() if subjects]
        for number in range(count if names else 0):
            name = self._random.choice(names)
            if (made := makers[number % len(makers)](name)) is not None:
                yield (*made, name)

    def _draw_subject(self, set_name: str, *, colour: bool = True) -> _Subject:
        random = self._random
        emoji = random.choices(self._subjects[set_name], self._weights[set_name])[0]
        picture, name = self._sets[set_name][emoji.code], random.choice(captions.list_names(emoji)[:3])
        if colour and random.random() < COLOURED_SHARE and (colours := list_colours(emoji, picture)):
            word = random.choice(colours)
            if (recoloured := show_in_colour(picture, word)) is not None:
                return _Subject(emoji, recoloured, f"{word} {captions.list_uncoloured_names(emoji)[0]}")
        return _Subject(emoji, picture, name)

    def _draw_flip(self) -> bool:
        return self._random.random() < 0.5

    def _sample(self, texts: list[str]) -> list[str]:
        return self._random.sample(texts, 3)

    def _make_two(self, write: WriteCaptions, place: PlaceTwo, set_name: str) -> Composite:
        """Put two things into one picture by `place`, which `write` describes."""
        first, second = self._draw_subject(set_name), self._draw_subject(set_name)
        texts = write(first.name, second.name)
        return place(first.picture, second.picture, self._random), self._sample(texts), _codes(first, second)

    def _make_copies(self, set_name: str) -> Composite:
        one, count = self._draw_subject(set_name), self._random.choices((2, 3, 4), (4, 2, 1))[0]
        texts = captions.write_copies_captions(one.name, count)
        return scenes.place_copies(one.picture, count, self._random), self._sample(texts), _codes(one)

    def _make_background(self, set_name: str) -> Composite:
        emoji, picture, thing = self._draw_subject(set_name, colour=False)
        colour = self._random.choice(list(BACKGROUNDS))
        ending = f"on {captions.add_article(f'{colour} background')}"
        texts = [f"{thing} {ending}", f"{captions.add_article(thing)} {ending}", f"{thing}, {colour} background"]
        return scenes.place_on_colour(picture, colour, self._random, flip=self._draw_flip()), texts, (emoji.code,)

    def _make_scene(self, set_name: str) -> Composite:
        one = self._draw_subject(set_name)
        return *self._place_in_scene(one.emoji, one.picture, one.with_article, one.name), _codes(one)

    def _make_dressed(self, set_name: str) -> Composite | None:
        random, pictures = self._random, self._sets[set_name]
        worn, emoji = self._by_name.get(random.choice(list(WORN))), None
        if self._animal_faces:
            emoji = random.choice(self._animal_faces)
        if (
            set_name in self._faceless
            or worn is None
            or emoji is None
            or worn.code not in pictures
            or emoji.code not in pictures
        ):
            return None
        position, phrases = WORN[worn.name]
        dressed = scenes.put_on(pictures[emoji.code], pictures[worn.code], position=position)
        names, codes = captions.list_uncoloured_names(emoji)[:3], (emoji.code, worn.code)
        texts = [f"{captions.add_article(thing)} {phrase}" for thing in names for phrase in phrases]
        if random.random() < 0.3:
            text = random.choice(texts)
            return *self._place_in_scene(emoji, dressed, text, text), codes
        return scenes.place(dressed, random, flip=self._draw_flip()), texts, codes

    def _make_expression(self, set_name: str) -> Composite | None:
        """Put the eyes and the mouth of a yellow face on something else."""
        random, pictures = self._random, self._sets[set_name]
        if set_name in self._faceless or not self._faces[set_name]:
            return None
        face, words = random.choice(self._faces[set_name])
        one = self._draw_subject(set_name)
        if one.emoji.group == "Smileys & Emotion":
            return None
        features = scenes.cut_out_features(pictures[face.code])
        made = scenes.put_features(one.picture, features, random)
        texts = captions.write_expression_captions(one.name, words)
        return scenes.place(made, random, flip=self._draw_flip()), texts, (one.emoji.code, face.code)

    def _place_in_scene(self, emoji: Emoji, picture: Rgba, with_article: str, thing: str) -> tuple[Rgb, list[str]]:
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
        return scenes.place_in_scene(picture, scene, random, flip=self._draw_flip()), texts


def _codes(*subjects: _Subject) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.emoji.code for one in subjects))
