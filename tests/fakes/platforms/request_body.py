"""A request whose body a test sends piece by piece, in the time of its loop."""

import asyncio

from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request


def make_request() -> tuple[web.Request, StreamReader]:
    """Return a request and its body."""
    loop = asyncio.get_running_loop()
    connection = BaseProtocol(loop)
    connection.connection_made(asyncio.Transport())
    body = StreamReader(connection, 1 << 16, loop=loop)
    return make_mocked_request("POST", "/", payload=body), body


async def send(body: StreamReader, seconds: int, bytes_per_second: int) -> None:
    """Let a part of the body arrive in each of so many seconds."""
    for _ in range(seconds):
        await asyncio.sleep(1)
        body.feed_data(bytes(bytes_per_second))
