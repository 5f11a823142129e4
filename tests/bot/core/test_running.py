import asyncio

import pytest

from bot.core.messages import Reply
from bot.core.running import ActiveRun, ActiveRuns


async def work(run: ActiveRun, began: asyncio.Event, ended: list[str]) -> str:
    """Publish a reply and wait for ever, stoppably; note how the wait ended."""
    async with run.stoppable():
        run.newest = Reply(text="one")
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append("handler")
    return "stopped" if run.stopped else "done"


async def test_stop_ends_the_handler_and_nothing_after_it() -> None:
    run, began, ended = ActiveRun(), asyncio.Event(), []
    task = asyncio.create_task(work(run, began, ended))
    await began.wait()
    run.stop()
    run.stop()
    async with asyncio.timeout(30):
        assert await task == "stopped"
    assert ended == ["handler"]
    assert run.newest.text == "one"


async def test_stop_before_the_first_step_ends_the_handler_at_once() -> None:
    run = ActiveRun()
    run.stop()
    async with asyncio.timeout(30):
        assert await work(run, asyncio.Event(), []) == "stopped"


async def test_stop_changes_nothing_once_the_newest_snapshot_is_final() -> None:
    run = ActiveRun()
    async with run.stoppable():
        run.newest = Reply(text="all", final=True)
        run.stop()
        await asyncio.sleep(0)
    assert not run.stopped


async def test_a_timeout_error_of_the_handler_is_raised() -> None:
    run = ActiveRun()
    with pytest.raises(TimeoutError):
        async with run.stoppable():
            raise TimeoutError


async def test_cancelling_the_handler_is_not_a_stop() -> None:
    run, began = ActiveRun(), asyncio.Event()
    task = asyncio.create_task(work(run, began, []))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not run.stopped


async def test_a_new_page_turn_stops_the_earlier_one() -> None:
    runs = ActiveRuns()
    first = runs.begin_page_turn(7, "t:p1:7", private=False)
    assert runs.is_turning(7, "t:p1:7")
    second = runs.begin_page_turn(7, "t:p2:7", private=True)
    assert first.stopped
    assert second.newest.private
    runs.end_page_turn(7, first)
    assert runs.is_turning(7, "t:p2:7")
    runs.end_page_turn(7, second)
    assert not runs.is_turning(7, "t:p2:7")
    assert not runs.stop(7)
