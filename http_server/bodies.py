"""Bodies of requests that arrive too slowly."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp import web

WINDOW_SECONDS = 15.0
MIN_BYTES_PER_SECOND = 4 << 10
"""A body must come at this pace in each window of time. A phone with a bad connection is quicker."""


class SlowBody(Exception):
    """The body of a request arrived too slowly."""


def _slowest() -> float:
    return MIN_BYTES_PER_SECOND


@asynccontextmanager
async def steady_body(
    request: web.BaseRequest, window: float = WINDOW_SECONDS, pace: Callable[[], float] = _slowest
) -> AsyncIterator[None]:
    """Raise SlowBody in the context if the body comes more slowly than `pace`, in bytes a second, over a `window`.

    Once the body is complete, the context may last for as long as it takes. It must read the body without long pauses,
    since a client cannot send on while nobody reads.
    """
    body, loop = request.content, asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def check(received_before: int) -> None:
        nonlocal timer
        if body.is_eof():
            return
        if body.total_bytes - received_before < pace() * window:
            deadline.reschedule(loop.time())
            return
        timer = loop.call_later(window, check, body.total_bytes)

    timer = loop.call_later(window, check, body.total_bytes)
    try:
        async with asyncio.timeout(None) as deadline:
            try:
                yield
            finally:
                timer.cancel()
    except TimeoutError:
        if deadline.expired():
            raise SlowBody from None
        raise
