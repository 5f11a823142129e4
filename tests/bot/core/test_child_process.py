"""Turns of child processes; what they read is tested with those who read it."""

import asyncio

import pytest

from bot.core.child_process import MAX_WAITING_OF_ONE, ChildTurns, NoTurn


async def test_one_who_waits_often_takes_no_places_of_others() -> None:
    turns, go = ChildTurns(1, 60, 100), asyncio.Event()

    async def take(key: str) -> bool:
        try:
            async with turns.take(key):
                await go.wait()
        except NoTurn:
            return False
        return True

    greedy = [asyncio.create_task(take("greedy")) for _ in range(20)]
    others = [asyncio.create_task(take(f"pupil {number}")) for number in range(30)]
    await asyncio.sleep(0)
    go.set()
    assert all(await asyncio.gather(*others))
    assert sum(await asyncio.gather(*greedy)) <= MAX_WAITING_OF_ONE + 1


async def test_what_takes_long_within_a_turn_is_no_missing_turn() -> None:
    turns = ChildTurns(1, 0.05, 1)
    with pytest.raises(TimeoutError):
        async with turns.take("a"), asyncio.timeout(0.1):
            await asyncio.sleep(60)
    async with turns.take("a"):
        with pytest.raises(NoTurn):
            async with turns.take("b"):
                pass
    async with turns.take("b"):
        pass
