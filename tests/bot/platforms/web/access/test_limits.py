"""What one visitor and one address may hold, and how quickly they may send."""

import asyncio
from contextlib import ExitStack

import pytest

from bot.platforms.web.access import limits
from bot.platforms.web.access.limits import (
    WEB_LIMITS,
    Capacity,
    MessageLimit,
    MessageRate,
    RateMeter,
    Shares,
    TooMany,
)

SCHOOL, HOME = "198.51.100.7", "203.0.113.9"


def test_a_school_has_room_for_two_hundred_visitors_with_two_pages() -> None:
    pages = Shares(WEB_LIMITS.pages)
    with ExitStack() as opened:
        for number in range(400):
            opened.enter_context(pages.hold(SCHOOL, f"pupil {number // 2}"))
        for number in range(400):
            opened.enter_context(pages.hold(HOME, f"visitor {number // 2}"))


def test_what_was_held_is_free_again() -> None:
    shares = Shares(Capacity(3, 2, 1))
    for _ in range(5):
        with shares.hold(SCHOOL, "ann"), pytest.raises(TooMany) as refused, shares.hold(HOME, "ann"):
            pass
        assert refused.value.of_visitor
    with shares.hold(SCHOOL, "ann"), shares.hold(SCHOOL, "ben"):
        assert shares.is_full(SCHOOL)
        with pytest.raises(TooMany) as refused, shares.hold(SCHOOL, "cat"):
            pass
        assert not refused.value.of_visitor
    assert not shares.is_full(SCHOOL)


async def test_those_who_wait_get_their_turn_and_those_who_leave_take_none() -> None:
    shares, done = Shares(Capacity(1, 1, 1)), []

    async def take(name: str) -> None:
        async with shares.wait_for(HOME, name):
            done.append(name)
            await asyncio.sleep(0)

    with shares.hold(HOME, "first"):
        tasks = [asyncio.create_task(take(name)) for name in ("second", "third", "fourth")]
        await asyncio.sleep(0)
        tasks[1].cancel()
        assert done == []
    async with asyncio.timeout(60):
        await asyncio.gather(tasks[0], tasks[2])
    assert done == ["second", "fourth"]


def make_meter(clock: list[float], burst: float = 10, per_second: float = 2) -> RateMeter:
    return RateMeter(MessageRate(burst, per_second), lambda: clock[0])


def test_messages_beyond_the_burst_are_too_many_until_time_has_passed() -> None:
    clock = [0.0]
    meter = make_meter(clock)
    excess = [meter.count("ann") for _ in range(20)]
    assert [one > 0 for one in excess] == [False] * 10 + [True] * 10
    assert (max(excess[:-1]) < 1, excess[-1]) == (True, 1)
    assert meter.count("ben") == 0
    clock[0] += 4
    assert meter.count("ann") > 0
    clock[0] += 2.5
    assert meter.count("ann") == 0
    # A heavy message counts for several.
    assert (meter.count("cat", 10), meter.count("cat") > 0) == (0, True)


def test_a_steady_rate_is_never_too_much() -> None:
    clock = [0.0]
    meter = make_meter(clock)
    for _ in range(1000):
        clock[0] += 0.5
        assert meter.count("ann") == 0


def test_visitors_of_one_address_share_its_rate_unless_it_may_be_a_proxy() -> None:
    for address, is_shared in ((SCHOOL, False), ("127.0.0.1", True)):
        clock = [0.0]
        of_visitors, of_addresses = make_meter(clock, 10), make_meter(clock, 15)
        ann, ben = (MessageLimit(of_visitors, of_addresses, name, address) for name in ("ann", "ben"))
        assert [ann.count() for _ in range(10)] == [0] * 10
        assert [ben.count() > 0 for _ in range(10)] == [False] * 5 + [not is_shared] * 5


def test_whoever_was_silent_for_the_longest_is_forgotten_first() -> None:
    meter = make_meter([0.0])
    assert (meter.count("ann", 10), meter.count("ben", 10)) == (0, 0)
    for number in range(limits.MAX_REMEMBERED - 1):
        meter.count(f"visitor {number}")
    assert (meter.count("ben") > 0, meter.count("ann")) == (True, 0)
