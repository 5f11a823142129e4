"""Chooses the drawings that the network may look at while it learns a picture: of the same things, from other sets."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from model_server.engines.diffusion.references import SLOTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from research.pictures.data.collection import Collection

    Drawings = dict[str, dict[str, list[int]]]
    """The numbers of the pictures that show one thing alone, by its code and by their set."""

COUNT_WEIGHTS = (12, 15, 23, 32, 18)
"""How often a picture has no reference, one, two, three or four."""
RECOLOURED_SHARE = 0.12
"""The share of references that show their thing in another colour: prompts ask for colours that no drawing has."""
WRONG_SHARE = 0.04
"""The share of pictures with a reference of something else, as prompts are misunderstood now and then."""


class References:
    """The pictures of a collection by what they show. Only its kinds, things and sets are kept."""

    def __init__(self, collection: Collection) -> None:
        self._things, self._sets = collection.things, collection.sets
        self._own: Drawings = defaultdict(lambda: defaultdict(list))
        self._recoloured: Drawings = defaultdict(lambda: defaultdict(list))
        places = {"centred": self._own, "plain": self._own, "colour": self._recoloured}
        for number, (kind, things) in enumerate(zip(collection.kinds, self._things, strict=True)):
            if kind in places and things:
                places[kind][things[0]][self._sets[number]].append(number)
        self._codes = list(self._own)

    def choose(self, number: int, random: Random) -> list[int | None]:
        """Return the number of the picture in each slot, or None, for the picture `number`; none is of its own set."""
        codes, own_set = self._things[number], self._sets[number]
        [count] = random.choices(range(SLOTS + 1), COUNT_WEIGHTS)
        wanted = random.sample(codes, min(count, len(codes)))
        wanted += [random.choice(codes) for _ in range(count - len(wanted))] if codes else []
        chosen: list[int | None] = []
        taken: dict[str, set[str]] = defaultdict(lambda: {own_set})
        for code in wanted:
            recoloured = random.random() < RECOLOURED_SHARE and code in self._recoloured
            drawn = self._draw(self._recoloured if recoloured else self._own, code, taken[code], random)
            chosen += [] if drawn is None else [drawn]
        if chosen and random.random() < WRONG_SHARE:
            chosen[-1] = self._draw(self._own, random.choice(self._codes), {own_set}, random)
        chosen += [None] * (SLOTS - len(chosen))
        random.shuffle(chosen)
        return chosen

    def _draw(self, drawings: Drawings, code: str, taken: set[str], random: Random) -> int | None:
        """Draw a picture of a thing from a set that is not in `taken`, and add that set; None if there is no other."""
        sets: Sequence[str] = [name for name in drawings[code] if name not in taken]
        if not sets:
            return None
        name = random.choice(sets)
        taken.add(name)
        return random.choice(drawings[code][name])
