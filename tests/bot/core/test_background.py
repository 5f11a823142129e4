"""Repeated work continues after an error, and a serial executor runs one call after another."""

import asyncio
import threading

import pytest

from bot import SerialExecutor
from bot.core import background
from bot.core.background import in_time, repeat, until_stored
from bot.core.errors import DatabaseUnavailable


async def test_work_that_fails_is_logged_and_repeated(caplog: pytest.LogCaptureFixture) -> None:
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


async def test_work_that_takes_too_long_is_given_up_before_it_has_ended() -> None:
    is_cancelled, may_end = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            is_cancelled.set()
            await may_end.wait()

    async with asyncio.timeout(10):
        with pytest.raises(TimeoutError):
            await in_time(work(), 0)
        await in_time(asyncio.sleep(0), 10)
        with pytest.raises(TimeoutError):
            await in_time(work(), 0.01)
        await is_cancelled.wait()
    may_end.set()
    assert await in_time(asyncio.sleep(0, "in time"), 10) == "in time"


def current_thread(number: int) -> tuple[int, threading.Thread]:
    return number, threading.current_thread()


async def test_all_work_runs_in_one_thread_other_than_the_loops() -> None:
    executor = SerialExecutor("drawing")
    done = await asyncio.gather(*(executor.run(current_thread, number) for number in range(5)))
    assert [number for number, _ in done] == [0, 1, 2, 3, 4]
    (thread,) = {thread for _, thread in done}
    assert thread is not threading.current_thread()
    assert thread.name.startswith("drawing")
    with pytest.raises(ValueError, match="invalid literal"):
        await executor.run(int, "x")
    executor.leave()
    await asyncio.to_thread(thread.join)


async def test_waiting_work_is_finished_after_leave_and_a_new_thread_runs_later_work() -> None:
    executor, begun, free = SerialExecutor("drawing"), threading.Event(), threading.Event()

    def wait() -> threading.Thread:
        begun.set()
        free.wait()
        return threading.current_thread()

    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(executor.run(work)) for work in (wait, threading.current_thread)]
        await asyncio.to_thread(begun.wait)
        executor.leave()
        later = await executor.run(threading.current_thread)
        free.set()
    old, same = (task.result() for task in waiting)
    assert old is same is not later
    await asyncio.to_thread(old.join)
    executor.leave()


async def test_work_is_tried_until_the_database_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.001)
    tries = 0

    async def work() -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise DatabaseUnavailable
        return "stored"

    assert await until_stored(work) == "stored"
    assert tries == 3
