"""Forger and detective in a real Chromium: the page that shows the game slowly, and a round in the chat."""

from pathlib import Path
from typing import Any

from fakes.model_server.model_api import DUEL_MODEL, FakeModels
from fakes.platforms.browser import MARKS, axe, opened, say, violations
from fakes.platforms.discord_bot import bot_with_plugins
from playwright.async_api import expect

from bot.config.sections import WebSection
from bot.platforms.web import WebPlatform

pytestmark = MARKS
PHONE = {"viewport": {"width": 390, "height": 844}}


async def test_the_game_is_played_slowly_and_in_the_chat(models: FakeModels, tmp_path: Path, browser: Any) -> None:
    models.listed[DUEL_MODEL] = "faces"
    program = axe()
    async with (
        bot_with_plugins(models, tmp_path, ("duel",)) as bot,
        WebPlatform(bot, WebSection(port=0)).serve() as url,
    ):
        async with opened(browser, f"{url}/duel", expected="422", color_scheme="dark", **PHONE) as page:
            step, said = page.get_by_role("heading", level=2), page.get_by_role("status")
            on = page.get_by_role("button", name="Next step")
            await expect(step).to_have_text("Step 1 of 6: The forger gets noise")
            await expect(page.get_by_role("img")).to_have_count(1)
            # By the keyboard alone, up to the last step, where the focus must not be lost.
            await on.focus()
            for _ in range(5):
                await page.keyboard.press("Enter")
            await expect(step).to_have_text("Step 6 of 6: The detective hears the truth")
            await expect(page.get_by_role("button", name="Back")).to_be_focused()
            # The fake's detective is wrong about the first two faces of a sheet.
            await expect(said).to_contain_text("It was wrong about both")
            await expect(page.locator(".duel-verdict:visible")).to_have_text(
                ["90 % sure that it is real", "20 % sure that it is real"]
            )
            assert await violations(page, program) == []
            wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            assert not await page.evaluate(wide)
            slider = page.get_by_role("slider", name="Moment of the training")
            await slider.focus()
            await page.keyboard.press("Home")
            await expect(page.locator("#duel-moment")).to_have_text("before the training")
            await models.until(requests=2)
            assert [body["snapshot"] for body in models.requests] == [11, 0]
            assert models.requests[0]["seed"] == models.requests[1]["seed"]
            models.failure = 503, "The model is away."
            await page.get_by_role("button", name="Another pair").click()
            await expect(page.get_by_role("alert")).to_contain_text("The model is away.")
            models.failure = None

        async with opened(browser, url) as page:
            await page.get_by_role("link", name="Forger and detective").wait_for(state="attached")
            await say(page, "/duel seconds:300")
            await page.get_by_role("button", name="Vote", exact=True).click()
            ballot = page.locator(".exchange.hidden-from-others")
            await ballot.get_by_role("button", name="2", exact=True).click()
            await expect(ballot.get_by_role("button", name="✗ 2")).to_be_focused()
            await expect(ballot.locator(".markdown")).to_have_text("You take these for forged: 2.")
            assert await violations(page, program) == []
            await ballot.get_by_role("button", name="Show the truth now").click()
            sheet = page.locator(".exchange", has=page.get_by_role("button", name="My marks"))
            await expect(sheet.locator(".pictures img")).to_have_attribute(
                "alt", "Real: 1, 3, 5, 7, 9, 11. Forged: 2, 4, 6, 8, 10, 12."
            )
