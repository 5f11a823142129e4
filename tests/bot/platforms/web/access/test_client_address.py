"""Addresses of visitors behind proxies, over real sockets."""

from ipaddress import ip_network

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from bot.platforms.web.access.client_address import TrustedProxies

CHAIN = ("X-Forwarded-For", "203.0.113.9, 198.51.100.7, 10.0.0.2")
HTTPS = ("X-Forwarded-Proto", "https")
ALL = ("127.0.0.1", "10.0.0.0/8")
FIRST, SECOND = ("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-For", "10.0.0.2")


async def seen(proxies: tuple[str, ...], *requests: list[tuple[str, str]]) -> list[str]:
    """Return the address and the scheme that a handler sees for the last of these requests from 127.0.0.1."""

    async def tell(request: web.Request) -> web.Response:
        return web.json_response([request.remote, request.scheme, request.match_info["rest"]])

    trusted = TrustedProxies([ip_network(proxy) for proxy in proxies])
    app = web.Application(middlewares=[trusted.resolve])
    app.router.add_get("/{rest}", tell)
    async with TestServer(app) as server, ClientSession() as session:
        for headers in requests:
            async with session.get(server.make_url("/page"), headers=headers) as response:
                address, scheme, rest = await response.json()
    assert rest == "page"
    return [address, scheme]


@pytest.mark.parametrize(
    ("proxies", "headers", "address", "scheme"),
    [
        # Headers of strangers are ignored.
        ((), [CHAIN, HTTPS], "127.0.0.1", "http"),
        (("192.0.2.1",), [CHAIN, HTTPS], "127.0.0.1", "http"),
        # The last address that is no proxy counts, and repeated headers are one list.
        (ALL, [CHAIN, HTTPS], "198.51.100.7", "https"),
        (("127.0.0.1",), [CHAIN], "10.0.0.2", "http"),
        (ALL, [FIRST, SECOND], "198.51.100.7", "http"),
    ],
)
async def test_the_headers_of_trusted_proxies_tell_address_and_scheme(
    proxies: tuple[str, ...], headers: list[tuple[str, str]], address: str, scheme: str
) -> None:
    assert await seen(proxies, headers) == [address, scheme]


@pytest.mark.parametrize(
    ("part", "address"),
    [
        ("203.0.113.9:52044", "203.0.113.9"),
        *((part, "2001:db8::1") for part in ("[2001:db8::1]:443", "[2001:db8::1]", "2001:db8::1")),
        *((part, "127.0.0.1") for part in ("", "unknown", "1.2.3", "198.51.100.7, nobody")),
    ],
)
async def test_a_proxy_may_add_ports_and_brackets_and_else_its_own_address_counts(part: str, address: str) -> None:
    assert await seen(("127.0.0.1",), [("X-Forwarded-For", part), ("X-Forwarded-Proto", "ftp")]) == [address, "http"]


@pytest.mark.parametrize(("proxies", "warnings"), [((), 1), (("127.0.0.1",), 0)])
async def test_a_proxy_on_this_machine_that_is_not_named_is_reported_once(
    proxies: tuple[str, ...], warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    await seen(proxies, [])
    assert caplog.messages == []
    await seen(proxies, [CHAIN], [CHAIN])
    assert sum("TEMPERA_WEB__PROXIES" in one for one in caplog.messages) == warnings
