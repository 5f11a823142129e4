"""Where the keyboard stands in the web chat once what it stood on has gone, in a real Chromium."""

from typing import Any

from fakes.model_server.model_api import FakeModels
from fakes.platforms.browser import MARKS, opened
from fakes.platforms.teachers_page import become_teacher
from fakes.platforms.web_page import visitor
from playwright.async_api import expect

from bot.app import Bot

pytestmark = MARKS


async def say(page: Any, line: str) -> None:
    # Until the room is entered, a line stays in the box.
    await expect(page.locator("#title")).to_contain_text("general")
    await page.locator("#input").fill(line)
    await page.locator("#input").press("Enter")


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
        await become_teacher(bot, teacher)
        async with teacher.page() as theirs, opened(browser, url) as page:
            await theirs.make_room("lesson-1")
            room = page.get_by_role("link", name="lesson-1")
            await room.focus()
            async with teacher.page(room="lesson-1") as there:
                for number in range(2):
                    await there.ask(f"/ask {number}")
            await expect(room).to_have_accessible_name("lesson-1 unread")
            await expect(room).to_be_focused()
            await theirs.send("close_room", room="lesson-1")
            await expect(page.get_by_role("link", name="general", exact=True)).to_be_focused()
