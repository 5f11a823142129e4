import asyncio
from contextlib import aclosing

import pytest

from bot.core.latest import Latest, Stream


async def count(latest: Latest[int]) -> None:
    """Publish 0, which is kept, and then 1 to 9 as fast as possible."""
    latest.put(0, keep=True)
    for number in range(1, 10):
        latest.put(number)
        await asyncio.sleep(0)


async def test_a_slow_reader_gets_kept_values_and_the_newest_one() -> None:
    seen = []
    async with aclosing(Stream(count)) as stream:
        async for number in stream:
            seen.append(number)
            await asyncio.sleep(0.01)
    assert seen == [0, 9]


async def test_a_kept_value_also_keeps_the_value_before_it() -> None:
    latest = Latest[str]()
    latest.put("a")
    latest.put("b", keep=True)
    latest.put("c")
    latest.put("d")
    assert [latest.pop() for _ in range(3)] == ["a", "b", "d"]
    assert latest.peek() is None
    latest.put("e", keep=True)
    latest.put("f")
    assert latest.pop_newest() == "f"
    assert latest.pop_newest() is None


async def test_the_work_begins_when_somebody_reads() -> None:
    began = []

    async def work(_latest: Latest[int]) -> None:
        began.append(True)

    stream = Stream(work)
    await asyncio.sleep(0)
    assert not began
    assert [number async for number in stream] == []
    assert began


async def test_first_does_not_remove_the_value() -> None:
    stream = Stream(count)
    assert await stream.first() == 0
    assert await anext(stream) == 0
    await asyncio.sleep(0.01)
    assert await anext(stream) == 9


async def test_an_error_is_raised_after_the_last_value() -> None:
    async def work(latest: Latest[int]) -> None:
        latest.put(1)
        raise OSError("gone")

    stream = Stream(work)
    assert await anext(stream) == 1
    with pytest.raises(OSError, match="gone"):
        await anext(stream)
    await stream.aclose()


async def test_closing_cancels_the_work_and_waits_for_its_end() -> None:
    ended = []

    async def work(latest: Latest[int]) -> None:
        latest.put(1)
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    stream = Stream(work)
    assert await anext(stream) == 1
    await stream.aclose()
    assert ended
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert [number async for number in stream] == []


async def test_closing_a_stream_that_was_never_read_starts_no_work() -> None:
    stream = Stream(count)
    await stream.aclose()
    assert await stream.first() is None


async def test_a_stream_of_known_values_yields_all_of_them() -> None:
    assert [text async for text in Stream.of("a", "b")] == ["a", "b"]
