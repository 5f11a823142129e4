"""Repeated work goes on after a failed round, and a thread of its own does one piece of work after the other."""

import asyncio
import threading

import pytest

from bot import SerialExecutor
from bot.core.background import repeat


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


def where(number: int) -> tuple[int, threading.Thread]:
    return number, threading.current_thread()


async def test_all_is_done_in_one_thread_that_is_not_the_loops() -> None:
    pencil = SerialExecutor("drawing")
    done = await asyncio.gather(*(pencil.run(where, number) for number in range(5)))
    assert [number for number, _ in done] == [0, 1, 2, 3, 4]
    (thread,) = {thread for _, thread in done}
    assert thread is not threading.current_thread()
    assert thread.name.startswith("drawing")
    with pytest.raises(ValueError, match="invalid literal"):
        await pencil.run(int, "x")
    pencil.leave()
    await asyncio.to_thread(thread.join)


async def test_what_waits_when_it_is_left_is_done_and_another_does_what_comes() -> None:
    pencil, begun, free = SerialExecutor("drawing"), threading.Event(), threading.Event()

    def held() -> threading.Thread:
        begun.set()
        free.wait()
        return threading.current_thread()

    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(pencil.run(work)) for work in (held, threading.current_thread)]
        await asyncio.to_thread(begun.wait)
        pencil.leave()
        later = await pencil.run(threading.current_thread)
        free.set()
    old, same = (task.result() for task in waiting)
    assert old is same is not later
    await asyncio.to_thread(old.join)
    pencil.leave()
