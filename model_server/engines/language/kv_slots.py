"""The table of slots, which hold keys and values of tokens: new prompts reuse the longest common prefix in it."""

from __future__ import annotations

import logging
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.engines.language.runners.runner import Runner

log = logging.getLogger(__name__)

MIN_COMMON_TOKENS = 16
"""A shorter common prefix is not worth reusing."""
PROMPTS_PER_REPORT = 100


@dataclass(slots=True)
class Slot:
    """A slot of the runner. `tokens`: what it holds, also after its sequence ended, until another needs it."""

    index: int
    tokens: list[int] = field(default_factory=list)
    is_busy: bool = False
    last_used: int = 0


def common_prefix_length(cached: Sequence[int], prompt: Sequence[int]) -> int:
    """Return the number of tokens with which both lists begin; 0 if it is below MIN_COMMON_TOKENS."""
    if cached[:MIN_COMMON_TOKENS] != prompt[:MIN_COMMON_TOKENS]:
        return 0
    limit = min(len(cached), len(prompt))
    # A bisection that compares slices is much faster than a loop over thousands of tokens.
    length = bisect_left(range(limit), True, key=lambda end: cached[: end + 1] != prompt[: end + 1])
    return length if length >= MIN_COMMON_TOKENS else 0


class SlotTable:
    """Assigns the slots of `runner` to sequences. `reuse`: prompts may reuse what a slot holds already."""

    def __init__(self, runner: Runner, *, reuse: bool) -> None:
        self._runner = runner
        self._reuse = reuse
        self._slots = [Slot(index) for index in range(runner.slots)]
        self._clock = 0
        self._prompt_count = self._token_count = self._reused_count = 0

    @property
    def has_free_slot(self) -> bool:
        """True if a slot is free."""
        return any(not slot.is_busy for slot in self._slots)

    def acquire(self, prompt: list[int]) -> tuple[int, int]:
        """Assign a free slot; return it and the number of tokens of `prompt` that it holds, never all of them.

        The logits of the last token are needed, so that it is always computed again. If the slot with the longest
        common prefix is free and loses little, it is assigned; else the prefix is copied to the least recently used
        free slot. There must be a free slot.
        """
        self._clock += 1
        free = sorted((slot for slot in self._slots if not slot.is_busy), key=lambda slot: slot.last_used)
        donor, start = self._find_donor(prompt)
        if donor is None:
            chosen = free[0]
        elif not donor.is_busy and (donor is free[0] or 2 * start >= len(donor.tokens)):
            chosen = donor
        else:
            chosen = free[0]
            donor.last_used = self._clock
            self._runner.copy(donor.index, chosen.index, start)
        chosen.tokens = prompt[:start]
        chosen.is_busy, chosen.last_used = True, self._clock
        self._log_reuse(len(prompt), start)
        return chosen.index, start

    def record(self, index: int, start: int, tokens: Sequence[int]) -> None:
        """Record that the slot holds `tokens` from position `start` on."""
        self._slots[index].tokens[start:] = tokens

    def release(self, index: int) -> None:
        """Free the slot of a sequence that has ended. Its tokens stay for later prompts with the same prefix."""
        self._clock += 1
        self._slots[index].is_busy, self._slots[index].last_used = False, self._clock

    def _find_donor(self, prompt: list[int]) -> tuple[Slot | None, int]:
        if not self._reuse:
            return None, 0
        start, _, _, index = max(
            (
                min(common_prefix_length(slot.tokens, prompt), len(prompt) - 1),
                not slot.is_busy,
                slot.last_used,
                slot.index,
            )
            for slot in self._slots
        )
        return (self._slots[index], start) if start else (None, 0)

    def _log_reuse(self, length: int, reused: int) -> None:
        self._prompt_count += 1
        self._token_count += length
        self._reused_count += reused
        if self._prompt_count % PROMPTS_PER_REPORT == 0:
            share = self._reused_count / self._token_count
            log.info(
                "%d prompts: %.0f%% of their %d tokens were cached.", self._prompt_count, 100 * share, self._token_count
            )
