"""The drawings by people that a network looks at while it draws, found by the words of a prompt.

Retrieval-augmented diffusion: Blattmann et al., arXiv 2204.11824; Sheynin et al., “kNN-Diffusion”, arXiv 2204.02849.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import pairwise, takewhile
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors.torch import load_file
from torch.nn.functional import normalize

from model_server.assembly import REFERENCE_FILES
from model_server.engines.diffusion.parts import ADJECTIVES, CLOTHES, FEATURES, make_singular

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

TENSORS_FILE, TABLE_FILE = REFERENCE_FILES
SLOTS = 4
"""The number of drawings that the network can look at."""
LATENT_UNIT = 1 / 24
"""What one step of the 8-bit latents stands for."""
MAX_NAME_WORDS, MAX_ADJECTIVES = 4, 4
LEAST_COVERAGE = 0.6
"""With this share of names of things among its words, a prompt names what it shows, whatever else it says."""
LEAST_SIMILARITY = 0.4
"""The least cosine between the prompt and the nearest text, both without what all texts have in common."""
VOTES, SHARPNESS = 100, 10.0
"""The nearest texts vote for the thing that is meant, each with the exponential of so many times its similarity."""
LEAST_SHARE = 0.3
"""The share of the votes with which the meaning of a prompt counts for more than the names in it."""
MAX_SCENE = 2
"""How many things of a scene are drawn; a prompt with as many words is no scene."""
SMILEYS = frozenset({"face", "smiley", "emoji", "emoticon"})
"""Words for a face that shows what other words say."""
LINKS = frozenset({"is", "are", "looks", "looking"})
"""Words between a thing and its expression."""
DESCRIBING = frozenset(
    {
        *("that", "which", "what", "who", "whose", "you", "your", "it", "its", "used", "use", "for", "when", "where"),
        *("something", "someone", "somebody", "thing", "things", "like", "they", "them", "how", "often"),
    }
)
"""Words of prompts that describe a thing without its name. Names beside them are those of other things."""
WORD = re.compile(r"[a-z0-9]+(?:['’-][a-z0-9]+)*")
IGNORED = frozenset(
    {
        *("a", "an", "the", "of", "one", "two", "three", "four", "five", "six", "some", "is"),
        *("are", "that", "it", "its", "this", "and", "or", "in", "on", "at", "with", "under"),
        *("behind", "for", "pair", "to", "red", "orange", "yellow", "green", "blue", "purple", "violet", "pink"),
        *("brown", "black", "white", "grey", "gray", "turquoise", "golden", "light", "dark", "big", "small", "large"),
        *("little", "tiny", "old", "young", "new", "round", "long", "thick", "thin", "cute", "beautiful"),
        *("fast", "flying", "wild", "hot", "cold", "broken", "burning", "magic", "face", "picture", "drawing"),
        *("colourful", "colorful", "coloured", "shaded", "flat", "shiny", "bold", "soft", "funny", "background"),
    }
)
"""Words of prompts that name no thing: how things lie, are counted and look."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One drawing of the bank: its number, what it shows, and who made it."""

    number: int
    thing: str
    set: str
    author: str
    licence: str


class Named(NamedTuple):
    """A thing that a prompt names: its number, its name there, and that in the singular after its adjectives.

    A face can be named by what it shows, which other things can show, too.
    """

    thing: int
    name: str
    phrase: str
    is_expression: bool = False


class ReferenceBank:
    """The drawings in `folder`, as `research.pictures.training.bank` writes them.

    `embed(text)` returns the unit vector of a text in MiniLM.
    """

    def __init__(self, folder: Path, embed: Callable[[str], torch.Tensor]) -> None:
        tensors = load_file(folder / TENSORS_FILE)
        table = json.loads((folder / TABLE_FILE).read_text("utf-8"))
        self._latents, self._text_things = tensors["latents"], tensors["text_things"]
        texts = tensors["texts"].float() / 127
        # Without what all texts have in common, the nearest ones are right more often.
        self._common = texts.mean(0)
        self._texts = normalize(texts - self._common, dim=1).half()
        self._things: list[int] = tensors["things"].tolist()
        self._origins: list[int] = tensors["origins"].tolist()
        self._origin_table: list[dict[str, str]] = table["origins"]
        self._thing_names: list[str] = [names[0] for names in table["things"]]
        self._by_thing: dict[int, list[int]] = {}
        for number, thing in enumerate(self._things):
            self._by_thing.setdefault(thing, []).append(number)
        self._by_name: dict[str, int] = {}
        # All first names come before all second ones: “dog” is the dog, and not what has it as another name. Names as
        # they are written come before their singulars: “house” is the house, and not the houses.
        for change in (str.lower, normalise):
            for rank in range(max(map(len, table["things"]))):
                for thing, names in enumerate(table["things"]):
                    if rank < len(names):
                        self._by_name.setdefault(change(names[rank]), thing)
        self._expressions: dict[str, int] = table["expressions"]
        self._shows_face = torch.isin(self._text_things, torch.tensor([*set(self._expressions.values())]))
        self._embed = embed

    def __len__(self) -> int:
        return len(self._things)

    def interpret(self, prompt: str) -> tuple[str, ...]:
        """Return what the network reads of a prompt: all of it, one thing, or two that are to be drawn by themselves.

        A network that learnt single things by their names draws them better from the name than from a description, and
        makes one blob of the things of a scene.
        """
        named, coverage = self._find_named(prompt)
        things = _find_separate(named)
        if named and named[0].is_expression:
            return (named[0].phrase,)
        if coverage >= LEAST_COVERAGE and len(things) < MAX_SCENE:
            return (prompt,)
        words = WORD.findall(prompt.lower())
        if not named and any(one in SMILEYS and after in DESCRIBING for one, after in pairwise(words)):
            face, _ = self._find_meant(prompt, among=self._shows_face)
            return (prompt,) if face is None else (self._thing_names[face],)
        is_covered, is_described = coverage >= LEAST_COVERAGE, not DESCRIBING.isdisjoint(words)
        if is_described or not is_covered:
            meant, share = self._find_meant(prompt)
            is_clear = share >= LEAST_SHARE and meant not in [one.thing for one in named]
            if meant is not None and (is_clear or not named or (is_described and not is_covered)):
                return (self._thing_names[meant],)
        is_short = len(things) < MAX_SCENE and sum(word not in IGNORED for word in words) <= MAX_SCENE
        if not is_covered and (is_described or is_short):
            return (prompt,)
        return tuple(one.phrase for one in things[:MAX_SCENE]) or (prompt,)

    def is_name(self, text: str) -> bool:
        """Return whether `text` is the name of a thing that is drawn here."""
        return text.lower() in self._by_name or normalise(text) in self._by_name

    def find(self, prompt: str, count: int, style: str, seed: int) -> list[Drawing]:
        """Return `count` drawings, or as many as there are, of the things that `prompt` names, none of `style`'s set.

        Several things share the drawings. The same seed finds the same drawings.
        """
        things = [one.thing for one in self._find_named(prompt)[0]][:count]
        random = Random(seed)  # noqa: S311 - reproducible, not secret
        waiting = {thing: self._shuffle(thing, style, random) for thing in things}
        found: list[Drawing] = []
        while len(found) < count and any(waiting.values()):
            for numbers in waiting.values():
                if numbers and len(found) < count:
                    found.append(self.describe(numbers.pop()))
        return found

    def _find_named(self, prompt: str) -> tuple[list[Named], float]:
        """Return the things that `prompt` names, those named by an expression last, and the share of its words that do.

        The longest name counts: a hot dog is no dog.
        """
        words = WORD.findall(prompt.lower())
        if (whole := self._name(words, 0, len(words))) is not None:
            return [whole], 1.0
        found, count, place = dict[int, Named](), 0, 0
        while place < len(words):
            for length in range(min(MAX_NAME_WORDS, len(words) - place), 0, -1):
                one = self._express(words, place, length) or self._name(words, place, length)
                if one is not None:
                    found.setdefault(one.thing, one)
                    count += length
                    place += length - 1
                    break
            place += 1
        meaningful = sum(word not in IGNORED for word in words)
        named = sorted(found.values(), key=lambda one: one.is_expression)
        if any(one.is_expression for one in named):
            named = [one for one in named if one.name not in SMILEYS]
        return named, count / max(1, meaningful)

    def _name(self, words: Sequence[str], place: int, length: int) -> Named | None:
        """Return the thing that `length` words at this place name, if there is one."""
        name = " ".join(words[place : place + length])
        thing = self._by_name.get(name, self._by_name.get(normalise(name)))
        if thing is None or name in IGNORED:
            return None
        return Named(thing, name, _phrase(words[:place], normalise(name)))

    def _express(self, words: Sequence[str], place: int, length: int) -> Named | None:
        """Return the face that shows what `length` words at this place say of a face or a named thing, if they do."""
        name, end = " ".join(words[place : place + length]), place + length
        face = self._expressions.get(name)
        if face is None:
            return None
        while DESCRIBING.isdisjoint(words) and end < len(words) and words[end] in IGNORED:
            end += 1
        is_of_thing = any(self._name(words, end, count) for count in range(1, MAX_NAME_WORDS + 1))
        is_alone = all(word in IGNORED for word in (*words[:place], *words[place + length :]))
        is_linked = place > 0 and words[place - 1] in LINKS
        if not (is_of_thing or is_alone or is_linked or not SMILEYS.isdisjoint(words)):
            return None
        return Named(face, name, _phrase(words[:place], self._thing_names[face]), is_expression=True)

    def _find_meant(self, prompt: str, among: torch.Tensor | None = None) -> tuple[int | None, float]:
        """Return the number of the thing that `prompt` means, if its words mean one, and its share of the votes.

        Where there is `among`, only the texts for which it is True count.
        """
        similarities = self._texts.float() @ normalize(self._embed(prompt).float().cpu() - self._common, dim=0)
        if among is not None:
            similarities = similarities.masked_fill(~among, -1)
        nearest, texts = similarities.topk(min(VOTES, len(similarities)))
        if nearest[0] < LEAST_SIMILARITY:
            return None, 0.0
        votes = torch.zeros(len(self._thing_names))
        votes.index_add_(0, self._text_things[texts].long(), (SHARPNESS * nearest).exp())
        return int(votes.argmax()), float(votes.max() / votes.sum())

    def stack(self, drawings: Sequence[Drawing]) -> torch.Tensor:
        """Return the latents of these drawings one after the other, and zeros in the free slots: SLOTS · C × H × W."""
        _, channels, height, width = self._latents.shape
        slots = torch.zeros(SLOTS, channels, height, width)
        for slot, drawing in enumerate(drawings):
            slots[slot] = self.latents(drawing)
        return slots.flatten(0, 1)

    def latents(self, drawing: Drawing) -> torch.Tensor:
        """Return the latents of a drawing, C × H × W."""
        return self._latents[drawing.number].float() * LATENT_UNIT

    def nearest(self, latents: torch.Tensor) -> Drawing:
        """Return the drawing whose latents, mirrored or not, are nearest to `latents` (C × H × W)."""
        bank = self._latents.flatten(1).float() * LATENT_UNIT
        both = torch.stack([latents, latents.flip(-1)]).flatten(1).float().cpu()
        distances = bank.square().sum(1)[:, None] - 2 * bank @ both.T
        return self.describe(int(distances.min(1).values.argmin()))

    def describe(self, number: int) -> Drawing:
        """Return the drawing with this number."""
        origin = self._origin_table[self._origins[number]]
        return Drawing(
            number, self._thing_names[self._things[number]], origin["set"], origin["author"], origin["licence"]
        )

    def _shuffle(self, thing: int, style: str, random: Random) -> list[int]:
        """Return the numbers of a thing's drawings, to be taken from the end: in random order, one of each set first.

        Those of the set with `style` are left out.
        """
        by_set: dict[str, list[int]] = {}
        for number in self._by_thing[thing]:
            origin = self._origin_table[self._origins[number]]
            if not style or origin.get("style") != style:
                by_set.setdefault(origin["set"], []).append(number)
        rounds: dict[int, list[int]] = {}
        for numbers in by_set.values():
            for place, number in enumerate(random.sample(numbers, len(numbers))):
                rounds.setdefault(place, []).append(number)
        return [number for place in sorted(rounds) for number in random.sample(rounds[place], len(rounds[place]))][::-1]


def _phrase(before: Sequence[str], name: str) -> str:
    """Return the name of a thing after those of the words `before` it that are its adjectives."""
    nearest = reversed(before[-MAX_ADJECTIVES:])
    adjectives = list(takewhile(lambda word: re.fullmatch(ADJECTIVES, word), nearest))[::-1]
    return " ".join([*adjectives, name])


def _find_separate(named: Sequence[Named]) -> list[Named]:
    """Return the things that can be drawn by themselves: no expression, no part of one, and nothing that is done."""
    joined = f"{ADJECTIVES}|(?:{FEATURES}|{CLOTHES})s?|\\w+ing"
    return [one for one in named if not one.is_expression and not re.fullmatch(joined, one.name)]


def normalise(name: str) -> str:
    """Return a name in lower case, its last word in the singular, as names are compared."""
    *others, last = WORD.findall(name.lower()) or [""]
    return " ".join([*others, make_singular(last) or last])
