"""Which slot of the runner holds which tokens, and how a new prompt finds one that begins like it."""

from __future__ import annotations

import logging
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.engines.language.runners.runner import Runner

log = logging.getLogger(__name__)

LEAST = 16
"""Common tokens from which on a slot is worth taking over."""
REPORT_EVERY = 100


@dataclass(slots=True)
class Slot:
    """`tokens` is what the runner has in it; it stays when a sequence ends, until the slot is needed."""

    place: int
    tokens: list[int] = field(default_factory=list)
    busy: bool = False
    used: int = 0


def common(held: Sequence[int], prompt: Sequence[int]) -> int:
    """How many tokens two lists begin with alike; 0 when it is too few to be of use."""
    if held[:LEAST] != prompt[:LEAST]:
        return 0
    most = min(len(held), len(prompt))
    # A bisection over slices compares thousands of tokens at C's speed.
    length = bisect_left(range(most), True, key=lambda end: held[: end + 1] != prompt[: end + 1])
    return length if length >= LEAST else 0


class SlotTable:
    """Hands out the slots of `runner`. `reuse`: whether prompts may take over what a slot holds already."""

    def __init__(self, runner: Runner, *, reuse: bool) -> None:
        self._runner = runner
        self._reuse = reuse
        self._slots = [Slot(place) for place in range(runner.slots)]
        self._clock = 0
        self._prompts = self._read = self._reused = 0

    @property
    def has_room(self) -> bool:
        """Whether a slot is free."""
        return any(not slot.busy for slot in self._slots)

    def take(self, prompt: list[int]) -> tuple[int, int]:
        """A free slot and how many tokens of `prompt` it holds: never all, because the last one's logits are needed.

        The slot that has most of them is taken over where it is free and would lose little by it; else what it has in
        common is copied to the free slot that was not used for longest. There must be a free one.
        """
        self._clock += 1
        free = sorted((slot for slot in self._slots if not slot.busy), key=lambda slot: slot.used)
        donor, start = self._donor(prompt)
        if donor is None:
            chosen = free[0]
        elif not donor.busy and (donor is free[0] or 2 * start >= len(donor.tokens)):
            chosen = donor
        else:
            chosen = free[0]
            donor.used = self._clock
            self._runner.copy(donor.place, chosen.place, start)
        chosen.tokens = prompt[:start]
        chosen.busy, chosen.used = True, self._clock
        self._count(len(prompt), start)
        return chosen.place, start

    def hold(self, place: int, start: int, tokens: Sequence[int]) -> None:
        """The runner has read `tokens` into the slot from `start` on."""
        self._slots[place].tokens[start:] = tokens

    def leave(self, place: int) -> None:
        """The sequence in the slot has ended; its tokens stay for those who begin alike."""
        self._clock += 1
        self._slots[place].busy, self._slots[place].used = False, self._clock

    def _donor(self, prompt: list[int]) -> tuple[Slot | None, int]:
        if not self._reuse:
            return None, 0
        start, _, _, place = max(
            (min(common(slot.tokens, prompt), len(prompt) - 1), not slot.busy, slot.used, slot.place)
            for slot in self._slots
        )
        return (self._slots[place], start) if start else (None, 0)

    def _count(self, length: int, reused: int) -> None:
        self._prompts += 1
        self._read += length
        self._reused += reused
        if self._prompts % REPORT_EVERY == 0:
            share = self._reused / self._read
            log.info("%d prompts: %.0f%% of their %d tokens were cached.", self._prompts, 100 * share, self._read)
