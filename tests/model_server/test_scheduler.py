"""Places, streams and ends of jobs, with a worker that only notes what it is told."""

import asyncio

import pytest

from model_server.job import Embed, Failed, Finished, Job, Progress, Started, Text
from model_server.scheduler import Lane, LaneClosed, QueueFull, Sight
from model_server.ticket import Heard, Queued, Ticket


class Notebook:
    """A worker that does nothing."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def add(self, job: Job) -> None:
        self.told.append(f"add {job.id}")

    def remove(self, job_id: str) -> None:
        self.told.append(f"remove {job_id}")


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def job(name: str) -> Job:
    return Job(id=name, model="m", task=Embed(texts=("x",)))


def open_lane(capacity: int = 1, limit: int = 64, clock: Clock | None = None) -> tuple[Lane, Notebook]:
    lane, worker = Lane(limit=limit, clock=clock or Clock()), Notebook()
    lane.up(worker, capacity)
    return lane, worker


async def heard(ticket: Ticket) -> list[Heard]:
    """All that is there for the reader, until it would have to wait."""
    events: list[Heard] = []
    while True:
        try:
            async with asyncio.timeout(0.01):
                events.append(await anext(ticket))
        except (TimeoutError, StopAsyncIteration):
            return events


def test_as_many_run_as_the_worker_takes_and_the_rest_follow_in_order() -> None:
    lane, worker = open_lane(capacity=2)
    for name in "abcd":
        lane.submit(job(name))
    assert worker.told == ["add a", "add b"]
    lane.happened(Finished("b"))
    lane.happened(Failed("a", "no"))
    assert worker.told == ["add a", "add b", "add c", "add d"]


async def test_places_are_told_and_only_the_latest_is_kept() -> None:
    lane, _ = open_lane()
    tickets = [lane.submit(job(name)) for name in "abcd"]
    assert await heard(tickets[3]) == [Queued(3, None)]
    lane.happened(Finished("a"))
    lane.happened(Finished("b"))
    assert await heard(tickets[3]) == [Queued(1, 0.0)]


async def test_the_estimate_comes_from_what_was_measured() -> None:
    clock = Clock()
    lane, _ = open_lane(capacity=2, clock=clock)
    lane.submit(job("first"))
    clock.now += 8
    lane.happened(Finished("first"))
    lane.submit(job("a"))
    lane.submit(job("b"))
    waiting = [lane.submit(job(name)) for name in "cd"]
    assert await heard(waiting[0]) == [Queued(1, 4.0)]
    assert await heard(waiting[1]) == [Queued(2, 8.0)]


async def test_failures_do_not_count_as_speed() -> None:
    lane, _ = open_lane()
    lane.submit(job("refused"))
    lane.happened(Failed("refused", "no", 400))
    lane.submit(job("a"))
    assert await heard(lane.submit(job("b"))) == [Queued(1, None)]


async def test_text_is_never_lost_while_progress_is() -> None:
    lane, _ = open_lane()
    ticket = lane.submit(job("a"))
    lane.happened(Started("a"))
    for step in range(1, 4):
        lane.happened(Progress("a", step, 9))
    lane.happened(Text("a", "one"))
    lane.happened(Text("a", "two"))
    lane.happened(Progress("a", 4, 9))
    lane.happened(Progress("a", 5, 9))
    lane.happened(Finished("a"))
    assert await heard(ticket) == [
        Started("a"),
        Progress("a", 3, 9),
        Text("a", "one"),
        Text("a", "two"),
        Progress("a", 5, 9),
        Finished("a"),
    ]


async def test_a_reader_that_waits_is_woken() -> None:
    lane, _ = open_lane()
    ticket = lane.submit(job("a"))
    reader = asyncio.ensure_future(anext(ticket))
    await asyncio.sleep(0)
    lane.happened(Text("a", "hello"))
    assert await reader == Text("a", "hello")


async def test_cancelling_in_the_line_moves_the_others_up() -> None:
    lane, worker = open_lane()
    lane.submit(job("a"))
    second, third = lane.submit(job("b")), lane.submit(job("c"))
    second.cancel()
    assert worker.told == ["add a"]
    assert next(event for event in await heard(second) if isinstance(event, Failed)).code == "cancelled"
    assert await heard(third) == [Queued(1, None)]


def test_cancelling_what_runs_frees_its_slot_in_the_right_order() -> None:
    lane, worker = open_lane()
    with lane.submit(job("a")):
        lane.submit(job("b"))
    assert worker.told == ["add a", "remove a", "add b"]


async def test_nothing_comes_after_the_end_and_cancelling_again_changes_nothing() -> None:
    lane, worker = open_lane()
    ticket = lane.submit(job("a"))
    ticket.cancel()
    ticket.cancel()
    lane.happened(Text("a", "late"))
    lane.happened(Finished("a"))
    assert [type(event) for event in await heard(ticket)] == [Failed]
    assert worker.told == ["add a", "remove a"]


def test_a_full_line_says_when_to_come_again() -> None:
    clock = Clock()
    lane, _ = open_lane(limit=2, clock=clock)
    for name in "abc":
        lane.submit(job(name))
    with pytest.raises(QueueFull, match="2 requests are waiting") as unmeasured:
        lane.submit(job("d"))
    clock.now += 12.3
    lane.happened(Finished("a"))
    lane.submit(job("d"))
    with pytest.raises(QueueFull) as measured:
        lane.submit(job("e"))
    assert (unmeasured.value.retry_after, measured.value.retry_after) == (5, 13)


async def test_those_who_wait_survive_the_worker_and_those_who_run_do_not() -> None:
    lane, _ = open_lane()
    running, waiting = lane.submit(job("a")), lane.submit(job("b"))
    lane.lost("It died.", 503, "worker_died")
    assert await heard(running) == [Failed("a", "It died.", 503, "worker_died")]
    late = lane.submit(job("c"))
    successor = Notebook()
    lane.up(successor, 2)
    assert successor.told == ["add b", "add c"]
    assert not waiting.ended
    assert not late.ended


async def test_a_closed_lane_tells_everybody_and_takes_nobody() -> None:
    lane, _ = open_lane()
    tickets = [lane.submit(job("a")), lane.submit(job("b"))]
    lane.close("It cannot be loaded.", 503, "model_failed")
    for ticket in tickets:
        assert (await heard(ticket))[-1] == Failed(ticket.job.id, "It cannot be loaded.", 503, "model_failed")
    with pytest.raises(LaneClosed):
        lane.submit(job("c"))


def test_no_job_is_taken_before_the_first_worker() -> None:
    with pytest.raises(LaneClosed):
        Lane().submit(job("a"))


def test_tickets_are_found_wherever_they_are() -> None:
    lane, _ = open_lane()
    running, waiting = lane.submit(job("a")), lane.submit(job("b"))
    assert lane.find("a") is running
    assert lane.find("b") is waiting
    assert lane.find("c") is None
    lane.happened(Finished("a"))
    assert lane.find("a") is None
