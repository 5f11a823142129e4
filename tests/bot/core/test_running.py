import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from bot.core.messages import Reply
from bot.core.running import ActiveRun


class Source:
    """Says one word and then, once its gate is open, everything."""

    def __init__(self, *, final: bool = True) -> None:
        self.gate = asyncio.Event()
        self.over = asyncio.Event()
        self.ended = False
        self._final = final

    async def replies(self) -> AsyncGenerator[Reply, None]:
        try:
            yield Reply(text="one", status="reading …")
            await self.gate.wait()
            for text in ("one two", "one two three"):
                yield Reply(text=text)
            yield Reply(text="one two three four", final=self._final, status="counted")
            self.over.set()
        finally:
            await asyncio.sleep(0)
            self.ended = True


async def test_a_slow_reader_sees_the_newest_and_the_last() -> None:
    source = Source()
    run = ActiveRun(source.replies())
    async with aclosing(run.snapshots()) as snapshots:
        assert (await anext(snapshots)).text == "one"
        source.gate.set()
        await source.over.wait()
        assert [reply.text async for reply in snapshots] == ["one two three four"]


async def test_a_source_that_forgets_to_end_is_ended() -> None:
    source = Source(final=False)
    source.gate.set()
    run = ActiveRun(source.replies())
    seen = [reply async for reply in run.snapshots()]
    assert (seen[-1].text, seen[-1].final, seen[-1].status) == ("one two three four", True, "")


async def test_stop_keeps_what_was_said() -> None:
    source = Source()
    run = ActiveRun(source.replies())
    async with aclosing(run.snapshots()) as snapshots:
        await anext(snapshots)
        run.stop()
        assert [(reply.text, reply.final) async for reply in snapshots] == [("one", True)]
    assert run.stopped
    assert source.ended


async def test_stop_before_the_first_step() -> None:
    run = ActiveRun(Source().replies())
    run.stop()
    async with asyncio.timeout(30):
        assert [(reply.text, reply.final) async for reply in run.snapshots()] == [("", True)]


async def test_what_is_private_is_so_before_its_first_snapshot() -> None:
    run = ActiveRun(Source().replies(), private=True)
    assert run.newest.private
    run.stop()
    assert [(reply.private, reply.final) async for reply in run.snapshots()] == [(True, True)]


async def test_stop_after_the_end_changes_nothing() -> None:
    source = Source()
    source.gate.set()
    run = ActiveRun(source.replies())
    last = [reply async for reply in run.snapshots()][-1]
    run.stop()
    assert not run.stopped
    assert run.newest == last


async def test_close_waits_until_the_source_has_ended() -> None:
    source = Source()
    run = ActiveRun(source.replies())
    await anext(run.snapshots())
    await run.close()
    assert source.ended
