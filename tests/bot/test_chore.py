import asyncio

import pytest

from bot.chore import repeat


async def test_a_round_that_fails_is_logged_and_the_next_one_comes(caplog: pytest.LogCaptureFixture) -> None:
    rounds, third = 0, asyncio.Event()

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            third.set()
        if rounds == 1:
            raise RuntimeError("the disk is busy")

    task = asyncio.create_task(repeat(work, 0.001))
    async with asyncio.timeout(10):
        await third.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert "the disk is busy" in caplog.text


async def test_the_first_round_comes_at_once_where_it_should() -> None:
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    task = asyncio.create_task(repeat(work, 3600, at_once=True))
    async with asyncio.timeout(10):
        await done.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
