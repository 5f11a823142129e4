import socket

import pytest
from aiohttp import web
from fakes.model_server.broken_api import crooked
from fakes.model_server.gateway import PATIENCE_SECONDS

from bot.platforms.listening import MAX_ANSWER_BYTES, check_port


async def check(host: str, port: int) -> tuple[bool, str]:
    return await check_port(
        "The chat", "TEMPERA_WEB__", host, port, "/", lambda page: b"ours" in page, PATIENCE_SECONDS
    )


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("localhost", "localhost"), ("", "")]
)
async def test_a_free_port(host: str, shown: str) -> None:
    if host == "::1" and not socket.has_ipv6:
        pytest.skip("This machine has no IPv6.")
    assert await check(host, 0) == (True, f"The chat can listen on http://{shown}:0.")


async def test_a_host_without_an_address() -> None:
    good, text = await check("nothing.invalid", 0)
    assert not good
    assert text.startswith("This machine has no address nothing.invalid. Set one that it has in TEMPERA_WEB__HOST")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_a_program_that_never_ends_its_answer_is_read_to_a_limit(host: str) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * MAX_ANSWER_BYTES)

    async with crooked(endless, "/") as url:
        good, text = await check(host, int(url.rpartition(":")[2]))
    assert not good
    assert text.endswith(f"What answers at {url} is not Tempera.")
