"""A server on a real socket, and clients that would hold it up."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace

import pytest
from aiohttp import web
from fakes.model_server.gateway import eventually
from fakes.platforms.raw_client import RawClient, raw_client, request

from http_server.listening import Limits, listening

QUICK = Limits(request_seconds=0.3, body_seconds=0.3, stall_seconds=0.5)


class Echo:
    """Answers with the body of a request, or with more than the buffers hold; knows how its requests ended."""

    def __init__(self) -> None:
        self.ended: asyncio.Queue[str] = asyncio.Queue()

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.post("/echo", self.echo), web.post("/own", self.echo), web.get("/flood", self.flood)])
        return app

    async def echo(self, asked: web.Request) -> web.Response:
        return web.Response(body=await asked.read())

    async def flood(self, asked: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(asked)
        try:
            while True:
                await answer.write(bytes(1 << 20))
        except ConnectionError:
            self.ended.put_nowait("connection lost")
            raise


@asynccontextmanager
async def serving(limits: Limits, **settings: object) -> AsyncIterator[tuple[Echo, str]]:
    echo = Echo()
    async with listening(echo.app(), "127.0.0.1", 0, limits=limits, **settings) as port:
        yield echo, f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("sent", [b"", b"POST /echo HTTP/1.1\r\nHost: a\r\nX-A: "])
async def test_a_connection_without_a_complete_request_is_closed(sent: bytes) -> None:
    async with serving(QUICK) as (_, url), raw_client(url) as slow:
        await slow.send(sent)
        assert await slow.read_to_end() == b""


async def test_a_second_request_has_to_be_complete_in_time_as_well() -> None:
    async with serving(QUICK) as (_, url), raw_client(url) as slow:
        await slow.send(request(url, "POST", "/echo", b"first") + b"POST /echo HTTP/1.1\r\n")
        answer = await slow.read_to_end()
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"first")


async def test_a_body_that_stops_or_trickles_is_refused() -> None:
    async def trickle(client: RawClient) -> None:
        while await asyncio.sleep(0.02, True):
            await client.send(b".")

    async with serving(QUICK) as (_, url), raw_client(url) as stopped, raw_client(url) as trickling:
        for client in (stopped, trickling):
            await client.send(request(url, "POST", "/echo", Content_Length="100000"))
        more = asyncio.create_task(trickle(trickling))
        for client in (stopped, trickling):
            assert (await client.read()).startswith(b"HTTP/1.1 408")
        more.cancel()
        await asyncio.gather(more, return_exceptions=True)


async def test_an_exempt_path_limits_its_bodies_itself() -> None:
    async with serving(QUICK, exempt=("/own",)) as (_, url), raw_client(url) as first, raw_client(url) as second:
        await first.send(request(url, "POST", "/own", Content_Length="2"))
        await second.send(request(url, "POST", "/echo", Content_Length="2"))
        assert (await second.read()).startswith(b"HTTP/1.1 408")
        await first.send(b"ok")
        assert (await first.read()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("signs", [False, True])
async def test_a_client_that_reads_nothing_is_disconnected(signs: bool) -> None:
    async with serving(QUICK) as (echo, url), raw_client(url) as deaf, asyncio.TaskGroup() as tasks:
        await deaf.send(request(url, "GET", "/flood"))
        if signs:
            tasks.create_task(deaf.give_signs_of_life())
        async with asyncio.timeout(60):
            assert await echo.ended.get() == "connection lost"


async def test_a_client_that_reads_slowly_is_not_disconnected() -> None:
    # Its pauses are longer than the limit together, and each is much shorter, also on a slow machine.
    patient = replace(QUICK, stall_seconds=3)
    async with serving(patient) as (echo, url), raw_client(url) as slow:
        await slow.send(request(url, "GET", "/flood"))
        for _ in range(120):
            await asyncio.sleep(patient.stall_seconds / 100)
            assert await slow.read()
        assert echo.ended.empty()


async def test_what_strangers_send_and_how_they_leave_is_no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Limits()) as (_, url):
        for malformed in (
            b"GET / HTTP/9\r\n\r\n",
            b"POST /echo HTTP/1.1\r\nno header\r\n\r\n",
            b"\0" * 99 + b"\r\n\r\n",
        ):
            async with raw_client(url) as client:
                await client.send(malformed)
                assert (await client.read_to_end()).startswith(b"HTTP/1.0 400")
        for _ in range(3):
            async with raw_client(url) as client:
                await client.send(request(url, "GET", "/flood"))
                assert await client.read()
    assert [one.getMessage() for one in caplog.records if one.exc_info] == []


@pytest.mark.parametrize("headers", [b"Content-Encoding: gzip\r\n", b"Content-Encoding: deflate\r\n"])
async def test_a_body_that_cannot_be_decoded_is_refused_and_no_error_in_the_log(
    caplog: pytest.LogCaptureFixture, headers: bytes
) -> None:
    async with serving(QUICK) as (_, url), raw_client(url) as client:
        await client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n" + headers + b"\r\nxxxxx")
        assert (await client.read_to_end()).startswith(b"HTTP/1.1 400")
    assert not caplog.records


async def is_served(client: RawClient, url: str) -> bool:
    """Return whether the server answers on this connection, and leave it open."""
    with suppress(ConnectionError):
        await client.send(request(url, "POST", "/echo"))
        return (await client.read()).startswith(b"HTTP/1.1 200")
    return False


async def test_there_is_a_most_of_connections_and_a_closed_one_makes_room() -> None:
    async with serving(Limits(connections=3)) as (_, url), AsyncExitStack() as opened:
        async with raw_client(url) as first:
            others = [await opened.enter_async_context(raw_client(url)) for _ in range(3)]
            assert [await is_served(one, url) for one in (first, *others)] == [True, True, True, False]

        async def is_another_served() -> bool:
            return await is_served(await opened.enter_async_context(raw_client(url)), url)

        await eventually(is_another_served)


def test_as_many_files_are_allowed_as_there_may_be_connections() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != before[1] < 8192:
        pytest.skip("this system allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    try:

        async def scene() -> int:
            async with serving(Limits()):
                return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

        assert asyncio.run(scene()) > 6000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
