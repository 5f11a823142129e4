"""Three people in a real Chromium: one begins in a place of her own, one comes to the room, and one is a teacher."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fakes.core.settings import WEB, put
from fakes.model_server.model_api import FakeModels
from fakes.platforms.browser import MARKS, axe, opened, opened_by_teacher, say, violations
from fakes.platforms.discord_bot import bot_with_plugins
from playwright.async_api import expect

from bot.app import Bot
from bot.settings.builtin import TEACHERS_READ

pytestmark = MARKS
BESIDE = """() => {
    document.getElementById("exchanges").style.cssText = "display: block; padding-bottom: 3000px";
    const scroller = document.getElementById("scroller");
    scroller.scrollTop = 1000;
    const [about, board] = ["about-place", "board"].map((id) => document.getElementById(id).getBoundingClientRect());
    return scroller.scrollTop > 0 && about.top >= 0 && about.bottom <= board.top;
}"""
PHONE = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark", "has_touch": True, "is_mobile": True}


@pytest.fixture
async def bot(models: FakeModels, tmp_path: Path) -> AsyncIterator[Bot]:
    async with bot_with_plugins(models, tmp_path, ("ask", "inspect")) as running:
        yield running


async def test_a_place_of_ones_own_beside_the_room(bot: Bot, url: str, models: FakeModels, browser: Any) -> None:
    async with (
        opened(browser, f"{url}/", timezone_id="Asia/Tokyo") as hers,
        opened(browser, f"{url}/", **PHONE) as his,
        opened_by_teacher(browser, bot, url) as theirs,
    ):
        title, about, answers = (
            hers.locator("#title"),
            hers.locator("#about-place"),
            hers.locator(".exchange .markdown"),
        )
        await expect(title).to_have_text("Just me")
        await expect(about).to_contain_text("Nobody else can read what you write here")
        await put(bot.settings, "room.task", "Find out why.", WEB)
        await expect(hers.locator("#board")).to_be_visible()
        assert await hers.evaluate(BESIDE)
        await hers.reload()
        await expect(hers.get_by_role("link", name="Just me")).to_have_attribute("aria-current", "page")
        await expect(his.locator("#title")).to_have_text("general")
        await expect(his.locator("#about-place")).to_be_hidden()
        for page, options in ((hers, "fresh:yes "), (his, "")):
            await page.locator("#examples button").first.click()
            await expect(page.locator("#input")).to_have_value(f"/ask {options}What is a neural network?")
        await say(hers, "/ask a secret")
        await expect(answers).to_have_text("Paris is the capital of France.")
        await say(hers, "/inspect")
        # Times in answers are in the reader's zone.
        shown = answers.nth(1).locator("time")
        utc = datetime.fromisoformat(await shown.get_attribute("datetime"))
        await expect(shown).to_contain_text(f"{utc.astimezone(ZoneInfo('Asia/Tokyo')):%H:%M}")

        await his.goto(hers.url)
        await expect(his.locator("#notice")).to_contain_text("That is the private place of somebody else")
        await expect(his.locator("#title")).to_have_text("general")
        assert his.url.endswith("#general")
        await expect(his.locator(".exchange")).to_have_count(0)

        # A page that is open knows at once what moderators change.
        await hers.locator("#input").fill("/ask temperature:1 Why?")
        slider = hers.locator("#fields input[type=range]").first
        await expect(slider).to_have_attribute("max", "2")
        await put(bot.settings, "ask.temperature.maximum", 1.2, WEB)
        await put(bot.settings, TEACHERS_READ, True, WEB)
        await expect(slider).to_have_attribute("max", "1.2")
        await expect(about).to_contain_text("Teachers can read along here")
        await say(hers, "/ask something else")
        await expect(answers).to_have_count(3)

        await theirs.locator("#home").click()
        await theirs.get_by_role("button", name="Open a room").click()
        await theirs.get_by_label("Name").fill("lesson-1")
        await theirs.get_by_role("button", name="Open it").click()
        await his.get_by_role("button", name="Rooms and pages").click()
        await his.get_by_role("link", name="lesson-1").click()
        await expect(his.locator("#title")).to_have_text("lesson-1")
        await theirs.get_by_role("button", name="Close the room lesson-1").click()
        await theirs.get_by_role("button", name="Close it").click()
        await expect(his.locator("#title")).to_have_text("general")
        await expect(his.locator("#notice")).to_have_text(
            "Guest {} has closed the room “lesson-1”. You are in “general” now.".format(
                (await theirs.locator("#who b").inner_text()).removeprefix("Guest ")
            )
        )

        await theirs.get_by_role("link", name="Private places").click()
        await theirs.get_by_role("button", name="Answers: 1,").click()
        await expect(theirs.locator(".question .text")).to_have_text("/ask something else")
        await expect(theirs.locator("#place button:visible")).to_have_count(0)
        program = axe()
        for page in (hers, theirs):
            assert await violations(page, program) == []
        await hers.goto("about:blank")
        await hers.goto(f"{url}/")
        await expect(title).to_have_text("Just me")
