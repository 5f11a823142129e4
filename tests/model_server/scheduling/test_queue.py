"""Places, streams and ends of jobs, with a worker that only notes what it is told."""

import asyncio

import pytest

from model_server.jobs import Embed, Failed, Finished, Job, Picture, Preview, Progress, Started, Text
from model_server.scheduling.queue import JobQueue, JobSnapshot, QueueClosed, QueueFull
from model_server.scheduling.ticket import Heard, Queued, Ticket


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


def job(name: str, user: str = "") -> Job:
    return Job(id=name, model="m", task=Embed(texts=("x",)), user=user)


def open_lane(
    capacity: int = 1, limit: int = 64, user_limit: int = 64, clock: Clock | None = None
) -> tuple[JobQueue, Notebook]:
    lane, worker = JobQueue(limit=limit, user_limit=user_limit, clock=clock or Clock()), Notebook()
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


async def test_only_the_latest_preview_is_kept_and_every_picture() -> None:
    lane, _ = open_lane()
    ticket = lane.submit(job("a"))
    for step in range(1, 5):
        lane.happened(Preview("a", b"preview %d" % step, step, step, 9))
        lane.happened(Progress("a", step, 9))
    lane.happened(Picture("a", b"first"))
    lane.happened(Preview("a", b"late", 5, 9, 9))
    lane.happened(Picture("a", b"second"))
    lane.happened(Finished("a"))
    assert await heard(ticket) == [
        Preview("a", b"preview 4", 4, 4, 9),
        Progress("a", 4, 9),
        Picture("a", b"first"),
        Preview("a", b"late", 5, 9, 9),
        Picture("a", b"second"),
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


def test_one_user_cannot_fill_the_line_of_all() -> None:
    clock = Clock()
    lane, _ = open_lane(limit=4, user_limit=2, clock=clock)
    for number in range(3):
        lane.submit(job(f"a{number}", "a"))
    with pytest.raises(QueueFull, match="2 of your requests are waiting") as own:
        lane.submit(job("a3", "a"))
    assert own.value.own
    lane.submit(job("b", "b"))
    lane.submit(job("c", "c"))
    with pytest.raises(QueueFull, match="4 requests are waiting") as all_of_them:
        lane.submit(job("d", "d"))
    assert not all_of_them.value.own


def test_a_user_may_come_again_when_their_own_next_job_has_left_the_line() -> None:
    clock = Clock()
    lane, _ = open_lane(user_limit=1, clock=clock)
    lane.submit(job("first", "a"))
    clock.now += 10
    lane.happened(Finished("first"))
    for name, user in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        lane.submit(job(name, user))
    with pytest.raises(QueueFull) as own:
        lane.submit(job("a3", "a"))
    # "b" goes before it: two answers of ten seconds.
    assert own.value.retry_after == 20


def test_one_user_with_fifty_jobs_against_another_with_one() -> None:
    lane, worker = open_lane()
    for number in range(50):
        lane.submit(job(f"a{number}", "a"))
    other = lane.submit(job("b", "b"))
    assert other.place == 1
    lane.happened(Finished("a0"))
    assert worker.told[-1] == "add b"


async def test_a_newcomer_moves_those_back_who_had_their_turn() -> None:
    lane, _ = open_lane()
    mine = [lane.submit(job(f"a{number}", "a")) for number in range(3)]
    lane.submit(job("b", "b"))
    assert [ticket.place for ticket in mine[1:]] == [2, 3]
    assert await heard(mine[1]) == [Queued(2, None)]


async def test_what_takes_too_long_is_taken_back() -> None:
    lane, worker = open_lane()
    running = lane.submit(job("a"), deadline_s=0.01)
    waiting = lane.submit(job("b"), deadline_s=0.01)
    in_time = lane.submit(job("c"), deadline_s=1000)
    for late in (running, waiting):
        *_, last = [event async for event in late]
        assert isinstance(last, Failed)
        assert (last.status, last.code) == (504, "deadline_exceeded")
        assert last.message == "The answer was not complete within the 0.01 seconds that `deadline_s` gave it."
    assert worker.told[:2] == ["add a", "remove a"]
    assert worker.told[-1] == "add c"
    assert not in_time.ended
    in_time.cancel()


async def test_a_deadline_that_was_met_does_nothing() -> None:
    lane, worker = open_lane()
    ticket = lane.submit(job("a"), deadline_s=0.01)
    lane.happened(Finished("a"))
    await asyncio.sleep(0.03)
    assert await heard(ticket) == [Finished("a")]
    assert worker.told == ["add a"]


def test_all_that_run_and_wait_can_be_seen() -> None:
    clock = Clock()
    lane, _ = open_lane(clock=clock)
    lane.submit(job("a0", "a"))
    clock.now += 3
    lane.submit(job("a1", "a"))
    lane.submit(job("b", "b"))
    clock.now += 1
    assert lane.sights() == [
        JobSnapshot("a0", "a", None, 4.0),
        JobSnapshot("b", "b", 1, 1.0),
        JobSnapshot("a1", "a", 2, 1.0),
    ]


def test_what_is_written_is_measured() -> None:
    clock = Clock()
    lane, _ = open_lane(clock=clock)
    lane.submit(job("a"))
    for _ in range(4):
        clock.now += 0.5
        lane.happened(Text("a", "x"))
    lane.happened(Finished("a", "stop", 8, 4, 2))
    assert lane.meter.tokens_per_second == pytest.approx(2, rel=0.05)
    assert (lane.meter.mean_seconds, lane.meter.prefix_hit_rate) == (2.0, 0.25)


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
    with pytest.raises(QueueClosed):
        lane.submit(job("c"))


def test_no_job_is_taken_before_the_first_worker() -> None:
    with pytest.raises(QueueClosed):
        JobQueue().submit(job("a"))


def test_tickets_are_found_wherever_they_are() -> None:
    lane, _ = open_lane()
    running, waiting = lane.submit(job("a")), lane.submit(job("b"))
    assert lane.find("a") is running
    assert lane.find("b") is waiting
    assert lane.find("c") is None
    lane.happened(Finished("a"))
    assert lane.find("a") is None
