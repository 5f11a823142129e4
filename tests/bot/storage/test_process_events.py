"""Events between processes, through a real Redis server."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import pytest
from fakes.model_server.gateway import PATIENCE_SECONDS, free_port
from fakes.storage.redis import running_redis

from bot.storage import process_events
from bot.storage.process_events import MEMORY, STREAM, ProcessEvents


class Heard:
    """A process that notes what it hears of one kind."""

    def __init__(self, events: ProcessEvents, kind: str) -> None:
        self.events = events
        self.heard: asyncio.Queue[Any] = asyncio.Queue()
        self._stack = ExitStack()
        self._stack.enter_context(events.handled(kind, self._note))

    async def _note(self, process: str, data: Any) -> None:
        self.heard.put_nowait((process, data))

    async def next(self) -> Any:
        return await asyncio.wait_for(self.heard.get(), PATIENCE_SECONDS)


@pytest.fixture
async def pair(redis: str, request: pytest.FixtureRequest) -> AsyncIterator[tuple[Heard, Heard]]:
    async with ProcessEvents(redis, "here") as here, ProcessEvents(redis, "there") as there:
        # Until both read the stream, nothing is heard.
        one, other = Heard(here, request.node.name), Heard(there, request.node.name)
        await asyncio.wait_for(here.ready.wait(), PATIENCE_SECONDS)
        await asyncio.wait_for(there.ready.wait(), PATIENCE_SECONDS)
        yield one, other


async def test_others_hear_an_event_once_and_the_sender_does_not(
    pair: tuple[Heard, Heard], request: pytest.FixtureRequest
) -> None:
    here, there = pair
    here.events.publish(request.node.name, {"a": 1})
    there.events.publish(request.node.name, {"a": 2})
    assert await there.next() == ("here", {"a": 1})
    assert await here.next() == ("there", {"a": 2})
    assert here.heard.empty()
    assert there.heard.empty()


async def test_of_events_with_one_key_the_newest_is_sent(
    pair: tuple[Heard, Heard], request: pytest.FixtureRequest
) -> None:
    here, there = pair
    for number in range(100):
        here.events.publish(request.node.name, number, key="counter")
    here.events.publish(request.node.name, lambda: None)
    here.events.publish(request.node.name, lambda: "last")
    assert [await there.next() for _ in range(2)] == [("here", 99), ("here", "last")]


async def test_an_event_that_cannot_be_handled_or_made_stops_no_other(
    pair: tuple[Heard, Heard], request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = pair

    async def fail(process: str, data: object) -> None:
        raise ZeroDivisionError

    def fail_to_make() -> object:
        raise ZeroDivisionError

    with there.events.handled("broken", fail):
        here.events.publish("broken")
        here.events.publish(request.node.name, fail_to_make)
        here.events.publish("nobody handles this")
        here.events.publish(request.node.name, "x" * (process_events.MAX_EVENT_BYTES + 1))
        here.events.publish(request.node.name, "still here")
        assert await there.next() == ("here", "still here")
    assert len([one for one in caplog.records if one.levelno == logging.ERROR]) == 2


async def test_the_stream_is_short_and_goes_away(
    pair: tuple[Heard, Heard], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_events, "MAX_ENTRIES", 50)
    here, there = pair
    for number in range(400):
        here.events.publish(request.node.name, number)
    while (await there.next())[1] != 399:
        pass
    async with here.events.connected() as client:
        # Redis removes a hundred at a time.
        assert await client.xlen(STREAM) < 200
        assert 0 < await client.ttl(STREAM) <= process_events.EXPIRY_SECONDS


async def test_what_happens_while_redis_is_away_is_told_afterwards(
    redis: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path_factory: Any
) -> None:
    monkeypatch.setattr(process_events, "RETRY_SECONDS", 0.05)
    port = free_port()
    async with (
        ProcessEvents(f"redis://127.0.0.1:{port}", "here") as here,
        ProcessEvents(f"redis://127.0.0.1:{port}", "there") as there,
    ):
        other = Heard(there, "news")
        await asyncio.sleep(0.3)
        with running_redis(tmp_path_factory.mktemp("late"), port):
            await asyncio.wait_for(there.ready.wait(), PATIENCE_SECONDS)
            here.publish("news", 1)
            assert await other.next() == ("here", 1)
        here.publish("news", 2)
        await asyncio.sleep(0.3)
        with running_redis(tmp_path_factory.mktemp("again"), port):
            assert await other.next() == ("here", 2)
    warnings = [one for one in caplog.records if "Redis cannot be reached" in one.message]
    assert 2 <= len(warnings) <= 4


async def test_without_redis_nothing_happens() -> None:
    async with ProcessEvents(MEMORY, "alone") as alone:
        alone.publish("news", 1)
        assert not alone.is_shared
