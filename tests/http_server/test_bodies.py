"""Bodies that come quickly or slowly, in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from fakes.core.clock import run_in_virtual_time
from fakes.platforms.request_body import make_request, send

from http_server.bodies import SlowBody, steady_body

WINDOW = 10.0


def in_virtual_time(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run_in_virtual_time(scene())


@pytest.mark.parametrize(("pace", "arrives"), [(99, False), (101, True)])
def test_a_body_must_come_at_its_pace_in_each_window(pace: int, arrives: bool) -> None:
    @in_virtual_time
    async def scene() -> None:
        request, body = make_request()

        async def send_all() -> None:
            await send(body, 15, 5000)
            await send(body, 40, pace)
            body.feed_eof()

        sending = asyncio.create_task(send_all())
        size = 0
        with suppress(SlowBody):
            async with steady_body(request, WINDOW, lambda: 100):
                size = len(await request.content.read())
        assert (size == 15 * 5000 + 40 * pace) is arrives
        sending.cancel()


def test_nothing_is_measured_once_the_body_is_complete() -> None:
    @in_virtual_time
    async def scene() -> None:
        request, body = make_request()
        body.feed_data(b"all of it")
        body.feed_eof()
        async with steady_body(request, WINDOW):
            await asyncio.sleep(10 * WINDOW)
        await asyncio.sleep(10 * WINDOW)


def test_a_timeout_of_the_handler_itself_is_not_a_slow_body() -> None:
    @in_virtual_time
    async def scene() -> None:
        request, _ = make_request()
        with pytest.raises(TimeoutError):
            async with steady_body(request, WINDOW), asyncio.timeout(1):
                await request.content.read()
