import asyncio

import pytest

from bot.core.errors import Busy
from bot.inference.upstreams.queue import Ticket, UpstreamQueue
from http_server.fair_queue import MAX_WAITING, MAX_WAITING_PER_USER


def places(*tickets: Ticket) -> list[int]:
    return [ticket.place for ticket in tickets]


def test_as_many_run_at_once_as_may_and_the_others_have_places() -> None:
    queue = UpstreamQueue(2)
    first, second, third, fourth = (queue.enter("ann", 40) for _ in range(4))
    assert places(first, second, third, fourth) == [0, 0, 1, 2]
    queue.leave(second)
    assert places(third, fourth) == [0, 1]
    queue.leave(fourth)
    assert places(queue.enter("ben", 40)) == [1]


def test_one_who_asks_much_waits_behind_one_who_asks_little() -> None:
    queue = UpstreamQueue(1)
    running, *many = (queue.enter("ann", 40) for _ in range(4))
    one = queue.enter("ben", 40)
    assert places(one, *many) == [1, 2, 3, 4]
    queue.leave(running)
    assert places(one, *many) == [0, 1, 2, 3]


def test_output_costs_twice_and_is_remembered_while_others_are_there() -> None:
    queue = UpstreamQueue(1)
    long, short = queue.enter("ann", 4), queue.enter("ben", 4)
    long.output = 1000
    queue.leave(long)
    short.output = 10
    waiting = queue.enter("ann", 4), queue.enter("ben", 4)
    assert places(*waiting) == [2, 1]


def test_too_many_waiting_requests_are_refused() -> None:
    queue = UpstreamQueue(1)
    for _ in range(MAX_WAITING_PER_USER + 1):
        queue.enter("ann", 4)
    with pytest.raises(Busy):
        queue.enter("ann", 4)
    for number in range(MAX_WAITING - MAX_WAITING_PER_USER):
        queue.enter(f"user {number}", 4)
    with pytest.raises(Busy):
        queue.enter("eve", 4)


async def test_tokens_come_back_over_a_minute() -> None:
    now = [0.0]
    queue = UpstreamQueue(9, 600, clock=lambda: now[0])
    first, second = queue.enter("ann", 396), queue.enter("ben", 36)
    assert places(first, second) == [0, 0]
    first.output = 600
    queue.leave(first)
    waiting = queue.enter("eve", 36)
    assert waiting.place == 1
    now[0] += 30
    queue.leave(second)
    assert waiting.place == 0


async def test_a_request_that_waits_for_tokens_begins_by_itself() -> None:
    queue = UpstreamQueue(9, 60_000)
    first = queue.enter("ann", 40)
    first.output = 60_050
    queue.leave(first)
    waiting = queue.enter("ben", 40)
    assert waiting.place == 1
    async with asyncio.timeout(30):
        await waiting.change()
    assert waiting.place == 0
