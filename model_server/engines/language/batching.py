"""Which tokens are read in the next step: one of each sequence that decodes, and pieces of the prompts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from model_server.engines.language.kv_slots import LEAST, common
from model_server.engines.language.runners.runner import Chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.engines.language.generation import LogitsConsumer
    from model_server.engines.language.kv_slots import SlotTable

OLDEST_SHARE = 4
"""One part in so many of what a step reads of prompts is for the prompt that came first."""


@dataclass(slots=True, eq=False)
class BatchedSequence:
    """A sequence in the batch. `tokens`: its prompt and what was drawn since; its slot holds the first `held` of them.

    `cached`: how many tokens of the prompt its slot held from the start.
    """

    job_id: str
    tokens: list[int]
    writer: LogitsConsumer
    slot: int | None = None
    held: int = 0
    cached: int = 0
    prompt_length: int = field(init=False)

    def __post_init__(self) -> None:
        self.prompt_length = len(self.tokens)

    @property
    def decodes(self) -> bool:
        """Whether the prompt was read."""
        return self.held >= self.prompt_length

    @property
    def unread(self) -> int:
        """How many tokens the model has yet to read; one while the sequence decodes."""
        return len(self.tokens) - self.held


@dataclass(frozen=True, slots=True)
class TokenBudget:
    """How many tokens of prompts a step reads: `beside` sequences that decode and must not stall, or `alone`."""

    beside: int
    alone: int


class StepPlanner:
    """Deals out each step. A sequence gets its slot when its first token is planned, to find what others have read."""

    def __init__(self, table: SlotTable, budget: TokenBudget) -> None:
        self._table = table
        self._budget = budget

    def plan(self, members: Sequence[BatchedSequence]) -> list[tuple[BatchedSequence, Chunk]]:
        """What to read next, at least one token unless there are no members. `members`: in order of arrival.

        Of the prompts the shortest go first, so that few wait for a long one; but the oldest always gets its share, so
        that it does not wait for ever.
        """
        decoding = [member for member in members if member.decodes]
        reading = [member for member in members if not member.decodes]
        granted = dict.fromkeys(decoding, 1)
        total = left = self._budget.beside if decoding else self._budget.alone
        shortest = sorted(reading, key=lambda member: member.unread)
        first = [(member, max(1, total // OLDEST_SHARE)) for member in reading[:1]]
        for member, most in [*first, *((member, total) for member in shortest)]:
            if left and self._settled(member, reading):
                taken = min(most, left, member.unread - granted.get(member, 0))
                granted[member] = granted.get(member, 0) + taken
                left -= taken
        return [(member, _chunk(member, count)) for member, count in granted.items() if count]

    def _settled(self, member: BatchedSequence, reading: Sequence[BatchedSequence]) -> bool:
        """Whether the member has a slot; gives it one, unless another is just reading what it could take."""
        if member.slot is None:
            if not self._table.has_room or any(_will_help(other, member) for other in reading):
                return False
            member.slot, member.held = self._table.take(member.tokens)
            member.cached = member.held
        return True


def _will_help(other: BatchedSequence, member: BatchedSequence) -> bool:
    return other.slot is not None and common(other.tokens, member.tokens) >= other.held + LEAST


def _chunk(member: BatchedSequence, count: int) -> Chunk:
    if member.slot is None:
        raise RuntimeError("A sequence without a slot was planned.")
    return Chunk(member.slot, member.held, tuple(member.tokens[member.held : member.held + count]))
