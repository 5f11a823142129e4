"""Plans each step of the batch: one token of each sequence that decodes, and chunks of prompts (chunked prefill).

A sequence that has the step for itself gets guesses of its next tokens, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from model_server.engines.language.kv_slots import MIN_COMMON_TOKENS, common_prefix_length
from model_server.engines.language.runners.runner import Chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.engines.language.generation import LogitsConsumer
    from model_server.engines.language.kv_slots import SlotTable
    from model_server.engines.language.prompt_lookup import PromptLookup

OLDEST_PROMPT_DIVISOR = 4
"""The oldest prompt gets at least the budget of a step divided by this."""

SPARE_STEP_DIVISOR = 4
"""A step that nobody waits for has the budget of one with decoding divided by this, since a new prompt waits for it."""


@dataclass(slots=True, eq=False)
class BatchedSequence:
    """A sequence in the batch.

    `tokens`: the prompt and the tokens drawn since. `computed`: how many of them its slot holds.
    `cached`: the number of the prompt's tokens that its slot held from the start. `consumer` gets the logits.
    `lookup` guesses its next tokens from `tokens`; None: nothing may be guessed.
    """

    job_id: str
    tokens: list[int]
    consumer: LogitsConsumer
    slot: int | None = None
    computed: int = 0
    cached: int = 0
    lookup: PromptLookup | None = None
    prompt_length: int = field(init=False)

    def __post_init__(self) -> None:
        self.prompt_length = len(self.tokens)

    @property
    def is_decoding(self) -> bool:
        """True once the whole prompt is computed."""
        return self.computed >= self.prompt_length

    @property
    def remaining(self) -> int:
        """Number of tokens that are not computed yet; 1 while the sequence decodes."""
        return len(self.tokens) - self.computed


@dataclass(slots=True, eq=False)
class Beginning:
    """The first tokens of a prompt that may come. `computed`: how many of them its slot holds."""

    tokens: list[int]
    slot: int | None = None
    computed: int = 0


@dataclass(frozen=True, slots=True)
class TokenBudget:
    """The most prompt tokens in one step: with sequences that decode, which must not stall, and without."""

    with_decoding: int
    without_decoding: int


class StepPlanner:
    """Plans steps. A sequence gets its slot only when it is first planned, to reuse what others computed by then."""

    def __init__(self, table: SlotTable, budget: TokenBudget) -> None:
        self._table = table
        self._budget = budget

    def plan(self, sequences: Sequence[BatchedSequence]) -> list[tuple[BatchedSequence, Chunk]]:
        """Plan the next step for `sequences` in order of arrival: at least one token if there are any.

        Short prompts go first, so that few wait for a long one. The oldest prompt always gets a share, so that it does
        not wait for ever. Guesses would make the step longer for others, so that only a sequence alone has them.
        """
        if len(sequences) == 1 and sequences[0].is_decoding and sequences[0].lookup is not None:
            return [(sequences[0], _make_chunk(sequences[0], 1, sequences[0].lookup.guess()))]
        decoding = [sequence for sequence in sequences if sequence.is_decoding]
        prefilling = [sequence for sequence in sequences if not sequence.is_decoding]
        counts = dict.fromkeys(decoding, 1)
        total = left = self._budget.with_decoding if decoding else self._budget.without_decoding
        shortest = sorted(prefilling, key=lambda sequence: sequence.remaining)
        oldest = [(sequence, max(1, total // OLDEST_PROMPT_DIVISOR)) for sequence in prefilling[:1]]
        for sequence, limit in [*oldest, *((sequence, total) for sequence in shortest)]:
            if left and self._ensure_slot(sequence, prefilling):
                count = min(limit, left, sequence.remaining - counts.get(sequence, 0))
                counts[sequence] = counts.get(sequence, 0) + count
                left -= count
        return [(sequence, _make_chunk(sequence, count)) for sequence, count in counts.items() if count]

    def plan_ahead(self, beginning: Beginning) -> Chunk:
        """Plan a step for a prompt that may come: a short one, because another may come in the middle of it."""
        if beginning.slot is None:
            beginning.slot, beginning.computed = self._table.acquire(beginning.tokens)
        end = beginning.computed + max(1, self._budget.with_decoding // SPARE_STEP_DIVISOR)
        return Chunk(beginning.slot, beginning.computed, tuple(beginning.tokens[beginning.computed : end]))

    def _ensure_slot(self, sequence: BatchedSequence, prefilling: Sequence[BatchedSequence]) -> bool:
        """Return whether the sequence has a slot; give it one unless another is computing a prefix for it to reuse."""
        if sequence.slot is None:
            if not self._table.has_free_slot or any(_is_computing_prefix_of(other, sequence) for other in prefilling):
                return False
            sequence.slot, sequence.computed = self._table.acquire(sequence.tokens)
            sequence.cached = sequence.computed
        return True


def _is_computing_prefix_of(other: BatchedSequence, sequence: BatchedSequence) -> bool:
    return (
        other.slot is not None
        and common_prefix_length(other.tokens, sequence.tokens) >= other.computed + MIN_COMMON_TOKENS
    )


def _make_chunk(sequence: BatchedSequence, count: int, guesses: tuple[int, ...] = ()) -> Chunk:
    """Return the next `count` tokens and guesses of those after them: logits are wanted from before the first guess."""
    if sequence.slot is None:
        raise RuntimeError("A sequence without a slot was planned.")
    tokens = tuple(sequence.tokens[sequence.computed : sequence.computed + count])
    return Chunk(sequence.slot, sequence.computed, tokens + guesses, 1 + len(guesses))
