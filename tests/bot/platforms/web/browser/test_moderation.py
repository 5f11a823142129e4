"""A teacher's bin and clock below what others asked, in a browser."""

import re
from typing import Any

import pytest
from fakes.model_server.model_api import FakeModels
from fakes.platforms.browser import MARKS, axe, choose, opened, opened_by_teacher, violations
from fakes.platforms.discord_bot import bot_with_plugins
from playwright.async_api import expect

from bot.app import Bot

pytestmark = MARKS


@pytest.fixture
async def bot(models: FakeModels, tmp_path: Any) -> Any:
    async with bot_with_plugins(models, tmp_path, ("ask", "help", "moderation", "privacy")) as running:
        yield running


async def say(page: Any, line: str) -> None:
    await page.locator("#input").fill(line)
    await page.locator("#input").press("Enter")
    await expect(page.locator(".exchange.running")).to_have_count(0)


async def test_a_teacher_removes_an_answer_and_times_its_asker_out(
    url: str, bot: Bot, models: FakeModels, browser: Any
) -> None:
    program = axe()
    async with opened_by_teacher(browser, bot, url, "/") as hers, opened(browser, url) as his:
        await expect(hers.locator("#who")).to_be_visible()
        models.gate.clear()
        await his.locator("#input").fill("/ask aubergine")
        await his.locator("#input").press("Enter")
        # A class that looks on does not see what can be done to people, nor the examples for newcomers.
        await expect(hers.get_by_role("button", name="Stop")).to_be_visible()
        await expect(hers.get_by_role("button", name=re.compile("^Time .* out$"))).to_have_count(0)
        await expect(hers.locator("#welcome")).to_be_visible()
        await hers.get_by_role("button", name="Large type for a projector").click()
        await expect(hers.locator("#welcome")).to_be_hidden()
        await hers.get_by_role("button", name="Large type for a projector").click()
        models.gate.set()
        await expect(his.locator(".exchange.running")).to_have_count(0)
        await expect(his.get_by_role("button", name="Remove this")).to_have_count(0)
        await hers.locator(".exchange").hover()
        assert await violations(hers, program) == []
        await choose(hers.locator(".exchange").first, "out")
        line = await hers.locator("#input").input_value()
        assert line.startswith('/timeout user:"')
        assert line.endswith('" duration:10m')
        await hers.locator("#input").press("Enter")
        await expect(hers.locator(".exchange", has_text="cannot use me until")).to_be_visible()
        await choose(hers, "Remove this, as a moderator")
        asked = hers.get_by_role("dialog", name="Remove this message?")
        await expect(asked.get_by_role("button", name="Cancel")).to_be_focused()
        assert await violations(hers, program) == []
        await hers.keyboard.press("Enter")
        await expect(asked).to_be_hidden()
        await expect(hers.get_by_role("button", name="More actions").first).to_be_focused()
        await expect(his.locator(".exchange")).to_have_count(1)
        await choose(hers, "Remove this, as a moderator")
        await hers.keyboard.press("Shift+Tab")
        await expect(asked.get_by_role("button", name="Remove it")).to_be_focused()
        await hers.keyboard.press("Enter")
        await expect(hers.locator(".exchange", has_text="The message is removed.")).to_be_visible()
        await expect(asked).to_be_hidden()
        await expect(hers.locator("#input")).to_be_focused()
        await expect(his.locator(".exchange")).to_have_count(0)
        await say(his, "/ask again")
        await expect(his.locator(".exchange.failed", has_text="Moderators have timed you out")).to_be_visible()
        await say(his, "/privacy delete")
        await his.get_by_role("button", name="Delete all of it").click()
        await expect(his.locator(".exchange", has_text="is deleted.")).to_be_visible()
        assert await violations(his, program) == []
