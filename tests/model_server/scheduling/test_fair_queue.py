"""Who is served next, and what each job costs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.jobs import (
    Chat,
    ChatTurn,
    Chosen,
    Completion,
    Embed,
    EncodedPrompt,
    Faces,
    Failed,
    Finished,
    Imagine,
    Job,
    Progress,
    Sampling,
    Started,
    Sweep,
    Task,
    Text,
)
from model_server.scheduling.cost import JobCost
from model_server.scheduling.fair_queue import FairQueue
from model_server.scheduling.ticket import Ticket

SHORT = Completion(prompt="four", sampling=Sampling(seed=0, max_tokens=10))


def ticket(name: str, user: str, task: Task = SHORT) -> Ticket:
    return Ticket(Job(id=name, model="m", task=task, user=user), JobCost(task, 50), lambda _: None)


def line_of(*users: str) -> FairQueue:
    """A line to which jobs come in this order, named like their users and numbered."""
    line = FairQueue()
    for number, user in enumerate(users):
        line.add(ticket(f"{user}{number}", user))
    return line


def names(line: FairQueue) -> list[str]:
    return [waiting.job.id for waiting in line]


def work(line: FairQueue, served: Ticket, tokens: int) -> None:
    """A job begins, writes `tokens` and ends."""
    line.charge(served, Started(served.job.id, 1))
    for _ in range(tokens):
        line.charge(served, Text(served.job.id, "x"))
    line.charge(served, Finished(served.job.id, "stop", 1, tokens))
    line.discard(served)


# What a job costs


def test_a_prompt_is_estimated_until_its_tokens_are_known() -> None:
    bill = JobCost(Chat(messages=(ChatTurn("user", "x" * 400),), sampling=Sampling(seed=0, max_tokens=10)), 50)
    assert bill.ahead == 1 + 100 + 2 * 10
    assert bill.hear(Started("a", 77)) == 77
    assert bill.ahead == 20


def test_written_tokens_cost_twice_and_more_than_expected_cost_too() -> None:
    bill = JobCost(Completion(prompt=(1, 2, 3), sampling=Sampling(seed=0)), 2)
    assert bill.ahead == 3 + 2 * 2
    bill.hear(Started("a", 3))
    assert [bill.hear(Text("a", "x")) for _ in range(3)] == [2, 2, 2]
    assert bill.ahead == 0
    assert bill.hear(Finished("a", "stop", 3, 5)) == 4
    assert bill.tokens == 5


def test_several_texts_of_one_token_are_not_given_back() -> None:
    bill = JobCost(SHORT, 50)
    bill.hear(Text("a", "x"))
    bill.hear(Text("a", "y"))
    assert bill.hear(Finished("a", "stop", 1, 1)) == 0


@pytest.mark.parametrize(("max_tokens", "expected"), [(None, 50), (5, 5), (500, 50)])
def test_an_answer_is_expected_to_be_as_long_as_usual_or_as_allowed(max_tokens: int | None, expected: int) -> None:
    assert (
        JobCost(Completion(prompt=(1,), sampling=Sampling(seed=0, max_tokens=max_tokens)), 50).ahead == 1 + 2 * expected
    )


def test_a_dial_writes_nothing() -> None:
    assert JobCost(Completion(prompt=(1,), sampling=Sampling(seed=0), dial=True), 50).ahead == 1


def test_pictures_cost_their_pixels_step_by_step() -> None:
    bill = JobCost(Faces(seed=0, count=4, size=10), 50)
    assert bill.ahead == 400
    assert bill.hear(Started("a")) == 0
    assert bill.hear(Progress("a", 1, 4)) == 100
    assert bill.ahead == 300
    assert bill.hear(Finished("a")) == 300


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({}, 64 * 64 * 30),
        ({"steps": 10, "count": 4}, 4 * 64 * 64 * 10),
        ({"steps": 10, "width": 32, "height": 16}, 32 * 16 * 10),
        ({"steps": 10, "initial": b"x", "strength": 0.5}, 64 * 64 * 5),
        ({"steps": 10, "frames": (0, 2), "count": 2}, 2 * 64 * 64 * 2),
        ({"steps": 10, "initial": b"x", "strength": 0.5, "frames": (0, 5)}, 64 * 64 * 5),
        ({"steps": 3, "initial": b"x", "strength": 0.1}, 64 * 64),
        ({"steps": 10, "sweep": Sweep("guidance", (1, 3, 7))}, 3 * 64 * 64 * 10),
        ({"steps": 10, "sweep": Sweep("steps", (5, 15))}, 64 * 64 * 20),
    ],
)
def test_imagined_pictures_cost_their_pixels_once_for_each_step(fields: dict[str, object], cost: int) -> None:
    bill = JobCost(Imagine(prompt="a cat", seed=0, **fields), 50)
    assert bill.ahead == cost
    assert bill.hear(Progress("a", 1, 4)) == cost / 4
    assert bill.hear(Finished("a")) == cost * 3 / 4


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({"least_steps": 150}, 64 * 64 * 150),
        ({"least_steps": 150, "initial": b"x", "strength": 0.5, "count": 2}, 2 * 64 * 64 * 75),
        ({"sweep": Sweep("steps", (50, 150))}, 64 * 64 * 200),
    ],
    ids=str,
)
def test_pictures_cost_what_the_model_chose_for_them(fields: dict[str, object], cost: int) -> None:
    bill = JobCost(Imagine(prompt="a cat", seed=0, **fields), 50)
    read = EncodedPrompt((), (), 16)
    chosen = Chosen(
        job="a",
        steps=150,
        guidance=3.0,
        width=64,
        height=64,
        sampler="DDIM",
        strength=None,
        prompt=read,
        negative_prompt=None,
    )
    assert bill.hear(chosen) == 0
    assert bill.ahead == cost
    assert bill.hear(Progress("a", 1, 2)) == cost / 2
    assert bill.hear(Finished("a")) == cost / 2


def test_texts_to_embed_cost_their_length() -> None:
    assert JobCost(Embed(texts=("x" * 8, "y" * 8)), 50).ahead == 5


def test_a_failure_costs_nothing_more() -> None:
    assert JobCost(SHORT, 50).hear(Failed("a", "no")) == 0


# Who is next


def test_users_take_turns_and_each_keeps_their_own_order() -> None:
    assert names(line_of("a", "a", "a", "b", "b", "c")) == ["a0", "b3", "c5", "a1", "b4", "a2"]


@given(st.lists(st.sampled_from("abc"), max_size=12))
def test_the_order_that_is_told_is_the_order_in_which_they_are_taken(users: list[str]) -> None:
    line = line_of(*users)
    told = names(line)
    taken = []
    while line:
        served = line.take()
        taken.append(served.job.id)
        work(line, served, 10)
    # A prompt of four characters is expected to be two tokens and is one, which is the same for everybody.
    assert taken == told


def test_who_has_written_much_waits_for_who_has_written_little() -> None:
    line = line_of("a", "b")
    work(line, line.take(), 100)
    work(line, line.take(), 10)
    for number in range(4):
        line.add(ticket(f"a{number}", "a"))
        line.add(ticket(f"b{number}", "b"))
    # Nobody was left when these came, so that all debts were forgotten.
    assert names(line) == ["a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3"]
    work(line, line.take(), 100)
    assert names(line)[:4] == ["b0", "b1", "b2", "b3"]


def test_free_slots_do_not_all_go_to_whoever_came_first() -> None:
    line = line_of("a", "a", "a", "a", "b", "b")
    assert [line.take().job.user for _ in range(4)] == ["a", "b", "a", "b"]


def test_a_newcomer_waits_for_nobody_that_waits_already() -> None:
    line = line_of(*"a" * 50)
    running = line.take()
    line.charge(running, Started(running.job.id, 1))
    line.charge(running, Text(running.job.id, "x"))
    line.add(ticket("new", "b"))
    assert names(line)[:2] == ["new", "a1"]


@pytest.mark.parametrize("end", [Finished("a0", "stop", 1, 1), Failed("a0", "no")])
def test_a_job_that_turns_out_shorter_than_expected_puts_nobody_before_a_newcomer(end: Finished | Failed) -> None:
    line = line_of("a", "a", "a")
    running = line.take()
    line.add(ticket("new", "b"))
    line.charge(running, end)
    line.discard(running)
    assert names(line)[0] == "new"


def test_being_away_saves_nothing_up() -> None:
    line = line_of("a", "b", "b", "b")
    work(line, line.take(), 10)
    for _ in range(2):
        work(line, line.take(), 10)
    for number in range(10, 14):
        line.add(ticket(f"a{number}", "a"))
    # "a" paid for one answer and "b" for two, but "a" was away: it gets no two in a row.
    assert names(line) == ["a10", "b3", "a11", "a12", "a13"]


def test_who_comes_back_soon_still_owes_what_they_owed() -> None:
    line = line_of("a", "b", "b")
    work(line, line.take(), 1000)
    line.add(ticket("again", "a"))
    assert names(line) == ["b1", "b2", "again"]


def test_users_who_are_gone_are_forgotten() -> None:
    line = FairQueue()
    for number in range(100):
        line.add(ticket(f"job{number}", f"user{number}"))
        work(line, line.take(), 1)
    line.add(ticket("last", "last"))
    assert len(line._accounts) == 1
