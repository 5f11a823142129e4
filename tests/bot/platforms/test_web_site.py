"""What the routes of the web chat do with those who keep them busy."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from fakes.page import Visitor

from bot.platforms.web import site


async def stalling() -> AsyncIterator[bytes]:
    yield b"the beginning"
    await asyncio.Event().wait()


async def trickling() -> AsyncIterator[bytes]:
    while True:
        yield b"a little"
        await asyncio.sleep(0.01)


async def at_last() -> AsyncIterator[bytes]:
    for _ in range(5):
        yield b"a little"
        await asyncio.sleep(0.5)


async def upload(ann: Visitor, data: bytes | AsyncIterator[bytes]) -> tuple[int, str]:
    headers = {"Origin": ann.url, "Accept-Language": "de"}
    async with ann.session.post(f"{ann.url}/files", data=data, headers=headers) as response:
        return response.status, await response.text()


@pytest.mark.parametrize(("limit", "sent"), [("STALLED_SECONDS", stalling), ("UPLOAD_SECONDS", trickling)])
async def test_a_file_that_does_not_arrive_gives_its_place_to_others(
    ann: Visitor, monkeypatch: pytest.MonkeyPatch, limit: str, sent: Callable[[], AsyncIterator[bytes]]
) -> None:
    async with ann.page():
        with monkeypatch.context() as hasty:
            hasty.setattr(site, limit, 0.2)
            slow = await asyncio.gather(*(upload(ann, sent()) for _ in range(site.UPLOADS_AT_ONCE)))
        sentence = "Die Datei kam nicht rechtzeitig an. Versuch es noch einmal, oder mit einer kleineren."
        assert slow == [(408, sentence)] * site.UPLOADS_AT_ONCE
        status, _ = await upload(ann, b"all of it")
        assert status == 200


async def test_a_file_may_take_longer_than_it_may_stall(ann: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "STALLED_SECONDS", 2.0)
    async with ann.page():
        status, _ = await upload(ann, at_last())
    assert status == 200
