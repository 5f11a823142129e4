"""Confidential files in memory, and an export as a page gets it."""

from pathlib import Path

import pytest
from fakes.model_server.gateway import eventually
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import bot_with_plugins
from fakes.platforms.web_page import Page, Visitor, visitor

from bot.config.sections import WebSection
from bot.core.messages import Attachment
from bot.platforms.web import WebPlatform
from bot.platforms.web.chat.files import Files


def keep(files: Files, visitor_id: str, *sizes: int) -> list[str]:
    names = [files.keep(Attachment("export.json", bytes(size), confidential=True)) for size in sizes]
    files.keep_briefly(visitor_id, names)
    return names


def kept(files: Files, names: list[str]) -> list[bool]:
    return [files.get(name) is not None for name in names]


async def test_a_visitors_newer_confidential_files_take_the_place_of_older_ones() -> None:
    files = Files()
    first, anns, second = keep(files, "ben", 1, 2), keep(files, "ann", 3), keep(files, "ben", 4)
    assert kept(files, [*first, *anns, *second]) == [False, False, True, True]


async def test_confidential_files_of_all_visitors_take_a_limited_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.platforms.web.chat.files.MAX_CONFIDENTIAL_BYTES", 100)
    files = Files()
    names = [name for number in range(5) for name in keep(files, f"visitor {number}", 20, 20)]
    assert kept(files, names) == [False] * 6 + [True] * 4
    # One that is too large alone is still delivered.
    assert kept(files, keep(files, "ann", 200)) == [True]


async def test_confidential_files_are_dropped_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.platforms.web.chat.files.CONFIDENTIAL_SECONDS", 0.01)
    files = Files()
    names, other = keep(files, "ben", 1), files.keep(Attachment("cat.png", b"png"))
    await eventually(lambda: kept(files, names) == [False])
    assert kept(files, [other]) == [True]


async def exported(page: Page) -> list[str]:
    """Return the addresses of the files of an export."""
    return [file["url"] for file in (await page.ask("/privacy export"))["reply"]["files"]]


async def fetched(ann: Visitor, address: str) -> tuple[int, str]:
    async with ann.session.get(f"{ann.url}{address}") as response:
        return response.status, response.headers.get("Cache-Control", "")


async def test_of_several_exports_the_page_can_fetch_the_newest(models: FakeModels, tmp_path: Path) -> None:
    async with (
        bot_with_plugins(models, tmp_path, ["privacy"]) as bot,
        WebPlatform(bot, WebSection(port=0)).serve() as url,
        visitor(url) as ann,
        ann.page() as page,
    ):
        addresses = [address for _ in range(3) for address in await exported(page)]
        assert len(addresses) == 3
        # The page is shown an answer a moment before its files are released.
        await eventually(lambda: _are_gone(ann, addresses[:2]))
        assert await fetched(ann, addresses[2]) == (200, "no-store")


async def _are_gone(ann: Visitor, addresses: list[str]) -> bool:
    return all([(await fetched(ann, address))[0] == 404 for address in addresses])
