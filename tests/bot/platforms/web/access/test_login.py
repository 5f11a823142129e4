"""Access to the web chat: security headers, origin checks, the join code, and the address that it listens on."""

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import WSServerHandshakeError
from fakes.platforms.web_page import Visitor, visitor
from pydantic import SecretStr

from bot.app import Bot
from bot.config.sections import WebSection
from bot.core.errors import BotError, ConfigError
from bot.platforms.web import WebPlatform
from bot.platforms.web.access.login import KNOCK_PATH, PAGES
from bot.platforms.web.access.teachers import WebModerators
from bot.platforms.web.templates import static_url


async def test_every_response_has_the_security_headers(ann: Visitor) -> None:
    for path in ("/", f"{static_url()}/js/chat/app.js", "/nothing"):
        async with ann.session.get(ann.url + path) as response:
            policy = response.headers["Content-Security-Policy"]
            assert "script-src 'self';" in policy
            assert "frame-ancestors 'none'" in policy
            assert response.headers["Referrer-Policy"] == "same-origin"
            kept = "private, max-age=31536000, immutable" if path.endswith(".js") else "no-cache"
            assert response.headers["Cache-Control"] == kept
            assert not [name for name in response.headers if name.startswith("Access-Control")]
    async with ann.page():
        (cookie,) = ann.session.cookie_jar
        assert (cookie["httponly"], cookie["samesite"]) == (True, "Strict")


async def test_scripts_are_sent_compressed(ann: Visitor) -> None:
    address = f"{ann.url}{static_url()}/vendor/marked.esm.js"
    async with ann.session.get(address, headers={"Accept-Encoding": "gzip"}, auto_decompress=False) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        whole = gzip.decompress(await response.read())
    async with ann.session.get(address, headers={"Accept-Encoding": "identity"}) as response:
        assert await response.read() == whole
        tag = response.headers["ETag"]
    async with ann.session.get(address, headers={"If-None-Match": tag}) as response:
        assert response.status == 304


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {"Host": "evil.example"}, 421),
        ("GET", "/", {"Host": "evil.example:8080"}, 421),
        ("GET", "/", {"Host": ""}, 421),
        ("GET", "/", {"Host": "localhost:1"}, 200),
        ("POST", "/files", {}, 403),
        ("POST", "/files", {"Origin": "null"}, 403),
        ("POST", "/files", {"Origin": "http://127.0.0.1"}, 403),
        ("POST", "/join", {"Origin": "https://evil.example"}, 403),
        ("GET", "/socket", {"Upgrade": "websocket", "Origin": "https://evil.example"}, 403),
        ("GET", "/socket", {"Upgrade": "websocket"}, 403),
    ],
)
async def test_requests_by_other_websites_are_refused(
    method: str, path: str, headers: dict[str, str], status: int, ann: Visitor
) -> None:
    async with ann.session.request(method, ann.url + path, headers=headers) as response:
        assert response.status == status


@pytest.mark.parametrize(
    ("proxies", "scheme", "socket_scheme", "origin", "secure"),
    [
        (["127.0.0.1"], "https", "https", "http", True),
        (["127.0.0.1"], "https", "wss", "http", True),
        (["127.0.0.1"], "http", "ws", "http", False),
        (["127.0.0.1"], "", "", "http", False),
        ([], "https", "https", "http", False),
        ([], "http", "http", "https", True),
    ],
)
async def test_cookies_are_secure_behind_https(
    proxies: list[str], scheme: str, socket_scheme: str, origin: str, secure: bool, bot: Bot
) -> None:
    section = WebSection(port=0, join_code="open sesame!", proxies=proxies)
    async with WebPlatform(bot, section).serve() as url, visitor(url) as one, visitor(url) as other:
        headers = {"Origin": url.replace("http:", f"{origin}:"), "X-Forwarded-Proto": scheme}
        code = await WebModerators(bot.database).create_code()
        about = {"headers": headers, "data": {"code": code}, "allow_redirects": False}
        async with one.session.post(f"{url}/teacher", **about) as response:
            assert response.status == 303
        cookies = list(one.session.cookie_jar)
        # Over http the client keeps what is secure to itself.
        headers["Cookie"] = "; ".join(f"{cookie.key}={cookie.value}" for cookie in cookies)
        async with other.session.post(f"{url}/dial", json={"text": "hello"}, headers=headers) as response:
            assert response.status < 500
        cookies += other.session.cookie_jar
        other.session.cookie_jar.clear()
        async with other.session.ws_connect(f"{url}/socket", headers=headers | {"X-Forwarded-Proto": socket_scheme}):
            cookies += other.session.cookie_jar
    assert [cookie.key for cookie in cookies] == [
        "tempera_visitor",
        "tempera_pass",
        "tempera_visitor",
        "tempera_visitor",
    ]
    assert [bool(cookie["secure"]) for cookie in cookies] == [secure] * 4
    assert all(cookie["httponly"] for cookie in cookies)


@asynccontextmanager
async def behind_code(bot: Bot) -> AsyncIterator[Visitor]:
    section = WebSection(port=0, join_code=SecretStr("open sesame!"))
    async with WebPlatform(bot, section).serve() as url, visitor(url) as one:
        yield one


async def test_nothing_is_served_without_the_join_code(bot: Bot) -> None:
    async with behind_code(bot) as one:
        for path in (f"{static_url()}/js/chat/app.js", "/files/x", "/reading/explain/pets", "/socket"):
            assert (await one.get(path, headers={"Origin": one.url})).status == 401
        async with one.session.get(one.url) as response:
            assert response.url.path == "/join"
        with pytest.raises(WSServerHandshakeError):
            await one.session.ws_connect(f"{one.url}/socket", origin=one.url)


async def test_every_page_leads_to_the_form_of_the_join_code(bot: Bot) -> None:
    async with behind_code(bot) as one:
        for page in (*PAGES, KNOCK_PATH, "/read/explain", "/read/explain/lesson"):
            async with one.session.get(one.url + page) as response:
                assert (page, response.url.path) == (page, "/join")


@pytest.mark.parametrize(
    ("to", "leads_to"),
    [
        ("/", "/"),
        ("/dial?room=lesson-1&a=%25", "/dial?room=lesson-1&a=%25"),
        ("/read/explain/%D7%97?room=lesson-1", "/read/explain/%D7%97?room=lesson-1"),
        ("/nothing", "/"),
        ("/socket", "/"),
        ("//evil.example", "/"),
        ("//evil.example/dial", "/"),
        ("https://evil.example/dial", "/"),
        ("\\evil.example", "/"),
        ("/read/x\r\nSet-Cookie: a=b", "/"),
        ("", "/"),
    ],
)
async def test_the_join_form_leads_to_the_requested_page_of_the_chat_only(bot: Bot, to: str, leads_to: str) -> None:
    async with behind_code(bot) as one:
        about = {"params": {"to": to}, "headers": {"Origin": one.url}, "allow_redirects": False}
        async with one.session.post(f"{one.url}/join", data={"code": "open sesame!"}, **about) as response:
            assert (response.status, response.headers["Location"]) == (303, leads_to)
        async with one.session.get(f"{one.url}/join", **about) as response:
            assert (response.status, response.headers["Location"]) == (303, leads_to)


def test_it_does_not_listen_on_the_network_without_a_join_code(bot: Bot) -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5", "chat.example"):
        with pytest.raises(ConfigError, match="Set a join code in TEMPERA_WEB__JOIN_CODE"):
            WebPlatform(bot, WebSection(host=host))


async def test_a_port_that_is_taken_is_reported(bot: Bot, url: str) -> None:
    port = int(url.rpartition(":")[2])
    with pytest.raises(BotError, match=f"Port {port} on 127.0.0.1 is taken by another program"):
        await WebPlatform(bot, WebSection(port=port)).run()
