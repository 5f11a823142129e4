"""Where the keyboard stands in the web chat once what it stood on has gone, in a real Chromium."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fakes.model_server.model_api import FakeModels
from fakes.platforms.browser import MARKS, choose, opened
from fakes.platforms.web_page import visitor
from playwright.async_api import expect

from bot.app import Bot
from bot.config.sections import PluginsSection, WebSection
from bot.inference.client import ModelClient
from bot.platforms.web import WebPlatform
from bot.platforms.web.access.teachers import WebModerators
from bot.plugin_host import plugin
from bot.storage.database import Database

pytestmark = MARKS


@pytest.fixture
async def page(models: FakeModels, tmp_path: Path, browser: Any) -> AsyncIterator[Any]:
    """A chat with experiments, in which questions are not quoted."""
    plugins = plugin.load(PluginsSection(enabled=("ask", "lab"), entry_points=False))
    database, quiet = Database(f"sqlite:///{tmp_path}/focus.db"), {"answers.quote": False}
    bot = Bot(ModelClient(models.url), plugins, database, settings=quiet)
    async with (
        bot,
        WebPlatform(bot, WebSection(port=0)).serve() as url,
        opened(browser, url) as one,
    ):
        yield one


async def say(page: Any, line: str) -> None:
    # Until the room is entered, a line stays in the box.
    await expect(page.locator("#title")).to_contain_text("general")
    await page.locator("#input").fill(line)
    await page.locator("#input").press("Enter")


async def test_it_goes_to_the_tokens_and_back_to_what_opened_them(page: Any) -> None:
    await say(page, "/ask What is the capital of France?")
    await choose(page, "Show how surprising each word was")
    await expect(page.locator(".tokens .token").first).to_be_focused()
    await page.get_by_role("button", name="Back to the text").press("Enter")
    await expect(page.get_by_role("button", name="More actions")).to_be_focused()


async def test_it_goes_to_the_dials_slider_and_back_to_what_opened_it(page: Any) -> None:
    await say(page, "/dial temperatures:0,1 Describe the sea")
    tool = page.get_by_role("button", name="Turn the dial")
    await tool.press("Enter")
    await expect(page.get_by_label("Temperature", exact=True)).to_be_focused()
    # Where the question is not quoted, the text is that of the line.
    await expect(page.get_by_label("The text so far")).to_have_value("Describe the sea")
    await page.get_by_role("button", name="Back to the text").press("Enter")
    await expect(tool).to_be_focused()


async def test_it_stays_at_the_sign_under_a_page_that_is_turned(url: str, models: FakeModels, browser: Any) -> None:
    async with opened(browser, url) as page:
        await say(page, "/imagine count:1 steps:12 seed:7 a cat")
        await page.get_by_role("button", name="How it was made").press("Enter")
        await page.get_by_role("button", name="Step by step ▶").press("Enter")
        messages, forward = page.locator("#exchanges > li:not(.day)"), page.get_by_role("button", name="▶", exact=True)
        await expect(forward).to_be_visible()
        place = await forward.bounding_box()
        for step in (1, 2):
            await forward.press("Enter")
            await expect(messages.nth(2)).to_contain_text(f"After step {step} of 12.")
            await expect(page.locator("#announcer")).to_have_text(f"After step {step} of 12.")
            await expect(forward).to_be_focused()
            # Nothing moves under the pointer of somebody who presses it again and again.
            assert await forward.bounding_box() == place
        await expect(messages).to_have_count(3)


async def test_it_stays_at_a_room_in_which_others_speak_and_leaves_one_that_is_closed(
    bot: Bot, url: str, models: FakeModels, browser: Any
) -> None:
    async with visitor(url) as teacher:
        await teacher.sign_in(await WebModerators(bot.database).create_code())
        async with teacher.page() as theirs, opened(browser, url) as page:
            await theirs.send("make_room", name="lesson-1")
            await theirs.until("taken")
            room = page.get_by_role("link", name="lesson-1")
            await room.focus()
            async with teacher.page(room="lesson-1") as there:
                for number in range(2):
                    await there.say(f"/ask {number}")
                    await there.final()
            await expect(room).to_have_accessible_name("lesson-1 unread")
            await expect(room).to_be_focused()
            await theirs.send("close_room", room="lesson-1")
            await expect(page.get_by_role("link", name="general", exact=True)).to_be_focused()
