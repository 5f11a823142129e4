"""Addresses of visitors behind proxies, over real sockets."""

from ipaddress import ip_network

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from bot.platforms.web.access.client_address import TrustedProxies
from http_server.addresses import network_of


async def seen(headers: list[tuple[str, str]], *proxies: str) -> list[str]:
    """Return the address and the scheme that a handler sees for a request from 127.0.0.1."""

    async def tell(request: web.Request) -> web.Response:
        return web.json_response([request.remote, request.scheme, request.match_info["rest"]])

    trusted = TrustedProxies([ip_network(proxy) for proxy in proxies])
    app = web.Application(middlewares=[trusted.resolve])
    app.router.add_get("/{rest}", tell)
    async with (
        TestServer(app) as server,
        ClientSession() as session,
        session.get(server.make_url("/page"), headers=headers) as response,
    ):
        address, scheme, rest = await response.json()
    assert rest == "page"
    return [address, scheme]


CHAIN = ("X-Forwarded-For", "203.0.113.9, 198.51.100.7, 10.0.0.2")
HTTPS = ("X-Forwarded-Proto", "https")


@pytest.mark.parametrize("part", ["203.0.113.9:52044", "[2001:db8::1]:443", "[2001:db8::1]", "2001:db8::1"])
async def test_a_proxy_may_add_ports_and_brackets(part: str) -> None:
    address = "203.0.113.9" if part.startswith("2") and "." in part else "2001:db8::1"
    assert await seen([("X-Forwarded-For", part)], "127.0.0.1") == [address, "http"]


async def test_headers_of_strangers_are_ignored() -> None:
    assert await seen([CHAIN, HTTPS]) == ["127.0.0.1", "http"]
    assert await seen([CHAIN, HTTPS], "192.0.2.1") == ["127.0.0.1", "http"]


async def test_the_operator_is_told_of_a_proxy_that_is_not_configured(caplog: pytest.LogCaptureFixture) -> None:
    await seen([])
    await seen([CHAIN], "127.0.0.1")
    assert caplog.messages == []
    await seen([CHAIN])
    [warning] = caplog.messages
    assert warning.startswith("Requests come through a proxy that TEMPERA_WEB__PROXIES does not name")


async def test_the_last_address_that_is_no_proxy_counts() -> None:
    assert await seen([CHAIN, HTTPS], "127.0.0.1", "10.0.0.0/8") == ["198.51.100.7", "https"]
    assert await seen([CHAIN], "127.0.0.1") == ["10.0.0.2", "http"]


async def test_repeated_headers_are_one_list() -> None:
    first, second = ("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-For", "10.0.0.2")
    assert await seen([first, second], "127.0.0.1", "10.0.0.0/8") == ["198.51.100.7", "http"]


@pytest.mark.parametrize("value", ["", "unknown", "1.2.3", "198.51.100.7, nobody"])
async def test_what_is_no_address_leaves_that_of_the_proxy(value: str) -> None:
    assert await seen([("X-Forwarded-For", value), ("X-Forwarded-Proto", "ftp")], "127.0.0.1") == ["127.0.0.1", "http"]


def test_a_network_of_one_user_counts_as_one_address() -> None:
    assert network_of("2001:db8:1:2::3") == network_of("2001:db8:1:2:ffff::9") != network_of("2001:db8:1:3::3")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") != network_of("192.0.2.2")


@pytest.mark.parametrize(("proxies", "warnings"), [((), 1), (("127.0.0.1",), 0)])
async def test_a_proxy_on_this_machine_that_is_not_named_is_reported_once(
    proxies: tuple[str, ...], warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    trusted = TrustedProxies([ip_network(proxy) for proxy in proxies])

    async def nothing(request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application(middlewares=[trusted.resolve])
    app.router.add_get("/", nothing)
    async with TestServer(app) as server, ClientSession() as session:
        for headers in ([], [CHAIN], [CHAIN]):
            async with session.get(server.make_url("/"), headers=headers):
                pass
    assert sum("TEMPERA_WEB__PROXIES" in one.getMessage() for one in caplog.records) == warnings
