"""What a step reads: everybody who decodes, and prompts within the budget."""

from model_server.engines.language.batching import OLDEST_SHARE, BatchedSequence, StepPlanner, TokenBudget
from model_server.engines.language.kv_slots import SlotTable
from model_server.engines.language.runners.runner import Chunk

BUDGET = TokenBudget(beside=40, alone=100)


class Still:
    """A runner of sixteen slots that computes nothing."""

    slots, context, description = 16, 4096, "still"

    def forward(self, chunks: object) -> object:
        raise AssertionError

    def copy(self, source: int, target: int, length: int) -> None:
        """Nothing is there to be copied."""


class Desk:
    """A planner with a table, and steps that take what was planned for read."""

    def __init__(self) -> None:
        self.table = SlotTable(Still(), reuse=True)  # type: ignore[arg-type]
        self.members: list[BatchedSequence] = []
        self._planner = StepPlanner(self.table, BUDGET)

    def add(self, name: str, tokens: range, *, read: bool = False) -> BatchedSequence:
        member = BatchedSequence(name, list(tokens), None)  # type: ignore[arg-type]
        self.members.append(member)
        if read:
            member.slot, member.held = *self.table.take(member.tokens)[:1], len(tokens)
            member.tokens.append(0)
        return member

    def step(self) -> dict[str, int]:
        """How many tokens of each were read."""
        plan = self._planner.plan(self.members)
        assert len({chunk.slot for _, chunk in plan}) == len(plan)
        for member, chunk in plan:
            assert chunk == Chunk(chunk.slot, member.held, tuple(member.tokens[member.held :][: len(chunk.tokens)]))
            self.table.hold(chunk.slot, chunk.start, chunk.tokens)
            member.held += len(chunk.tokens)
            if member.decodes:
                member.tokens.append(0)
        return {member.job_id: len(chunk.tokens) for member, chunk in plan}


def test_who_decodes_is_in_every_step_and_prompts_share_the_budget() -> None:
    desk = Desk()
    desk.add("a", range(10), read=True)
    desk.add("b", range(1000, 1100))
    assert [desk.step() for _ in range(4)] == [
        {"a": 1, "b": 40},
        {"a": 1, "b": 40},
        {"a": 1, "b": 20},
        {"a": 1, "b": 1},
    ]


def test_alone_a_prompt_is_read_in_larger_pieces() -> None:
    desk = Desk()
    desk.add("a", range(150))
    assert [desk.step(), desk.step()] == [{"a": 100}, {"a": 50}]


def test_short_prompts_go_before_long_ones_but_the_oldest_has_its_share() -> None:
    desk = Desk()
    desk.add("long", range(1000))
    for place in range(20):
        desk.add(f"short{place}", range(2000 + 100 * place, 2000 + 100 * place + 30))
    share = BUDGET.alone // OLDEST_SHARE
    assert desk.step() == {"long": share, "short0": 30, "short1": 30, "short2": 15}
    while not desk.members[0].decodes:
        assert desk.step()["long"] >= BUDGET.beside // OLDEST_SHARE


def test_prompts_of_one_length_are_read_one_after_the_other() -> None:
    desk = Desk()
    for name, first in (("a", 1000), ("b", 2000), ("c", 3000)):
        desk.add(name, range(first, first + 80))
    assert desk.step() == {"a": 80, "b": 20}


def test_a_prompt_waits_for_another_that_is_reading_the_same_beginning() -> None:
    desk = Desk()
    first = desk.add("a", range(150))
    second = desk.add("b", range(150))
    assert desk.step() == {"a": 100}
    assert second.slot is None
    assert desk.step() == {"a": 50}
    assert first.decodes
    assert desk.step() == {"a": 1, "b": 1}
    assert (second.cached, second.decodes) == (149, True)


def test_nobody_waits_for_one_that_left() -> None:
    desk = Desk()
    first = desk.add("a", range(150))
    second = desk.add("b", range(150))
    desk.step()
    desk.members.remove(first)
    assert first.slot is not None
    desk.table.leave(first.slot)
    assert desk.step() == {"b": 50}
    assert second.cached == 100


def test_nothing_to_do_is_an_empty_plan() -> None:
    assert Desk().step() == {}
