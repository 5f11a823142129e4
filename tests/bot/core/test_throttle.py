"""Throttling skips replies, but never the last one."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import wraps
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from fakes.core.clock import run_in_virtual_time

from bot.core.latest import Latest, Stream
from bot.core.messages import Reply
from bot.core.throttle import RateBudget, Throttle, throttled

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine


class Source:
    """A source of the replies "0", "1" …, one every `every` seconds; `ended_at` and `closed` say how it ended."""

    def __init__(self, count: int, every: float, error: Exception | None = None) -> None:
        self.replies = self._replies(count, every, error)
        self.ended_at = -1.0
        self.closed = False

    async def _replies(self, count: int, every: float, error: Exception | None) -> AsyncGenerator[Reply, None]:
        try:
            for number in range(count):
                yield Reply(text=str(number), final=error is None and number == count - 1)
                await asyncio.sleep(every)
            self.ended_at = now()
            if error:
                raise error
        finally:
            await asyncio.sleep(0)
            self.closed = True


def stream_of(replies: AsyncGenerator[Reply, None]) -> Stream[Reply]:
    async def publish(latest: Latest[Reply]) -> None:
        async with aclosing(replies):
            async for reply in replies:
                latest.put(reply)
                await asyncio.sleep(0)

    return Stream(publish)


def in_virtual_time(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Let the time of a test pass as soon as nothing else is to be done."""

    @wraps(test)
    def run() -> None:
        run_in_virtual_time(test())

    return run


def now() -> float:
    return asyncio.get_running_loop().time()


async def several(*replies: Reply, every: float = 0.1) -> AsyncGenerator[Reply, None]:
    for reply in replies:
        yield reply
        await asyncio.sleep(every)


async def watch(
    replies: AsyncGenerator[Reply, None], pacer: Throttle, *, consumer: float = 0.0
) -> list[tuple[float, Reply]]:
    """Return the replies that pass, with their times; the consumer takes `consumer` seconds for each of them."""
    seen = []
    async with aclosing(throttled(stream_of(replies), pacer)) as snapshots:
        async for reply in snapshots:
            seen.append((now(), reply))
            await asyncio.sleep(consumer)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return seen


@in_virtual_time
async def test_only_the_newest_replies_of_a_fast_source_pass_and_the_last_at_once() -> None:
    source = Source(13, every=0.25)
    seen = await watch(source.replies, Throttle(0.9))
    assert [reply.text for _, reply in seen] == ["0", "3", "7", "10", "12"]
    assert [time for time, _ in seen] == pytest.approx([0, 0.9, 1.8, 2.7, 3.0])


@in_virtual_time
async def test_a_slow_consumer_does_not_hold_up_the_source() -> None:
    source = Source(20, every=0.1)
    seen = await watch(source.replies, Throttle(0.5), consumer=30)
    assert [reply.text for _, reply in seen] == ["0", "19"]
    assert source.ended_at == pytest.approx(2.0)


@in_virtual_time
async def test_a_source_that_never_waits_lets_others_run() -> None:
    other = asyncio.create_task(asyncio.sleep(0))
    finished = []

    async def eager() -> AsyncGenerator[Reply, None]:
        for number in range(100):
            finished.append(other.done())
            yield Reply(text=str(number))

    await watch(eager(), Throttle(1.0))
    assert finished.count(True) > 90


def test_the_last_reply_passes_even_if_it_is_not_marked_final() -> None:
    seen = run_in_virtual_time(watch(several(Reply(text="a"), Reply(text="b")), Throttle(60.0)))
    assert [reply.text for _, reply in seen] == ["a", "b"]
    assert seen[-1][0] < 1


def test_a_source_may_end_without_a_reply() -> None:
    assert run_in_virtual_time(watch(several(), Throttle(1.0))) == []


def test_an_unchanged_reply_is_not_repeated() -> None:
    replies = [Reply(text="a"), Reply(text="a"), Reply(text="b"), Reply(text="b"), Reply(text="b", final=True)]
    seen = run_in_virtual_time(watch(several(*replies), Throttle(0.01)))
    assert [reply for _, reply in seen] == [replies[0], replies[2], replies[4]]


def test_a_status_is_throttled_like_text() -> None:
    replies = [Reply(text="a"), Reply(text="a"), *(Reply(text="a", status=str(place)) for place in range(9))]
    seen = run_in_virtual_time(watch(several(*replies, Reply(text="a", final=True)), Throttle(0.42)))
    assert [reply.status for _, reply in seen] == ["", "2", "6", ""]


def test_the_first_words_do_not_wait_for_the_pace_of_a_status() -> None:
    replies = [Reply(status="Thinking …"), Reply(text="a"), Reply(text="ab"), *(Reply(text="abc") for _ in range(9))]
    seen = run_in_virtual_time(watch(several(*replies), Throttle(0.42)))
    assert [(reply.text, pytest.approx(moment)) for moment, reply in seen] == [("", 0), ("a", 0.1), ("abc", 0.52)]


@in_virtual_time
async def test_an_error_of_the_source_is_raised_after_its_last_snapshot() -> None:
    source = Source(3, every=0.1, error=OSError("gone"))
    snapshots = throttled(stream_of(source.replies), Throttle(60.0))
    assert [(await anext(snapshots)).text for _ in range(2)] == ["0", "2"]
    with pytest.raises(OSError, match="gone"):
        await anext(snapshots)


@in_virtual_time
async def test_a_source_that_is_cancelled_from_within_cancels_its_consumer() -> None:
    async def stopped() -> AsyncGenerator[Reply, None]:
        yield Reply(text="a")
        raise asyncio.CancelledError

    snapshots = throttled(stream_of(stopped()), Throttle(1.0))
    await anext(snapshots)
    with pytest.raises(asyncio.CancelledError):
        await anext(snapshots)


@in_virtual_time
async def test_a_cancelled_consumer_closes_the_source_and_stays_cancelled() -> None:
    source = Source(100, every=0.1)
    consumer = asyncio.create_task(watch(source.replies, Throttle(60.0)))
    await asyncio.sleep(1)
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    assert source.closed
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_virtual_time
async def test_an_error_while_the_source_is_closed_is_not_lost() -> None:
    async def bad() -> AsyncGenerator[Reply, None]:
        try:
            yield Reply(text="a")
            await asyncio.sleep(60)
        finally:
            raise OSError("cannot close")

    snapshots = throttled(stream_of(bad()), Throttle(1.0))
    await anext(snapshots)
    await asyncio.sleep(1)
    with pytest.raises(OSError, match="cannot close"):
        await snapshots.aclose()


def test_a_budget_reserves_a_quarter_for_final_snapshots() -> None:
    clock = [0.0]
    budget = RateBudget(8, clock=lambda: clock[0])
    for _ in range(6):
        budget.spend()
    assert budget.delay(final=False) == 60
    assert budget.delay(final=True) == 0
    budget.spend()
    budget.spend()
    assert budget.delay(final=True) == 60
    clock[0] = 61
    assert budget.delay(final=False) == 0


def test_a_blocked_budget_allows_nothing_until_the_time_has_passed() -> None:
    clock = [0.0]
    budget = RateBudget(8, clock=lambda: clock[0])
    budget.block_for(30)
    budget.block_for(3)
    clock[0] = 10
    assert budget.delay(final=True) == 20
    assert budget.delay(final=False) == 20


def test_a_budget_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 requests a minute; this one has 1"):
        RateBudget(1)


def test_requests_of_other_processes_count_in_the_budget() -> None:
    clock = [0.0]
    budget = RateBudget(8, clock=lambda: clock[0])
    budget.spend()
    budget.note_total(6)
    assert (budget.delay(final=False), budget.delay(final=True)) == (60.0, 0.0)
    budget.note_total(1)
    assert budget.delay(final=False) == 0
    budget.note_total(8)
    clock[0] = 60.0
    assert budget.delay(final=False) == 0


@in_virtual_time
async def test_streams_that_share_a_budget_stay_within_it_and_all_end() -> None:
    async def _outcome(source: Source, budget: RateBudget) -> list[tuple[float, Reply]]:
        async with aclosing(throttled(stream_of(source.replies), Throttle(1.0, budget))) as snapshots:
            return [(now(), reply) async for reply in snapshots]

    budget = RateBudget(20, clock=now)
    sources = [Source(200 + 50 * number, every=0.5) for number in range(12)]
    streams = [asyncio.create_task(_outcome(source, budget)) for source in sources]
    seen = [entry for stream in streams for entry in await stream]
    assert sum(reply.final for _, reply in seen) == 12
    times = sorted(time for time, _ in seen)
    assert all(later - earlier > 59.99 for earlier, later in zip(times, times[20:], strict=False))


@in_virtual_time
async def test_a_long_stream_never_stands_still_for_lack_of_budget() -> None:
    budget = RateBudget(20, clock=now)
    seen = await watch(Source(600, every=0.5).replies, Throttle(1.0, budget))
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(seen)]
    assert max(gaps) < 10
    assert len(seen) > 60


@in_virtual_time
async def test_a_last_snapshot_passes_while_growing_ones_have_to_wait() -> None:
    budget = RateBudget(8, clock=now)
    for _ in range(6):
        budget.spend()
    seen = await watch(Source(30, every=0.1).replies, Throttle(0.1, budget))
    assert [reply.text for _, reply in seen] == ["29"]
    assert seen[0][0] < 5
