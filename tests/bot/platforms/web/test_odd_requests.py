"""Requests that no browser sends, over raw sockets: they are refused or ignored, and never an error of ours."""

import logging
from collections.abc import AsyncIterator

import pytest
from fakes.platforms.raw_client import raw_client
from pydantic import SecretStr

from bot.app import Bot
from bot.config.sections import WebSection
from bot.platforms.web import WebPlatform

NOT_UTF8 = [b"\xff", b"\xe9", b"\xed\xa0\x80", b"\xf0\x9f", b"a\xc3"]
CHAT = b"Host: 127.0.0.1"


async def answered(url: str, request: bytes) -> int:
    """Send a request and return the status of the response."""
    async with raw_client(url) as client:
        await client.send(request)
        return (await client.read_answer())[0]


def get(path: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"GET " + path + b" HTTP/1.1", *headers, b"Connection: close", b"", b""])


def post(path: bytes, origin: bytes, kind: bytes, body: bytes) -> bytes:
    headers = [
        CHAT,
        b"Origin: " + origin,
        b"Content-Type: " + kind,
        b"Content-Length: %d" % len(body),
        b"Connection: close",
    ]
    return b"\r\n".join([b"POST " + path + b" HTTP/1.1", *headers, b"", body])


@pytest.fixture
async def locked(bot: Bot, caplog: pytest.LogCaptureFixture) -> AsyncIterator[str]:
    section = WebSection(port=0, join_code=SecretStr("open sesame!"), proxies=("127.0.0.1",))
    async with WebPlatform(bot, section).serve() as url:
        with caplog.at_level(logging.ERROR):
            yield url
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("odd", NOT_UTF8)
async def test_headers_that_are_not_utf8_are_ignored_or_refused(locked: str, odd: bytes) -> None:
    for path, expected in ((b"/", 303), (b"/files/x", 401), (b"/join", 200), (b"/teacher", 200)):
        for name in (b"tempera_pass", b"tempera_visitor", b"other", odd):
            assert await answered(locked, get(path, CHAT, b"Cookie: " + name + b"=" + odd)) == expected
        for name in (b"Accept-Language", b"User-Agent", b"X-Forwarded-For", b"X-Forwarded-Proto"):
            assert await answered(locked, get(path, CHAT, name + b": " + odd)) == expected
        assert await answered(locked, get(path, b"Host: " + odd)) == 421
    body = b"code=guess"
    kind = b"application/x-www-form-urlencoded"
    for origin in (odd, b"http://127.0.0.1" + odd):
        assert await answered(locked, post(b"/join", origin, kind, body)) == 403


@pytest.mark.parametrize("odd", NOT_UTF8)
async def test_addresses_that_are_not_utf8_are_refused(locked: str, odd: bytes) -> None:
    for path in (b"/" + odd, b"/?" + odd, b"/join?to=" + odd, b"/dial?room=" + odd, b"/files/" + odd, b"/read/" + odd):
        assert await answered(locked, get(path, CHAT)) < 500
        quoted = path.replace(odd, b"".join(b"%%%02X" % byte for byte in odd))
        assert await answered(locked, get(quoted, CHAT)) < 500


@pytest.mark.parametrize(
    "kind",
    [
        b"application/x-www-form-urlencoded",
        b"application/x-www-form-urlencoded; charset=nonsense",
        b"application/x-www-form-urlencoded; charset=utf-16",
        b"multipart/form-data",
        b"multipart/form-data; boundary=x",
        b"application/json",
        b"\xff",
    ],
)
@pytest.mark.parametrize("body", [b"", b"code=%FF", b"code=\xff", b"--x\r\n\r\n\r\n--x--", b"&" * 9000], ids=len)
async def test_forms_that_no_page_of_ours_sends_are_wrong_codes(locked: str, kind: bytes, body: bytes) -> None:
    for path in (b"/join", b"/teacher"):
        assert await answered(locked, post(path, b"http://127.0.0.1", kind, body)) == 403


@pytest.mark.parametrize("kind", [b"application/json", b"application/json; charset=nonsense", b"text/plain"])
@pytest.mark.parametrize("path", [b"/settings/data", b"/settings/moderators", b"/dial"])
async def test_data_that_is_not_utf8_is_refused(
    url: str, kind: bytes, path: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    for body in (b"\xff\xfe", b'"\xed\xa0\x80"', b"[" * 5000):
        assert await answered(url, post(path, b"http://127.0.0.1", kind, body)) in (403, 422)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
