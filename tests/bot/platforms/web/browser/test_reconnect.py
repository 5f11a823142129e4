"""After a lost connection the page goes on where the user was, and nothing that they typed is lost."""

from dataclasses import replace
from typing import Any

from fakes.model_server.model_api import FakeModels
from fakes.platforms.browser import MARKS, choose, opened
from playwright.async_api import expect

from bot.app import Bot
from bot.config.sections import WebSection
from bot.platforms.web import WebPlatform
from bot.platforms.web.access.limits import WEB_LIMITS, Capacity

pytestmark = MARKS
WATCHED = """
    window.sockets = [];
    window.told = [];
    const Real = WebSocket;
    window.WebSocket = class extends Real {
        constructor(...given) {
            super(...given);
            window.sockets.push(this);
            this.addEventListener("message", ({ data }) => window.told.push(JSON.parse(data).type));
        }
    };
"""
OFFLINE = "Not connected at the moment. Try again in a little while."


async def watched(page: Any) -> None:
    await page.add_init_script(WATCHED)
    await page.reload()
    await expect(page.locator("#who")).to_be_visible()


async def say(page: Any, line: str) -> None:
    await page.locator("#input").fill(line)
    await page.locator("#input").press("Enter")
    await expect(page.locator("#input")).to_have_value("")


async def lost_and_back(page: Any) -> None:
    """The socket closes, and the page is welcomed once more."""
    await page.evaluate("() => { told.length = 0; sockets.at(-1).close(); }")
    await page.wait_for_function("() => told.includes('welcome')")


async def test_a_reply_what_was_opened_and_the_place_of_a_reader_are_kept(
    url: str, models: FakeModels, browser: Any
) -> None:
    async with opened(browser, url, viewport={"width": 1000, "height": 500}) as page:
        await watched(page)
        for number in range(4):
            await say(page, f"/ask question {number}")
            await expect(page.locator(".exchange .card:not(:empty)")).to_have_count(number + 1)
        first = page.locator(".exchange").first
        await choose(first, "Show how surprising each word was")
        await expect(page.locator(".tokens .token")).to_have_count(6)
        await first.get_by_role("button", name="Reply", exact=True).click()
        await page.locator("#input").fill("/ask and why?")
        await page.locator("#scroller").evaluate("shown => { shown.scrollTop = 40; }")
        await page.wait_for_function("() => document.getElementById('scroller').scrollTop === 40")
        await lost_and_back(page)
        await expect(page.locator("#replying")).to_contain_text("Replying to Tempera Paris is the capital")
        await expect(page.locator(".tokens .token")).to_have_count(6)
        assert await page.locator("#scroller").evaluate("shown => shown.scrollTop") == 40
        await page.locator("#input").press("Enter")
        await expect(page.locator(".origin:visible")).to_contain_text("Paris is the capital of France.")


async def test_the_earlier_part_of_a_long_room_stays_under_the_eyes_of_its_reader(
    url: str, models: FakeModels, browser: Any
) -> None:
    models.answer = tuple("one word more\n\n" * 1_000 for _ in range(4))
    async with opened(browser, url) as page:
        await watched(page)
        for number in range(7):
            await say(page, f"/ask question {number}")
            await expect(page.locator(".exchange .card:not(:empty)")).to_have_count(number + 1)
        await page.locator("#scroller").evaluate("shown => { shown.scrollTop = 40; }")
        await page.evaluate(
            """() => {
                window.dropped = 0;
                new MutationObserver((changes) => {
                    for (const { removedNodes } of changes) {
                        dropped += [...removedNodes].filter((one) => one.classList.contains("exchange")).length;
                    }
                }).observe(document.getElementById("exchanges"), { childList: true });
            }"""
        )
        await lost_and_back(page)
        await page.wait_for_function("() => told.filter((kind) => kind === 'exchange').length > 1")
        await expect(page.locator(".exchange")).to_have_count(7)
        assert await page.evaluate("() => dropped") == 0
        assert await page.locator("#scroller").evaluate("shown => shown.scrollTop") == 40


async def test_whoever_stands_somewhere_by_keyboard_stays_there(url: str, models: FakeModels, browser: Any) -> None:
    async with opened(browser, url) as page:
        await watched(page)
        await say(page, "/ask hello")
        again = page.get_by_role("button", name="Again")
        await page.locator("#input").fill("/ask Why?")
        for place in (
            again,
            page.get_by_label("temperature", exact=True),
            page.get_by_role("link", name="The temperature dial"),
            page.get_by_role("link", name="general", exact=True),
        ):
            await place.focus()
            await lost_and_back(page)
            await expect(place).to_be_focused()


async def test_what_is_said_meanwhile_is_there_and_can_be_found(url: str, models: FakeModels, browser: Any) -> None:
    models.answer = ("line\n\n" * 40, "end")
    lost = "ERR_INTERNET_DISCONNECTED"
    async with opened(browser, url, expected=lost) as page, opened(browser, url) as his:
        await watched(page)
        await say(page, "/ask first")
        await expect(page.locator(".markdown")).to_contain_text("end")
        # The buttons come last, and a page that still grows would go back to its end.
        await expect(page.get_by_role("button", name="Again")).to_be_visible()
        await page.locator("#scroller").evaluate("shown => { shown.scrollTop = 0; }")
        await page.context.set_offline(True)
        await page.evaluate("() => sockets.at(-1).close()")
        await expect(page.locator("#connection")).to_have_text("reconnecting …")
        await say(his, "/ask second")
        await expect(his.locator(".markdown").nth(1)).to_contain_text("end")
        await page.context.set_offline(False)
        await expect(page.get_by_role("button", name="Newer messages")).to_be_visible()
        await expect(page.locator(".markdown").nth(1)).to_contain_text("end")
        assert await page.locator("#scroller").evaluate("shown => shown.scrollTop") == 0


async def test_what_is_pressed_without_a_connection_says_so(url: str, models: FakeModels, browser: Any) -> None:
    async with opened(browser, url, expected="ERR_INTERNET_DISCONNECTED") as page:
        await watched(page)
        await say(page, "/ask hello")
        await choose(page, "Show how surprising each word was")
        await page.get_by_role("button", name="Paris").click()
        other = page.get_by_role("button", name="Go on from here with").first
        await expect(other).to_be_visible()
        notice = page.locator("#notice")
        for pressed in (page.get_by_role("button", name="Again"), other):
            await page.context.set_offline(True)
            await page.evaluate("() => { told.length = 0; sockets.at(-1).close(); }")
            await expect(page.locator("#connection")).to_have_text("reconnecting …")
            await expect(notice).to_be_hidden()
            await pressed.click()
            await expect(notice).to_have_text(OFFLINE)
            await page.context.set_offline(False)
            await page.wait_for_function("() => told.includes('welcome')")
            await expect(notice).to_be_hidden()


async def test_a_picture_whose_download_was_cut_off_comes_once_the_connection_is_back(
    url: str, models: FakeModels, browser: Any
) -> None:
    async with opened(browser, url, expected="ERR_FAILED") as page:
        await watched(page)
        await page.route("**/files/*", lambda route: route.abort())
        await say(page, "/face")
        await expect(page.locator(".picture.lost")).to_have_count(1)
        await lost_and_back(page)
        await expect(page.locator(".picture.lost")).to_have_count(1)
        await page.unroute("**/files/*")
        await lost_and_back(page)
        await expect(page.locator(".picture.lost")).to_have_count(0)
        picture = page.locator(".exchange .picture img")
        await page.wait_for_function("() => document.querySelector('.exchange .picture img').naturalWidth > 0")
        await picture.click()
        await expect(page.get_by_role("dialog", name="Picture")).to_be_visible()


LOSE_ANSWERS = """(kind) => {
    const send = WebSocket.prototype.send;
    window.sent = [];
    let isWhole = false;
    WebSocket.prototype.send = function (data) {
        send.call(this, data);
        window.sent.push(JSON.parse(data));
        if (!isWhole && data.includes(`"${kind}"`)) this.close();
    };
    window.whole = () => { isWhole = true; };
}"""


async def test_a_line_that_is_sent_again_while_the_connection_is_lost_is_said_once(
    url: str, models: FakeModels, browser: Any
) -> None:
    async with opened(browser, url) as page:
        await page.clock.install(time=0)
        await watched(page)
        await page.evaluate(LOSE_ANSWERS, "say")
        # The page does not try to come back before its clock goes on.
        await page.clock.pause_at(3600)
        box = page.locator("#input")
        await box.fill("/ask hello")
        await box.press("Enter")
        await expect(page.locator("#connection")).to_have_text("reconnecting …")
        await box.press("Enter")
        await expect(page.locator("#notice")).to_contain_text("Your message is kept here")
        await page.evaluate("() => whole()")
        await page.clock.resume()
        await expect(page.locator(".exchange .markdown")).to_have_text("Paris is the capital of France.")
        await expect(box).to_have_value("")
        # Another process has to look whether the first one got it.
        again = await page.evaluate("() => sent.filter((one) => one.type === 'say').map((one) => Boolean(one.again))")
        assert again == [False, True]
        await say(page, "/ask the last one")
        await expect(page.locator(".exchange .card:not(:empty)")).to_have_count(2)
    assert len(models.requests) == 2


async def test_a_form_whose_answer_was_lost_is_sent_again_and_done_once(
    url: str, models: FakeModels, browser: Any
) -> None:
    async with opened(browser, url) as page:
        await watched(page)
        await page.locator("#input").fill("/ask")
        await page.locator("#input").press("Enter")
        form = page.get_by_role("dialog", name="/ask")
        await form.locator("[name=prompt]").fill(" ")
        await form.get_by_role("button", name="Send").click()
        await expect(form.get_by_role("alert")).to_contain_text("/ask needs “prompt”")
        await form.locator("[name=prompt]").fill("Why?")
        await page.evaluate(LOSE_ANSWERS, "submit")
        await form.get_by_role("button", name="Send").click()
        lost = form.get_by_role("alert")
        await expect(lost).to_have_text("The connection was lost. Send it again when it is back.")
        await expect(page.locator(".exchange .markdown")).to_have_text("Paris is the capital of France.")
        await page.evaluate("() => whole()")
        await form.get_by_role("button", name="Send").click()
        await expect(form).to_be_hidden()
        await expect(page.locator(".exchange .question .text")).to_have_text("Why?")
        await say(page, "/ask the last one")
        await expect(page.locator(".exchange .card:not(:empty)")).to_have_count(2)
    assert len(models.requests) == 2


async def test_a_socket_that_died_in_its_sleep_is_given_up(url: str, models: FakeModels, browser: Any) -> None:
    async with opened(browser, url) as page:
        await page.clock.install()
        await watched(page)
        wake = "() => document.dispatchEvent(new Event('visibilitychange'))"
        await page.evaluate(wake)
        await page.wait_for_function("() => told.includes('pong')")
        await page.clock.fast_forward(20_000)
        assert await page.evaluate("() => sockets.length") == 1
        await page.evaluate("() => { sockets[0].send = () => {}; }")
        await page.evaluate(wake)
        await page.clock.fast_forward(20_000)
        await page.clock.fast_forward(2_000)
        await page.wait_for_function("() => sockets.length === 2")
        await expect(page.locator("#connection")).to_be_empty()
        await say(page, "/ask hello")
        await expect(page.locator(".exchange .markdown")).to_have_text("Paris is the capital of France.")


async def test_a_socket_that_dies_while_it_is_watched_is_given_up(url: str, models: FakeModels, browser: Any) -> None:
    async with opened(browser, url) as page:
        await page.clock.install()
        await watched(page)
        for _ in range(2):
            await page.evaluate("() => { told.length = 0; }")
            await page.clock.fast_forward(31_000)
            await page.wait_for_function("() => told.includes('pong')")
        assert await page.evaluate("() => sockets.length") == 1
        await page.evaluate("() => { sockets[0].send = () => {}; }")
        await page.clock.fast_forward(31_000)
        await page.clock.fast_forward(11_000)
        await page.clock.fast_forward(2_000)
        await page.wait_for_function("() => sockets.length === 2")
        await expect(page.locator("#connection")).to_be_empty()


SILENT = """
    window.sockets = [];
    window.WebSocket = class extends EventTarget {
        static OPEN = 1;
        readyState = 0;
        constructor() {
            super();
            sockets.push(this);
        }
        close() { this.isClosed = true; }
    };
"""


async def test_a_socket_that_does_not_open_is_given_up(url: str, browser: Any) -> None:
    async with opened(browser, url) as page:
        await page.clock.install()
        await page.clock.pause_at(await page.evaluate("Date.now() + 3_600_000"))
        await page.add_init_script(SILENT)
        await page.reload()
        await page.wait_for_function("() => sockets.length === 1")
        # Whoever looks at it meanwhile makes it no younger.
        await page.clock.run_for(8_000)
        await page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
        await page.clock.run_for(3_000)
        await page.wait_for_function("() => sockets.length === 2 && sockets[0].isClosed")
        await expect(page.locator("#connection")).to_have_text("reconnecting …")


OPEN_AND_CLOSED = """
    window.sockets = [];
    Math.random = () => 0.5;
    window.WebSocket = class extends EventTarget {
        constructor() {
            super();
            sockets.push(this);
            queueMicrotask(() => ["open", "close"].forEach((kind) => this.dispatchEvent(new Event(kind))));
        }
    };
"""


async def test_a_bot_that_fails_before_its_welcome_is_tried_ever_more_slowly(url: str, browser: Any) -> None:
    async with opened(browser, url) as page:
        await page.clock.install()
        await page.clock.pause_at(await page.evaluate("Date.now() + 3_600_000"))
        await page.add_init_script(OPEN_AND_CLOSED)
        await page.reload()
        await page.wait_for_function("() => sockets.length === 1")
        for milliseconds, tried in ((500, 2), (990, 2), (10, 3), (1990, 3), (10, 4)):
            await page.clock.run_for(milliseconds)
            assert await page.evaluate("() => sockets.length") == tried


async def test_a_page_too_many_says_so_until_another_is_closed(bot: Bot, browser: Any) -> None:
    limits = replace(WEB_LIMITS, pages=Capacity(9, 9, 1))
    async with (
        WebPlatform(bot, WebSection(port=0), limits=limits).serve() as url,
        opened(browser, url, locale="de-DE") as page,
    ):
        await page.locator("#input").wait_for()
        await expect(page.locator("#connection")).to_be_empty()
        second = await page.context.new_page()
        await second.set_viewport_size({"width": 360, "height": 640})
        # What a proxy in front of the bot answers with is no sentence.
        answer = {"status": 503, "content_type": "text/html", "body": "<h1>Service Unavailable</h1>"}
        await second.route("**/socket?*", lambda route: route.fulfill(**answer))
        async with second.expect_response("**/socket?*"):
            await second.goto(url)
        await expect(second.locator("#connection")).to_have_text("verbinde neu …")
        await second.unroute("**/socket?*")
        sentence = "Du hast zu viele Seiten dieses Chats offen; schließ zuerst eine."
        await expect(second.locator("#connection")).to_have_text(sentence)
        place = await second.locator("#connection").bounding_box()
        assert place["x"] + place["width"] <= 360
        await page.close()
        await expect(second.locator("#connection")).to_be_empty()
