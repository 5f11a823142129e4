"""Nobody can lock others out of the web chat: limits of open pages, of their messages, and of time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest
from fakes.model_server.gateway import eventually
from fakes.platforms.raw_client import frame, raw_client, request, upgrade
from fakes.platforms.web_page import visitor

from bot.app import Bot
from bot.config.sections import WebSection
from bot.platforms.web import WebPlatform
from bot.platforms.web.access.limits import WEB_LIMITS, Capacity, MessageRate, WebLimits
from http_server.listening import Limits

ANN, BEN, CAT, DAN = (letter * 43 for letter in "abcd")
SCHOOL, HOME, CAFE = "198.51.100.7", "203.0.113.9", "2001:db8::7"
QUICK = replace(WEB_LIMITS, connections=Limits(request_seconds=0.3, body_seconds=0.3, stall_seconds=0.5))
MINE = "Du hast zu viele Seiten dieses Chats offen; schließ zuerst eine."
JOIN_CODE = "open-open-open"
TOO_FAST = "You are sending too much at once; wait a moment."
OURS = "Zu viele Seiten sind offen; versuch es gleich noch einmal."


@asynccontextmanager
async def chat(bot: Bot, limits: WebLimits = WEB_LIMITS, **section: object) -> AsyncIterator[str]:
    async with WebPlatform(bot, WebSection(port=0, **section), limits=limits).serve() as url:
        yield url


def cookie(secret: str) -> str:
    return f"tempera_visitor={secret}"


class Crowd:
    """Pages of visitors at different addresses, which a trusted proxy tells. They stay open until the test ends."""

    def __init__(self, url: str, opened: AsyncExitStack) -> None:
        self.url = url
        self.opened = opened

    async def open(self, secret: str, address: str) -> tuple[int, str]:
        """Open a page. Returns the status, and the sentence with which it is refused."""
        client = await self.opened.enter_async_context(raw_client(self.url))
        about = {"Cookie": cookie(secret)} if secret else {}
        await client.send(upgrade(self.url, X_Forwarded_For=address, Accept_Language="de", **about))
        status, text = await client.read_answer()
        return status, "" if status == 101 else text


@asynccontextmanager
async def crowd(bot: Bot, limits: WebLimits) -> AsyncIterator[Crowd]:
    async with chat(bot, limits, proxies=["127.0.0.1"]) as url, AsyncExitStack() as opened:
        yield Crowd(url, opened)


async def test_neither_a_visitor_nor_an_address_can_take_all_pages(bot: Bot) -> None:
    async with crowd(bot, replace(WEB_LIMITS, pages=Capacity(5, 3, 2))) as many:
        assert [await many.open(ANN, SCHOOL) for _ in range(3)] == [(101, ""), (101, ""), (429, MINE)]
        assert await many.open(ANN, HOME) == (429, MINE)
        assert await many.open(BEN, SCHOOL) == (101, "")
        assert await many.open(CAT, SCHOOL) == (503, OURS)
        assert await many.open(CAT, HOME) == (101, "")
        assert await many.open(DAN, CAFE) == (101, "")
        assert await many.open(BEN, CAFE) == (503, OURS)


async def test_visitors_without_a_cookie_count_by_their_address(bot: Bot) -> None:
    async with crowd(bot, replace(WEB_LIMITS, pages=Capacity(5, 3, 2))) as many:
        assert [(await many.open("", CAFE + str(number)))[0] for number in range(4)] == [101, 101, 101, 503]
        assert (await many.open("", SCHOOL))[0] == 101


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: "])
async def test_a_request_without_an_end_to_its_headers_is_closed(bot: Bot, sent: bytes) -> None:
    async with chat(bot, QUICK) as url, raw_client(url) as slow:
        await slow.send(sent)
        assert await slow.read_to_end() == b""


@pytest.mark.parametrize("path", ["/join", "/teacher", "/settings/data"])
async def test_a_form_without_its_end_is_refused(bot: Bot, path: str) -> None:
    async with chat(bot, QUICK, join_code=JOIN_CODE) as url, visitor(url) as ann:
        async with ann.session.post(f"{url}/join", data={"code": JOIN_CODE}, headers={"Origin": url}):
            passed = "; ".join(f"{one.key}={one.value}" for one in ann.session.cookie_jar)
        asked = {"Content_Type": "application/x-www-form-urlencoded", "Content_Length": "100", "Cookie": passed}
        # Only now, since a connection that sends nothing is closed soon.
        async with raw_client(url) as slow:
            await slow.send(request(url, "POST", path, **asked) + b"code=")
            assert (await slow.read_answer())[0] == 408


async def test_a_page_that_reads_nothing_is_disconnected(bot: Bot, caplog: pytest.LogCaptureFixture) -> None:
    limits = replace(QUICK, pages=Capacity(5, 3, 1), messages=MessageRate(1_000_000, 1_000_000))
    async with crowd(bot, limits) as many, raw_client(many.url) as deaf:
        await deaf.send(upgrade(many.url, Cookie=cookie(ANN)))
        assert (await deaf.read_answer())[0] == 101
        assert await many.open(ANN, SCHOOL) == (429, MINE)
        enter = frame(b'{"type": "enter", "room": ""}')
        # The whole of a room for each, which is more than the buffers of the system hold.
        await deaf.send(enter * 2000)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(deaf.give_signs_of_life())

            async def has_room() -> bool:
                return (await many.open(ANN, SCHOOL))[0] == 101

            await eventually(has_room)
    assert [one.getMessage() for one in caplog.records if one.exc_info] == []


async def test_the_chat_ends_though_a_page_reads_nothing(bot: Bot) -> None:
    limits = replace(WEB_LIMITS, messages=MessageRate(1_000_000, 1_000_000), connections=Limits(stall_seconds=3600))
    async with AsyncExitStack() as opened, asyncio.timeout(60), chat(bot, limits) as url:
        deaf = await opened.enter_async_context(raw_client(url))
        await deaf.send(upgrade(url))
        assert (await deaf.read_answer())[0] == 101
        await deaf.send_until_stuck(frame(b'{"type": "enter", "room": ""}') * 500)


async def test_a_visitor_who_sends_too_much_is_told_so_on_all_pages(bot: Bot) -> None:
    limits = replace(WEB_LIMITS, messages=MessageRate(20, 0.01))
    async with (
        chat(bot, limits) as url,
        visitor(url) as ann,
        visitor(url) as ben,
        ann.page() as page,
        ann.page() as second,
        ben.page() as other,
    ):
        refs = [await page.send("tokens", exchange=7) for _ in range(15)]
        told = [(await page.until("refused", lambda one, ref=ref: one["ref"] == ref))["text"] for ref in refs]
        assert (told[0], told[-1]) == ("This has expired: it is no longer stored.", TOO_FAST)
        assert await second.refused("tokens", exchange=7) == TOO_FAST
        assert await other.refused("tokens", exchange=7) == told[0]


@pytest.mark.parametrize("opcode", [1, 2, 9])
async def test_a_page_that_does_not_stop_sending_is_closed(bot: Bot, opcode: int) -> None:
    async with chat(bot, replace(WEB_LIMITS, messages=MessageRate(50, 1))) as url, raw_client(url) as noisy:
        await noisy.send(upgrade(url))
        assert (await noisy.read_answer())[0] == 101
        await noisy.send(frame(b'{"type": "typing"}', opcode) * 150)
        # The code of a violated policy, and the reason.
        assert b"\x03\xf0too many messages" in await noisy.read_to_end()


async def test_pings_are_answered(bot: Bot) -> None:
    async with chat(bot) as url, raw_client(url) as client:
        await client.send(upgrade(url) + frame(b"are you there", opcode=9))
        await client.read_until(b"\x8a\x0dare you there")


async def test_opening_pages_again_and_again_is_too_much(bot: Bot) -> None:
    async with crowd(bot, replace(WEB_LIMITS, messages=MessageRate(20, 0.01))) as many:
        opened = [await many.open(ANN, SCHOOL) for _ in range(5)]
        assert opened[0] == (101, "")
        assert opened[-1] == (429, "Du sendest zu viel auf einmal; warte einen Moment.")
        assert await many.open(BEN, SCHOOL) == (101, "")
