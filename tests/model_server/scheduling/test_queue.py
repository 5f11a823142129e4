"""Places, events and ends of jobs, with a worker that only records its calls."""

import asyncio

import pytest
from fakes.core.clock import ManualClock

from model_server.jobs import Embed, Failed, Finished, Job, Picture, Preview, Progress, Started, Text
from model_server.scheduling.queue import JobQueue, JobSnapshot, QueueClosed, QueueFull
from model_server.scheduling.ticket import Queued, Ticket, TicketEvent


class RecordingWorker:
    """A worker that records its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def add(self, job: Job) -> None:
        self.calls.append(f"add {job.id}")

    def remove(self, job_id: str) -> None:
        self.calls.append(f"remove {job_id}")


def job(name: str, user: str = "") -> Job:
    return Job(id=name, model="m", task=Embed(texts=("x",)), user=user)


def open_queue(
    capacity: int = 1, limit: int = 64, user_limit: int = 64, clock: ManualClock | None = None
) -> tuple[JobQueue, RecordingWorker]:
    queue, worker = JobQueue(limit=limit, user_limit=user_limit, clock=clock or ManualClock()), RecordingWorker()
    queue.attach_worker(worker, capacity)
    return queue, worker


async def read_available(ticket: Ticket) -> list[TicketEvent]:
    """Return all events that the reader gets without waiting."""
    events: list[TicketEvent] = []
    while True:
        try:
            async with asyncio.timeout(0.01):
                events.append(await anext(ticket))
        except (TimeoutError, StopAsyncIteration):
            return events


def test_capacity_jobs_run_at_once_and_the_rest_follow_in_order() -> None:
    queue, worker = open_queue(capacity=2)
    for name in "abcd":
        queue.submit(job(name))
    assert worker.calls == ["add a", "add b"]
    queue.handle_event(Finished("b"))
    queue.handle_event(Failed("a", "no"))
    assert worker.calls == ["add a", "add b", "add c", "add d"]


async def test_only_the_latest_place_is_kept_for_the_reader() -> None:
    queue, _ = open_queue()
    tickets = [queue.submit(job(name)) for name in "abcd"]
    assert await read_available(tickets[3]) == [Queued(3, None)]
    queue.handle_event(Finished("a"))
    queue.handle_event(Finished("b"))
    assert await read_available(tickets[3]) == [Queued(1, 0.0)]


async def test_the_expected_wait_comes_from_measured_jobs() -> None:
    clock = ManualClock()
    queue, _ = open_queue(capacity=2, clock=clock)
    for name, seconds in (("refused", 1), ("first", 8)):
        queue.submit(job(name))
        clock.now += seconds
        # One that failed says nothing of how long others take.
        queue.handle_event(Failed(name, "no", 400) if name == "refused" else Finished(name))
    queue.submit(job("a"))
    queue.submit(job("b"))
    waiting = [queue.submit(job(name)) for name in "cd"]
    assert await read_available(waiting[0]) == [Queued(1, 4.0)]
    assert await read_available(waiting[1]) == [Queued(2, 8.0)]


async def test_text_is_never_lost_while_progress_is() -> None:
    queue, _ = open_queue()
    ticket = queue.submit(job("a"))
    queue.handle_event(Started("a"))
    for step in range(1, 4):
        queue.handle_event(Progress("a", step, 9))
    queue.handle_event(Text("a", "one"))
    queue.handle_event(Text("a", "two"))
    queue.handle_event(Progress("a", 4, 9))
    queue.handle_event(Progress("a", 5, 9))
    queue.handle_event(Finished("a"))
    assert await read_available(ticket) == [
        Started("a"),
        Progress("a", 3, 9),
        Text("a", "one"),
        Text("a", "two"),
        Progress("a", 5, 9),
        Finished("a"),
    ]


async def test_only_the_latest_preview_is_kept_but_every_picture() -> None:
    queue, _ = open_queue()
    ticket = queue.submit(job("a"))
    for step in range(1, 5):
        queue.handle_event(Preview("a", b"preview %d" % step, step, step, 9))
        queue.handle_event(Progress("a", step, 9))
    queue.handle_event(Picture("a", b"first"))
    queue.handle_event(Preview("a", b"late", 5, 9, 9))
    queue.handle_event(Picture("a", b"second"))
    queue.handle_event(Finished("a"))
    assert await read_available(ticket) == [
        Preview("a", b"preview 4", 4, 4, 9),
        Progress("a", 4, 9),
        Picture("a", b"first"),
        Preview("a", b"late", 5, 9, 9),
        Picture("a", b"second"),
        Finished("a"),
    ]


async def test_cancelling_a_waiting_job_moves_the_others_up() -> None:
    queue, worker = open_queue()
    queue.submit(job("a"))
    second, third = queue.submit(job("b")), queue.submit(job("c"))
    second.cancel()
    assert worker.calls == ["add a"]
    assert next(event for event in await read_available(second) if isinstance(event, Failed)).code == "cancelled"
    assert await read_available(third) == [Queued(1, None)]


async def test_cancelling_a_running_job_removes_it_before_the_next_is_added_and_nothing_comes_after() -> None:
    queue, worker = open_queue()
    with queue.submit(job("a")) as ticket:
        queue.submit(job("b"))
    ticket.cancel()
    queue.handle_event(Text("a", "late"))
    queue.handle_event(Finished("a"))
    assert [type(event) for event in await read_available(ticket)] == [Failed]
    assert worker.calls == ["add a", "remove a", "add b"]


def test_a_full_queue_has_a_retry_time() -> None:
    clock = ManualClock()
    queue, _ = open_queue(limit=4, user_limit=2, clock=clock)
    for name in ("a0", "a1", "a2", "b0", "c0"):
        queue.submit(job(name, name[0]))
    refused: list[QueueFull] = []

    def refuse(user: str, sentence: str) -> None:
        with pytest.raises(QueueFull, match=sentence) as full:
            queue.submit(job("late", user))
        refused.append(full.value)

    # One user cannot fill the queue, and all together can.
    refuse("d", "4 requests are waiting")
    clock.now += 12.3
    queue.handle_event(Finished("a0"))
    # "c" goes first, so it takes two answers.
    refuse("a", "2 of your requests are waiting")
    queue.submit(job("e0", "e"))
    refuse("d", "4 requests are waiting")
    assert [(full.is_user_limit, full.retry_after) for full in refused] == [(False, 5), (True, 25), (False, 13)]


def test_snapshots_have_the_seconds_since_each_job_came() -> None:
    clock = ManualClock()
    queue, _ = open_queue(clock=clock)
    queue.submit(job("a", "ann"))
    clock.now += 3
    queue.submit(job("b", "ben"))
    clock.now += 1
    assert queue.snapshots() == [JobSnapshot("a", "ann", None, 4.0), JobSnapshot("b", "ben", 1, 1.0)]


async def test_a_newcomer_moves_jobs_of_served_users_back() -> None:
    queue, _ = open_queue()
    mine = [queue.submit(job(f"a{number}", "a")) for number in range(3)]
    queue.submit(job("b", "b"))
    assert [ticket.place for ticket in mine[1:]] == [2, 3]
    assert await read_available(mine[1]) == [Queued(2, None)]


async def test_a_job_past_its_deadline_fails_and_is_removed() -> None:
    queue, worker = open_queue()
    running = queue.submit(job("a"), deadline_s=0.01)
    waiting = queue.submit(job("b"), deadline_s=0.01)
    in_time = queue.submit(job("c"), deadline_s=1000)
    for late in (running, waiting):
        *_, last = [event async for event in late]
        assert isinstance(last, Failed)
        assert (last.status, last.code) == (504, "deadline_exceeded")
        assert last.message == "The answer was not complete within the 0.01 seconds that `deadline_s` gave it."
    assert worker.calls[:2] == ["add a", "remove a"]
    assert worker.calls[-1] == "add c"
    assert not in_time.has_ended
    in_time.cancel()


async def test_a_deadline_that_was_met_does_nothing() -> None:
    queue, worker = open_queue()
    ticket = queue.submit(job("a"), deadline_s=0.01)
    queue.handle_event(Finished("a"))
    await asyncio.sleep(0.03)
    assert await read_available(ticket) == [Finished("a")]
    assert worker.calls == ["add a"]


def test_written_tokens_are_measured() -> None:
    clock = ManualClock()
    queue, _ = open_queue(clock=clock)
    queue.submit(job("a"))
    for _ in range(4):
        clock.now += 0.5
        queue.handle_event(Text("a", "x"))
    queue.handle_event(Finished("a", "stop", 8, 4, 2))
    assert queue.throughput.tokens_per_second == pytest.approx(2, rel=0.05)
    assert (queue.throughput.mean_seconds, queue.throughput.prefix_hit_rate) == (2.0, 0.25)


async def test_waiting_jobs_survive_their_worker_and_running_jobs_fail() -> None:
    queue, _ = open_queue()
    running, waiting = queue.submit(job("a")), queue.submit(job("b"))
    queue.detach_worker("It died.", 503, "worker_died")
    assert await read_available(running) == [Failed("a", "It died.", 503, "worker_died")]
    late = queue.submit(job("c"))
    successor = RecordingWorker()
    queue.attach_worker(successor, 2)
    assert successor.calls == ["add b", "add c"]
    assert not waiting.has_ended
    assert not late.has_ended


async def test_closing_the_queue_fails_all_jobs_and_takes_no_new_ones() -> None:
    queue, _ = open_queue()
    tickets = [queue.submit(job("a")), queue.submit(job("b"))]
    queue.close("It cannot be loaded.", 503, "model_failed")
    for ticket in tickets:
        assert (await read_available(ticket))[-1] == Failed(ticket.job.id, "It cannot be loaded.", 503, "model_failed")
    with pytest.raises(QueueClosed):
        queue.submit(job("c"))
