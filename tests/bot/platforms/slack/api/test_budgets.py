"""Rate limits of the Web API: shared by all answers, in order, and blocked by Retry-After."""

import asyncio

import pytest

from bot.platforms.slack.api import budgets
from bot.platforms.slack.api.budgets import POST, START, STATUS, UPDATE, ChannelQueue, RateBudgets, ViewThrottle


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> float:
    """Shorten the seconds between two messages in a channel, and return them."""
    monkeypatch.setattr(budgets, "POST_SECONDS", 0.05)
    return 0.05


async def test_messages_in_a_channel_take_turns_in_order(quick: float) -> None:
    queue, posted = ChannelQueue(), []

    async def post(number: int) -> None:
        await queue.take_turn()
        posted.append((number, asyncio.get_running_loop().time()))

    # Not from the first post on, which a busy machine may notice late.
    begun = asyncio.get_running_loop().time()
    await asyncio.gather(*(post(number) for number in range(6)))
    assert [number for number, _ in posted] == list(range(6))
    assert posted[-1][1] - begun >= (6 - budgets.POST_BURST) * quick * 0.99
    assert queue.delay() > 0


async def test_a_channel_does_not_wait_for_another(quick: float) -> None:
    shared = RateBudgets()
    shared.block_for(60.0, POST, "C1")
    async with asyncio.timeout(10):
        await shared.spend(POST, "C2")
    assert shared.channel_queue("C1").delay() > 50
    assert shared.method_budget(POST).delay(final=True) == 0


async def test_a_blocked_method_is_blocked_for_all(quick: float) -> None:
    shared = RateBudgets()
    shared.block_for(60.0, UPDATE)
    assert shared.method_budget(UPDATE).delay(final=True) > 50
    assert shared.method_budget(STATUS).delay(final=True) == 0


async def test_final_snapshots_use_the_reserved_part() -> None:
    shared = RateBudgets()
    for _ in range(20):
        if not shared.method_budget(START).delay(final=False):
            await shared.spend(START)
    assert shared.method_budget(START).delay(final=False) > 0
    assert shared.method_budget(START).delay(final=True) == 0


async def test_the_final_snapshot_does_not_wait_in_the_throttle() -> None:
    throttle = ViewThrottle(lambda: 30.0)
    assert (throttle.delay(final=False), throttle.delay(final=True)) == (30.0, 0.0)


def test_no_method_is_called_more_often_than_slack_allows() -> None:
    assert all(budgets.PER_MINUTE[method] <= 20 for method in (START, budgets.STOP))
    assert all(budgets.PER_MINUTE[method] <= 50 for method in (UPDATE, budgets.DELETE))
