"""Planned steps: all sequences that decode, and chunks of prompts within the budget."""

from model_server.engines.language.batching import OLDEST_PROMPT_DIVISOR, BatchedSequence, StepPlanner, TokenBudget
from model_server.engines.language.kv_slots import SlotTable
from model_server.engines.language.prompt_lookup import PromptLookup
from model_server.engines.language.runners.runner import Chunk

BUDGET = TokenBudget(with_decoding=40, without_decoding=100)


class IdleRunner:
    """A runner of sixteen slots that computes nothing."""

    slots, context, description = 16, 4096, "still"

    def forward(self, chunks: object) -> object:
        raise AssertionError

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy nothing."""


class PlannedTable:
    """A planner with its table; `step` records what was planned as computed."""

    def __init__(self) -> None:
        self.table = SlotTable(IdleRunner(), reuse=True)  # type: ignore[arg-type]
        self.sequences: list[BatchedSequence] = []
        self._planner = StepPlanner(self.table, BUDGET)

    def add(self, name: str, tokens: range, *, read: bool = False) -> BatchedSequence:
        sequence = BatchedSequence(name, list(tokens), None)  # type: ignore[arg-type]
        self.sequences.append(sequence)
        if read:
            sequence.slot, sequence.computed = *self.table.acquire(sequence.tokens)[:1], len(tokens)
            sequence.tokens.append(0)
        return sequence

    def plan(self) -> list[tuple[BatchedSequence, Chunk]]:
        return self._planner.plan(self.sequences)

    def step(self) -> dict[str, int]:
        """Return the number of tokens of each sequence in the next step."""
        plan = self.plan()
        assert len({chunk.slot for _, chunk in plan}) == len(plan)
        for sequence, chunk in plan:
            assert chunk == Chunk(
                chunk.slot, sequence.computed, tuple(sequence.tokens[sequence.computed :][: len(chunk.tokens)])
            )
            self.table.record(chunk.slot, chunk.start, chunk.tokens)
            sequence.computed += len(chunk.tokens)
            if sequence.is_decoding:
                sequence.tokens.append(0)
        return {sequence.job_id: len(chunk.tokens) for sequence, chunk in plan}


def test_decoding_sequences_are_in_every_step_and_prompts_share_the_budget() -> None:
    planned = PlannedTable()
    planned.add("a", range(10), read=True)
    planned.add("b", range(1000, 1100))
    assert [planned.step() for _ in range(4)] == [
        {"a": 1, "b": 40},
        {"a": 1, "b": 40},
        {"a": 1, "b": 20},
        {"a": 1, "b": 1},
    ]


def test_a_prompt_alone_is_computed_in_larger_chunks() -> None:
    planned = PlannedTable()
    planned.add("a", range(150))
    assert [planned.step(), planned.step()] == [{"a": 100}, {"a": 50}]


def test_short_prompts_go_first_but_the_oldest_keeps_its_share() -> None:
    planned = PlannedTable()
    planned.add("long", range(1000))
    for place in range(20):
        planned.add(f"short{place}", range(2000 + 100 * place, 2000 + 100 * place + 30))
    share = BUDGET.without_decoding // OLDEST_PROMPT_DIVISOR
    assert planned.step() == {"long": share, "short0": 30, "short1": 30, "short2": 15}
    while not planned.sequences[0].is_decoding:
        assert planned.step()["long"] >= BUDGET.with_decoding // OLDEST_PROMPT_DIVISOR


def test_prompts_of_one_length_are_computed_one_after_the_other() -> None:
    planned = PlannedTable()
    for name, first in (("a", 1000), ("b", 2000), ("c", 3000)):
        planned.add(name, range(first, first + 80))
    assert planned.step() == {"a": 80, "b": 20}


def test_a_prompt_waits_while_another_computes_the_same_prefix() -> None:
    planned = PlannedTable()
    first = planned.add("a", range(150))
    second = planned.add("b", range(150))
    assert planned.step() == {"a": 100}
    assert second.slot is None
    assert planned.step() == {"a": 50}
    assert first.is_decoding
    assert planned.step() == {"a": 1, "b": 1}
    assert (second.cached, second.is_decoding) == (149, True)


def test_no_prompt_waits_for_a_removed_one() -> None:
    planned = PlannedTable()
    first = planned.add("a", range(150))
    second = planned.add("b", range(150))
    planned.step()
    planned.sequences.remove(first)
    assert first.slot is not None
    planned.table.release(first.slot)
    assert planned.step() == {"b": 50}
    assert second.cached == 100


def test_only_a_sequence_alone_in_the_step_gets_guesses() -> None:
    planned = PlannedTable()
    sequence = planned.add("a", range(50), read=True)
    sequence.tokens[-4:] = (0, 20, 21, 22)
    sequence.lookup = PromptLookup(sequence.tokens, 100, (1.0, 1.05, 1.25, 1.5))
    [(_, chunk)] = planned.plan()
    count = len(chunk.tokens) - 1
    assert chunk == Chunk(chunk.slot, 50, (22, *range(23, 23 + count)), 1 + count)
    assert count > 0
    other = planned.add("b", range(1000, 1100))
    assert planned.plan()[0][1] == Chunk(chunk.slot, 50, (22,))
    other.computed = other.prompt_length
    assert planned.plan()[0][1] == Chunk(chunk.slot, 50, (22,))
