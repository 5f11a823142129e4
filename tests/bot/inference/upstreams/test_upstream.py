"""Connections to a server by others, on raw sockets."""

import asyncio
import json

import pytest
from aiohttp import web
from fakes.model_server.model_api import FakeModels

from bot.core.errors import ModelUnavailable
from bot.inference.client import ModelClient
from bot.inference.upstreams.upstream import Address, Upstream

VECTOR = json.dumps({"data": [{"index": 0, "embedding": [1.0]}]}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(VECTOR), VECTOR)


@pytest.mark.parametrize(("answered", "works"), [((1, 9), True), ((1, 0, 9), False)])
async def test_what_finds_its_connection_closed_is_sent_once_more(answered: tuple[int, ...], works: bool) -> None:
    """`answered` is how many requests each connection answers before it is closed at the next one."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for _ in range(answered[connections - 1]):
            await reader.readuntil(b"}")
            writer.write(ANSWER)
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    upstream = Upstream(Address(url=url, base=url, name="other"))
    async with server, ModelClient.over([upstream]) as client:
        assert await client.embed(["a"], model="m") == [[1.0]]
        if works:
            assert await client.embed(["b"], model="m") == [[1.0]]
        else:
            with pytest.raises(ModelUnavailable):
                await client.embed(["b"], model="m")
    assert connections == 2


async def test_one_list_of_models_serves_all_that_waited_for_it() -> None:
    asked = 0

    class Counted(FakeModels):
        async def _models(self, request: web.Request) -> web.Response:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0.05)
            return await super()._models(request)

    async with Counted() as models:
        upstream = Upstream(Address(url=models.url, base=f"{models.url}/v1", name=""))
        async with ModelClient.over([upstream]):
            first, *others = await asyncio.gather(*(upstream.list_models() for _ in range(20)))
            # The first one asks, and those that came meanwhile wait for an answer to what was asked after them.
            assert asked == 2
            assert first
            assert all(one == first for one in others)
            await upstream.list_models()
            assert asked == 3
