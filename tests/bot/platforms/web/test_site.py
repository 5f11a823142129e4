"""Limits of uploads in the web chat: time, size and owner."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from fakes.core.clock import run_in_virtual_time
from fakes.platforms.web_page import Visitor

from bot.platforms.web import site


async def stalling() -> AsyncIterator[bytes]:
    yield b"the beginning"
    await asyncio.Event().wait()


async def trickling() -> AsyncIterator[bytes]:
    while True:
        yield b"a little"
        await asyncio.sleep(0.01)


async def upload(ann: Visitor, data: bytes | AsyncIterator[bytes]) -> tuple[int, str]:
    headers = {"Origin": ann.url, "Accept-Language": "de"}
    async with ann.session.post(f"{ann.url}/files", data=data, headers=headers) as response:
        return response.status, await response.text()


@pytest.mark.parametrize(("limit", "sent"), [("UPLOAD_STALL_SECONDS", stalling), ("UPLOAD_TIMEOUT_SECONDS", trickling)])
async def test_a_stalled_upload_is_ended_to_let_others_in(
    ann: Visitor, monkeypatch: pytest.MonkeyPatch, limit: str, sent: Callable[[], AsyncIterator[bytes]]
) -> None:
    async with ann.page():
        with monkeypatch.context() as hasty:
            hasty.setattr(site, limit, 0.2)
            slow = await asyncio.gather(*(upload(ann, sent()) for _ in range(site.MAX_CONCURRENT_UPLOADS)))
        sentence = "Die Datei kam nicht rechtzeitig an. Versuch es noch einmal, oder mit einer kleineren."
        assert slow == [(408, sentence)] * site.MAX_CONCURRENT_UPLOADS
        status, _ = await upload(ann, b"all of it")
        assert status == 200


def test_an_upload_may_take_longer_than_it_may_stall() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        connection = BaseProtocol(loop)
        connection.connection_made(asyncio.Transport())
        body = StreamReader(connection, 1 << 16, loop=loop)
        reading = asyncio.create_task(site._read_upload(make_mocked_request("POST", "/files", payload=body)))
        for _ in range(3):
            body.feed_data(b"a little")
            await asyncio.sleep(site.UPLOAD_STALL_SECONDS - 1)
        body.feed_eof()
        assert await reading == b"a little" * 3

    run_in_virtual_time(scene())


async def test_a_file_has_a_limit_and_an_owner(ann: Visitor) -> None:
    headers = {"Origin": ann.url}
    async with ann.session.post(f"{ann.url}/files", data=b"x", headers=headers) as response:
        assert response.status == 401
    async with ann.page():
        data = bytes((8 << 20) + 1)
        async with ann.session.post(f"{ann.url}/files", data=data, headers=headers) as response:
            assert (response.status, await response.text()) == (413, "A file may have 8 MB; this one has more.")
