"""What a page says that cannot work: one from before an update, or in a browser that keeps nothing."""

from typing import Any

import pytest
from fakes.model_server.model_api import FakeModels
from fakes.platforms.browser import MARKS, opened, say
from playwright.async_api import expect
from pydantic import SecretStr

from bot.app import Bot
from bot.config.sections import WebSection
from bot.platforms.web import WebPlatform

pytestmark = MARKS


async def test_a_page_from_before_an_update_says_that_it_must_be_loaded_again(
    laboratory: str, models: FakeModels, browser: Any
) -> None:
    async with opened(browser, laboratory, expected="404") as page:
        for number, line in enumerate(("/ask What is the capital of France?", "/odds The cat sat on the")):
            await say(page, line)
            await expect(page.locator(".exchange .card:not(:empty)")).to_have_count(number + 1)
        told = page.get_by_role("alert").filter(has_text="A part of this page could not be loaded")
        for name, tool in (("tokens", "Show how surprising each word was"), ("dialview", "Turn the dial")):
            pressed = page.get_by_role("button", name=tool)
            await page.route(f"**/{name}.js", lambda route: route.fulfill(status=404))
            if name == "tokens":
                await page.get_by_role("button", name="More actions").first.click()
            await pressed.click()
            await expect(told).to_be_visible()
            await expect(page.locator(".exchange .markdown").last).to_be_visible()
            await page.unroute(f"**/{name}.js")
            await told.get_by_role("button", name="Load the page again").click()
            await expect(page.locator(".exchange .card:not(:empty)")).to_have_count(2)
            await expect(told).to_have_count(0)


WITHOUT_COOKIES = """
    Object.defineProperty(Navigator.prototype, "cookieEnabled", { get: () => false });
    for (const name of ["localStorage", "sessionStorage"]) {
        Object.defineProperty(window, name, { get() { throw new DOMException("denied", "SecurityError"); } });
    }
"""


@pytest.mark.parametrize("path", ["/", "/join", "/knock", "/dial"])
async def test_a_browser_that_keeps_no_cookies_is_told_that_the_chat_needs_them(
    path: str, bot: Bot, browser: Any
) -> None:
    section = WebSection(port=0, join_code=SecretStr("open sesame!"))
    async with WebPlatform(bot, section).serve() as url:
        person = await browser.new_context(locale="de-DE")
        page = await person.new_page()
        if path not in ("/", "/join"):
            await page.goto(f"{url}/join#code=open%20sesame!")
            await page.get_by_role("button").click()
            await page.wait_for_url(f"{url}/")
        await person.add_init_script(WITHOUT_COOKIES)
        await page.goto(url + path)
        await expect(page.get_by_role("alert")).to_contain_text("Dieser Chat braucht Cookies")
        await expect(page.locator("input, textarea")).to_have_count(0)
        await person.close()
