"""What the routes of the web chat do with those who keep them busy."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from fakes.page import Visitor

from bot.platforms.web import site


async def test_a_file_that_does_not_arrive_gives_its_place_to_others(
    ann: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "UPLOAD_SECONDS", 0.2)
    arrived = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"the beginning"
        await arrived.wait()

    async def upload(data: bytes | AsyncIterator[bytes]) -> tuple[int, str]:
        headers = {"Origin": ann.url, "Accept-Language": "de"}
        async with ann.session.post(f"{ann.url}/files", data=data, headers=headers) as response:
            return response.status, await response.text()

    async with ann.page():
        slow = await asyncio.gather(*(upload(slowly()) for _ in range(site.UPLOADS_AT_ONCE)))
        assert (
            slow == [(408, "Die Datei kam nicht rechtzeitig an. Versuch es noch einmal, oder mit einer kleineren.")] * 4
        )
        status, _ = await upload(b"all of it")
        assert status == 200
