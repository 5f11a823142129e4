"""Uploads of many at once: their size, their owner, and that slow ones hold nobody up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.core.clock import run_in_virtual_time
from fakes.platforms.raw_client import RawClient, raw_client, request
from fakes.platforms.request_body import make_request, send
from fakes.platforms.web_page import Visitor

from bot.app import Bot
from bot.config.sections import WebSection
from bot.platforms.web import WebPlatform
from bot.platforms.web.access.limits import WEB_LIMITS, Capacity
from bot.platforms.web.chat.files import Files
from bot.platforms.web.chat.shared_uploads import SharedUploads
from bot.platforms.web.pages.uploads import BUSY_BYTES_PER_SECOND, SLOW_BYTES_PER_SECOND, UploadPage
from bot.storage.process_events import MEMORY, ProcessEvents
from http_server.bodies import SlowBody

ANN, BEN, CAT, DAN = (letter * 43 for letter in "abcd")
SCHOOL, HOME = "198.51.100.7", "203.0.113.9"
FULL = "Im Moment werden zu viele Dateien gesendet; versuch es gleich noch einmal."
SLOW = "Die Datei kam nicht rechtzeitig an. Versuch es noch einmal, oder mit einer kleineren."


class Senders:
    """Visitors at different addresses, which a trusted proxy tells."""

    def __init__(self, url: str) -> None:
        self.url = url

    @asynccontextmanager
    async def upload(self, secret: str, address: str, sent: bytes, size: int = 0) -> AsyncIterator[RawClient]:
        """Begin an upload of `size` bytes, or of all that is `sent` now."""
        about = {"Cookie": f"tempera_visitor={secret}", "X_Forwarded_For": address, "Accept_Language": "de"}
        async with raw_client(self.url) as client:
            length = str(size or len(sent))
            await client.send(request(self.url, "POST", "/files", Content_Length=length, **about) + sent)
            yield client

    async def answer(self, secret: str, address: str, data: bytes = b"all of it") -> tuple[int, str]:
        """Upload a file and return the answer."""
        async with self.upload(secret, address, data) as client:
            return await client.read_answer()


@asynccontextmanager
async def senders(bot: Bot, **limits: object) -> AsyncIterator[Senders]:
    section = WebSection(port=0, proxies=["127.0.0.1"])
    async with WebPlatform(bot, section, limits=replace(WEB_LIMITS, **limits)).serve() as url:
        yield Senders(url)


@pytest.mark.parametrize(
    ("capacity", "slow", "others"),
    [
        (Capacity(3, 3, 2), (ANN, ANN, ANN), ((BEN, SCHOOL), (CAT, HOME))),
        (Capacity(3, 2, 1), (ANN, BEN, CAT), ((DAN, HOME),)),
    ],
)
async def test_slow_uploads_of_one_visitor_or_one_address_hold_no_others_up(
    bot: Bot, capacity: Capacity, slow: tuple[str, ...], others: tuple[tuple[str, str], ...]
) -> None:
    async with senders(bot, uploads=capacity) as many, AsyncExitStack() as begun:
        for one in slow:
            await begun.enter_async_context(many.upload(one, SCHOOL, b"s", size=9))
        for other, address in others:
            assert (await many.answer(other, address))[0] == 200


async def test_an_upload_waits_for_its_turn(bot: Bot) -> None:
    async with (
        senders(bot, uploads=Capacity(3, 3, 1)) as many,
        many.upload(ANN, SCHOOL, b"fir", size=5) as first,
        many.upload(ANN, SCHOOL, b"second") as second,
    ):
        waiting = asyncio.create_task(second.read_answer())
        assert (await many.answer(BEN, HOME))[0] == 200
        assert not waiting.done()
        await first.send(b"st")
        assert [(await first.read_answer())[0], (await waiting)[0]] == [200, 200]


async def test_only_so_many_uploads_of_a_visitor_wait(bot: Bot) -> None:
    async with (
        senders(bot, uploads=Capacity(3, 3, 1), waiting_uploads=Capacity(9, 9, 2)) as many,
        many.upload(ANN, SCHOOL, b"s", size=9),
        many.upload(ANN, SCHOOL, b"s", size=9),
    ):
        assert await many.answer(ANN, SCHOOL) == (429, FULL)
        assert (await many.answer(BEN, SCHOOL))[0] == 200


async def test_an_upload_that_stops_is_ended(bot: Bot) -> None:
    async with senders(bot, upload_seconds=0.3) as many, many.upload(ANN, SCHOOL, b"the beginning", size=99) as slow:
        assert await slow.read_answer() == (408, SLOW)
        assert (await many.answer(ANN, SCHOOL))[0] == 200


@pytest.mark.parametrize(("places", "arrives"), [(1, False), (2, True)])
def test_an_upload_must_be_quicker_while_others_may_wait(places: int, arrives: bool) -> None:
    async def scene() -> bool:
        shared = SharedUploads(ProcessEvents(MEMORY, ""))
        services: Any = SimpleNamespace(uploads=Files(), shared_uploads=shared)
        page = UploadPage(services, replace(WEB_LIMITS, uploads=Capacity(places, places, 1)))
        asked, body = make_request()
        pace = (SLOW_BYTES_PER_SECOND + BUSY_BYTES_PER_SECOND) // 2
        sending = asyncio.create_task(send(body, 100, pace))
        sending.add_done_callback(lambda _: body.feed_eof())
        with suppress(SlowBody):
            return len(await page._read_in_turn(asked, ANN)) == 100 * pace
        sending.cancel()
        return False

    assert run_in_virtual_time(scene()) is arrives


async def test_a_file_has_a_limit_and_an_owner(ann: Visitor) -> None:
    headers = {"Origin": ann.url}
    async with ann.session.post(f"{ann.url}/files", data=b"x", headers=headers) as response:
        assert response.status == 401
    async with ann.page():
        data = bytes((8 << 20) + 1)
        async with ann.session.post(f"{ann.url}/files", data=data, headers=headers) as response:
            assert (response.status, await response.text()) == (413, "A file may have 8 MB; this one has more.")
