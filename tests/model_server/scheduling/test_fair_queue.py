"""The order of jobs and their costs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.jobs import (
    Chat,
    ChatTurn,
    Completion,
    Embed,
    EncodedPrompt,
    Faces,
    Failed,
    Finished,
    Imagine,
    Job,
    Progress,
    ResolvedSettings,
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


def queue_of(*users: str) -> FairQueue:
    """A queue to which jobs come in this order, named like their users and numbered."""
    queue = FairQueue()
    for number, user in enumerate(users):
        queue.add(ticket(f"{user}{number}", user))
    return queue


def names(queue: FairQueue) -> list[str]:
    return [waiting.job.id for waiting in queue]


def work(queue: FairQueue, served: Ticket, tokens: int) -> None:
    """Start a job, write `tokens` and end it."""
    queue.charge(served, Started(served.job.id, 1))
    for _ in range(tokens):
        queue.charge(served, Text(served.job.id, "x"))
    queue.charge(served, Finished(served.job.id, "stop", 1, tokens))
    queue.discard(served)


# Costs


def test_a_prompt_is_estimated_until_its_tokens_are_known() -> None:
    job_cost = JobCost(Chat(messages=(ChatTurn("user", "x" * 400),), sampling=Sampling(seed=0, max_tokens=10)), 50)
    assert job_cost.remaining == 1 + 100 + 2 * 10
    assert job_cost.record(Started("a", 77)) == 77
    assert job_cost.remaining == 20


def test_written_tokens_cost_twice_and_more_than_expected_cost_too() -> None:
    job_cost = JobCost(Completion(prompt=(1, 2, 3), sampling=Sampling(seed=0)), 2)
    assert job_cost.remaining == 3 + 2 * 2
    job_cost.record(Started("a", 3))
    assert [job_cost.record(Text("a", "x")) for _ in range(3)] == [2, 2, 2]
    assert job_cost.remaining == 0
    assert job_cost.record(Finished("a", "stop", 3, 5)) == 4
    assert job_cost.tokens == 5


def test_counted_tokens_are_not_refunded() -> None:
    job_cost = JobCost(SHORT, 50)
    job_cost.record(Text("a", "x"))
    job_cost.record(Text("a", "y"))
    assert job_cost.record(Finished("a", "stop", 1, 1)) == 0


@pytest.mark.parametrize(("max_tokens", "expected"), [(None, 50), (5, 5), (500, 50)])
def test_the_expected_answer_is_as_long_as_usual_or_as_allowed(max_tokens: int | None, expected: int) -> None:
    assert (
        JobCost(Completion(prompt=(1,), sampling=Sampling(seed=0, max_tokens=max_tokens)), 50).remaining
        == 1 + 2 * expected
    )


def test_a_dial_writes_nothing() -> None:
    assert JobCost(Completion(prompt=(1,), sampling=Sampling(seed=0), dial=True), 50).remaining == 1


def test_pictures_cost_their_pixels_step_by_step() -> None:
    job_cost = JobCost(Faces(seed=0, count=4, size=10), 50)
    assert job_cost.remaining == 400
    assert job_cost.record(Started("a")) == 0
    assert job_cost.record(Progress("a", 1, 4)) == 100
    assert job_cost.remaining == 300
    assert job_cost.record(Finished("a")) == 300


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
    job_cost = JobCost(Imagine(prompt="a cat", seed=0, **fields), 50)
    assert job_cost.remaining == cost
    assert job_cost.record(Progress("a", 1, 4)) == cost / 4
    assert job_cost.record(Finished("a")) == cost * 3 / 4


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({"least_steps": 150}, 64 * 64 * 150),
        ({"least_steps": 150, "initial": b"x", "strength": 0.5, "count": 2}, 2 * 64 * 64 * 75),
        ({"sweep": Sweep("steps", (50, 150))}, 64 * 64 * 200),
        ({"parts": ("a cat", "a dog", "a pig")}, 64 * 64 * 450),
    ],
    ids=str,
)
def test_pictures_cost_what_the_model_chose_for_them(fields: dict[str, object], cost: int) -> None:
    parts = fields.pop("parts", ())
    job_cost = JobCost(Imagine(prompt="a cat", seed=0, **fields), 50)
    read = EncodedPrompt((), (), 16)
    chosen = ResolvedSettings(
        job="a",
        steps=150,
        guidance=3.0,
        width=64,
        height=64,
        sampler="DDIM",
        strength=None,
        prompt=read,
        negative_prompt=None,
        parts=parts,  # type: ignore[arg-type]
    )
    assert job_cost.record(chosen) == 0
    assert job_cost.remaining == cost
    assert job_cost.record(Progress("a", 1, 2)) == cost / 2
    assert job_cost.record(Finished("a")) == cost / 2


def test_texts_to_embed_cost_their_length() -> None:
    assert JobCost(Embed(texts=("x" * 8, "y" * 8)), 50).remaining == 5


def test_a_failure_costs_nothing_more() -> None:
    assert JobCost(SHORT, 50).record(Failed("a", "no")) == 0


# Order


def test_users_take_turns_and_each_keeps_their_own_order() -> None:
    assert names(queue_of("a", "a", "a", "b", "b", "c")) == ["a0", "b3", "c5", "a1", "b4", "a2"]


@given(st.lists(st.sampled_from("abc"), max_size=12))
def test_jobs_run_in_the_order_of_iteration(users: list[str]) -> None:
    queue = queue_of(*users)
    told = names(queue)
    taken = []
    while queue:
        served = queue.pop()
        taken.append(served.job.id)
        work(queue, served, 10)
    # A prompt of four characters is expected to be two tokens and is one, which is the same for everybody.
    assert taken == told


def test_a_user_with_more_work_done_waits_for_a_user_with_less() -> None:
    queue = queue_of("a", "b")
    work(queue, queue.pop(), 100)
    work(queue, queue.pop(), 10)
    for number in range(4):
        queue.add(ticket(f"a{number}", "a"))
        queue.add(ticket(f"b{number}", "b"))
    # There were no active users when these jobs came, so all counters were forgotten.
    assert names(queue) == ["a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3"]
    work(queue, queue.pop(), 100)
    assert names(queue)[:4] == ["b0", "b1", "b2", "b3"]


def test_free_slots_do_not_all_go_to_the_first_user() -> None:
    queue = queue_of("a", "a", "a", "a", "b", "b")
    assert [queue.pop().job.user for _ in range(4)] == ["a", "b", "a", "b"]


def test_a_newcomer_goes_before_the_waiting_jobs_of_a_served_user() -> None:
    queue = queue_of(*"a" * 50)
    running = queue.pop()
    queue.charge(running, Started(running.job.id, 1))
    queue.charge(running, Text(running.job.id, "x"))
    queue.add(ticket("new", "b"))
    assert names(queue)[:2] == ["new", "a1"]


@pytest.mark.parametrize("end", [Finished("a0", "stop", 1, 1), Failed("a0", "no")])
def test_a_job_shorter_than_expected_does_not_put_its_user_before_a_newcomer(end: Finished | Failed) -> None:
    queue = queue_of("a", "a", "a")
    running = queue.pop()
    queue.add(ticket("new", "b"))
    queue.charge(running, end)
    queue.discard(running)
    assert names(queue)[0] == "new"


def test_an_absent_user_saves_up_no_turns() -> None:
    queue = queue_of("a", "b", "b", "b")
    work(queue, queue.pop(), 10)
    for _ in range(2):
        work(queue, queue.pop(), 10)
    for number in range(10, 14):
        queue.add(ticket(f"a{number}", "a"))
    # "a" had one answer and "b" two, but "a" was away, so it has to stand behind "b", who waits already.
    assert names(queue) == ["b3", "a10", "a11", "a12", "a13"]


def test_a_user_who_comes_back_soon_keeps_the_counter() -> None:
    queue = queue_of("a", "b", "b")
    work(queue, queue.pop(), 1000)
    queue.add(ticket("again", "a"))
    assert names(queue) == ["b1", "b2", "again"]


def test_accounts_of_absent_users_are_forgotten() -> None:
    queue = FairQueue()
    for number in range(100):
        queue.add(ticket(f"job{number}", f"user{number}"))
        work(queue, queue.pop(), 1)
    queue.add(ticket("last", "last"))
    assert len(queue._accounts) == 1


def test_users_with_the_same_counter_are_served_in_the_order_of_their_arrival() -> None:
    assert names(queue_of("99", *map(str, range(100, 120))))[0] == "990"


def test_a_steady_arrival_of_new_users_starves_nobody() -> None:
    queue = queue_of("0")
    running = queue.pop()
    queue.add(ticket("waiting", "99"))
    served = []
    for number in range(100, 103):
        # Before each free slot somebody else arrives, whose name sorts before "99".
        queue.add(ticket(f"job{number}", str(number)))
        work(queue, running, 10)
        running = queue.pop()
        served.append(running.job.id)
    assert served == ["waiting", "job100", "job101"]
