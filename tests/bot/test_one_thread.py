"""One piece of work after the other, and nobody who waits for a thread that is left."""

import asyncio
import threading

import pytest

from bot import OneThread


def where(number: int) -> tuple[int, threading.Thread]:
    return number, threading.current_thread()


async def test_all_is_done_in_one_thread_that_is_not_the_loops() -> None:
    pencil = OneThread("drawing")
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
    pencil, begun, free = OneThread("drawing"), threading.Event(), threading.Event()

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
