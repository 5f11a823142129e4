"""What the pages beside the chat say while the bot is away, and once it is back, in a real Chromium."""

from typing import Any

from fakes.model_server.model_api import FakeModels
from fakes.platforms.browser import MARKS, opened, opened_by_teacher
from playwright.async_api import expect
from pydantic import SecretStr

from bot.app import Bot
from bot.config.sections import WebSection
from bot.platforms.web import WebPlatform

pytestmark = MARKS

AWAY = "The chat cannot be reached. Try again."


async def alert(page: Any, sentence: str) -> None:
    await expect(page.locator(".error").first).to_have_text(sentence)


async def test_the_dial_says_that_the_bot_is_away(url: str, models: FakeModels, browser: Any) -> None:
    async with opened(browser, f"{url}/dial", expected="ERR_INTERNET_DISCONNECTED") as page:
        await expect(page.locator(".bars .bar").first).to_contain_text("50 %")
        await page.context.set_offline(True)
        await page.get_by_label("The text so far").fill("A dog")
        await alert(page, AWAY)
        await page.context.set_offline(False)
        await page.get_by_label("The text so far").fill("A cat")
        await expect(page.locator(".written")).to_have_text("A␣cat")
        await alert(page, "")


async def test_settings_and_statistics_say_it_until_it_is_back(bot: Bot, url: str, browser: Any) -> None:
    async with opened_by_teacher(browser, bot, url, expected="Failed to load resource") as page:
        for address, choice, other, first in (
            ("/settings", "For", "# general", ""),
            ("/statistics", "Days", "30", "7"),
        ):
            await page.goto(url + address)
            chosen = page.get_by_label(choice, exact=True)
            await expect(chosen).to_be_visible()
            await page.context.set_offline(True)
            await chosen.select_option(other)
            await alert(page, AWAY)
            await page.context.set_offline(False)
            await chosen.select_option(first)
            await alert(page, "")
            # A proxy in front of the bot answers with a page of its own.
            await page.route("**/data?*", lambda route: route.fulfill(status=502, content_type="text/html", body="<p>"))
            await chosen.select_option(other)
            await alert(page, AWAY)
            await page.unroute("**/data?*")


KEEP_SOCKETS = """
    window.sockets = [];
    const Real = WebSocket;
    window.WebSocket = class extends Real {
        constructor(...given) { super(...given); window.sockets.push(this); }
    };
"""


async def test_whoever_has_given_the_join_code_is_where_their_link_leads(bot: Bot, browser: Any) -> None:
    async with (
        WebPlatform(bot, WebSection(port=0, join_code=SecretStr("open sesame!"))).serve() as url,
        opened(browser, url, expected="WebSocket connection") as page,
    ):
        await page.add_init_script(KEEP_SOCKETS)
        code, title = page.get_by_label("Join code"), page.locator("#title")
        await page.goto(f"{url}/dial?room=general")
        await code.fill("open sesame!")
        await code.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("The temperature dial")
        assert page.url == f"{url}/dial?room=general"
        await page.context.clear_cookies()
        await page.goto(f"{url}/#general/1")
        await code.fill("open sesame!")
        await code.press("Enter")
        await expect(title).to_have_text("Thread in general")
        await page.context.clear_cookies()
        await page.evaluate("() => sockets.at(-1).close()")
        await code.fill("open sesame!")
        await code.press("Enter")
        await expect(title).to_have_text("Thread in general")


async def test_whoever_scans_the_code_again_stays_where_they_were(bot: Bot, browser: Any) -> None:
    section = WebSection(port=0, join_code=SecretStr("open sesame!"))
    async with WebPlatform(bot, section).serve() as url, opened(browser, f"{url}/join#code=open%20sesame!") as page:
        await expect(page.get_by_label("Join code")).to_have_value("open sesame!")
        await page.get_by_role("button", name="Come in").click()
        await expect(page.locator("#title")).not_to_be_empty()
        await page.goto(f"{url}/#general")
        await expect(page.locator("#title")).to_have_text("general")
        sockets: list[str] = []
        page.on("websocket", lambda socket: sockets.append(socket.url))
        for path, ends in (("/join", "/#general"), ("/join?to=/dial", "/dial"), ("/knock", "/#general")):
            await page.goto(f"{url}{path}#code=open%20sesame!")
            await page.wait_for_url(url + ends)
            if ends == "/#general":
                await expect(page.locator("#title")).to_have_text("general")
                await expect(page.locator("#notice")).to_be_hidden()
        assert len(sockets) == 2
        assert [address for address in sockets if "sesame" in address] == []


async def test_whoever_lacks_a_new_join_code_is_told_to_give_it(bot: Bot, browser: Any) -> None:
    async with (
        WebPlatform(bot, WebSection(port=0, join_code=SecretStr("open sesame!"))).serve() as url,
        opened(browser, url, expected="Failed to load resource") as page,
    ):
        await page.locator("input").fill("open sesame!")
        await page.locator("input").press("Enter")
        await page.locator("#input").wait_for()
        for address in ("/dial", "/settings", "/statistics"):
            await page.goto(url + address)
            await page.wait_for_load_state("networkidle")
            cookies = await page.context.cookies()
            await page.context.clear_cookies()
            await page.locator("#dial-text, #scope, #days").evaluate(
                "one => ['input', 'change'].forEach((kind) => one.dispatchEvent(new Event(kind)))"
            )
            await alert(page, "The chat has another join code now. Open it anew and give that.")
            await page.context.add_cookies(cookies)


async def test_of_a_refused_file_only_the_chats_own_words_are_shown(url: str, browser: Any) -> None:
    async with opened(browser, url, expected="502") as page:
        async with page.expect_file_chooser() as chosen:
            await page.get_by_role("button", name="Attach a file").click()
        await (await chosen.value).set_files({"name": "egg.txt", "mimeType": "text/plain", "buffer": b"yolk"})
        await page.locator("#input").fill("/ask hello")
        answer: dict[str, Any] = {"status": 502}
        await page.route("**/files?*", lambda route: route.fulfill(**answer))
        for kind, body, told in (
            ("text/plain; charset=utf-8", "Not now.", "Not now."),
            ("text/html", "<h1>Bad gateway</h1>", "The file could not be sent: the chat cannot be reached. Try again."),
        ):
            answer |= {"content_type": kind, "body": body}
            await page.locator("#input").press("Enter")
            await expect(page.locator("#notice")).to_have_text(told)
