"""Several people in a real Chromium: a teacher's rooms, threads, who is writing, and a connection that is lost."""

import asyncio
from typing import Any

from fakes.model_server.model_api import FakeModels
from fakes.platforms.browser import MARKS, choose, opened, opened_by_teacher, say
from fakes.platforms.teachers_page import become_teacher
from fakes.platforms.web_page import visitor
from playwright.async_api import expect

from bot.app import Bot

pytestmark = MARKS
KEEP_SOCKETS = """
    window.sockets = [];
    const Real = WebSocket;
    window.WebSocket = class extends Real {
        constructor(...given) { super(...given); window.sockets.push(this); }
    };
"""


async def test_a_pupil_follows_a_teacher_into_a_new_room(bot: Bot, url: str, models: FakeModels, browser: Any) -> None:
    async with opened_by_teacher(browser, bot, url, "/") as hers, opened(browser, url) as his:
        await expect(hers.locator("#who")).to_contain_text("Moderator")
        await expect(his.get_by_role("button", name="Open a room")).to_have_count(0)
        await hers.get_by_role("button", name="Open a room").click()
        await hers.get_by_label("Name").fill("Lesson 1")
        await hers.get_by_role("button", name="Open it").click()
        await expect(hers.get_by_role("heading", level=1)).to_have_text("lesson-1")

        await say(hers, "/ask hello")
        room = his.get_by_role("link", name="lesson-1")
        await expect(room).to_have_accessible_name("lesson-1 unread")
        await room.click()
        await expect(his.locator(".exchange .markdown")).to_have_text("Paris is the capital of France.")
        await expect(room).to_have_accessible_name("lesson-1")
        await hers.locator("#input").press_sequentially("I")
        await expect(his.locator("#typing")).to_contain_text("is writing …")

        await hers.get_by_role("button", name="Close the room lesson-1").click()
        await hers.get_by_role("button", name="Cancel").click()
        await expect(his.get_by_role("heading", level=1)).to_have_text("lesson-1")
        await hers.get_by_role("button", name="Close the room lesson-1").click()
        await hers.get_by_role("button", name="Close it").click()
        await expect(his.get_by_role("heading", level=1)).to_have_text("general")
        await expect(his.locator(".exchange")).to_have_count(0)
        await his.go_back()
        await expect(his.get_by_role("heading", level=1)).to_have_text("general")


async def test_a_thread_and_a_reply(url: str, models: FakeModels, browser: Any) -> None:
    async with opened(browser, url) as page:
        await say(page, "/ask first")
        await choose(page, "Go on in a thread")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Thread in general")
        await say(page, "/ask deeper")
        await expect(page.locator(".exchange:visible .question .text")).to_have_text(["/ask first", "/ask deeper"])
        await page.get_by_role("link", name="Back to general").click()
        await expect(page.locator(".exchange:visible .question .text")).to_have_text(["/ask first"])
        await expect(page.get_by_role("button", name="1 reply")).to_be_visible()

        # Under the last of one's own answers, Continue is a reply to it.
        await page.get_by_role("button", name="Continue").click()
        await expect(page.locator("#replying")).to_contain_text("Replying to Tempera Paris is the capital")
        await page.locator("#input").press("Escape")
        await expect(page.locator("#replying")).to_be_hidden()
        await page.get_by_role("button", name="Continue").click()
        await expect(page.locator("#replying")).to_contain_text("Replying to Tempera Paris is the capital")
        await say(page, "/ask and why?")
        await expect(page.locator(".exchange:visible").last.get_by_role("button", name="Continue")).to_be_visible()
        await expect(page.get_by_role("button", name="Continue")).to_have_count(1)
        await expect(page.locator(".origin:visible")).to_contain_text("Paris is the capital of France.")
        await page.reload()
        await expect(page.locator(".origin:visible")).to_contain_text("Paris is the capital of France.")
        await page.get_by_role("button", name="1 reply").click()
        await expect(page.locator(".exchange:visible")).to_have_count(2)
    asked = [turn["content"] for turn in models.requests[-1]["messages"] if turn["role"] == "user"]
    assert asked == ["first", "and why?"]


async def test_what_is_pressed_under_the_beginning_of_a_thread_is_answered_in_it(
    url: str, models: FakeModels, browser: Any
) -> None:
    async with opened(browser, url) as page:
        await say(page, "/ask first")
        await choose(page, "Go on in a thread")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Thread in general")
        await page.get_by_role("button", name="Warmer").click()
        shown = page.locator(".exchange:visible .card")
        await expect(shown).to_have_count(2)
        await choose(page.locator(".exchange:visible").first, "Show how surprising")
        await page.get_by_role("button", name="Paris").first.click()
        await page.get_by_role("button", name="Go on from here with").first.click()
        await expect(shown).to_have_count(3)
        await page.get_by_role("link", name="Back to general").click()
        await expect(shown).to_have_count(1)
        await expect(page.get_by_role("button", name="2 replies")).to_be_visible()


TELL_TYPES = """() => {
    window.told = [];
    sockets.at(-1).addEventListener("message", ({ data }) => told.push(JSON.parse(data).type));
}"""


async def test_who_is_writing_is_shown_for_as_long_as_they_do_in_their_room(
    bot: Bot, url: str, models: FakeModels, browser: Any
) -> None:
    async with visitor(url) as ben:
        await become_teacher(bot, ben)
        async with ben.page("Ben") as his, opened(browser, url) as page:
            await his.make_room("lesson-1")
            await page.add_init_script(KEEP_SOCKETS)
            await page.clock.install(time=0)
            await page.reload()
            await expect(page.locator("#who")).to_be_visible()
            await page.evaluate(TELL_TYPES)
            await page.clock.pause_at(3600)
            writing = page.locator("#typing")
            for times in (1, 2):
                await his.send("typing")
                await page.wait_for_function(f"() => told.filter((type) => type === 'typing').length === {times}")
                await page.clock.fast_forward(3000)
                assert await writing.text_content() == "Ben is writing …"
            await page.clock.fast_forward(3000)
            assert await writing.text_content() == ""
            models.gate.clear()
            await his.say("/ask hello")
            await expect(page.locator(".exchange .markdown")).to_have_text("Paris")
            await his.send("typing")
            await expect(writing).to_have_text("Ben is writing …")
            models.gate.set()
            await expect(page.locator(".exchange .card")).to_be_visible()
            assert await writing.text_content() == "Ben is writing …"
            await page.get_by_role("link", name="lesson-1").click()
            await expect(page.locator("#title")).to_have_text("lesson-1")
            assert await writing.text_content() == ""


async def test_a_line_that_is_sent_before_a_room_is_shown_goes_into_it(url: str, browser: Any) -> None:
    held, welcome = [], asyncio.Event()

    async def hold(page_side: Any) -> None:
        server = page_side.connect_to_server()
        server.on_message(lambda message: page_side.send(message) if welcome.is_set() else held.append(message))
        await welcome.wait()
        for message in held:
            page_side.send(message)

    async with opened(browser, url) as page:
        await page.route_web_socket("**/socket?**", lambda one: asyncio.ensure_future(hold(one)))
        await page.reload()
        await page.locator("#input").fill("/ask hello")
        await page.locator("#input").press("Enter")
        await expect(page.locator("#input")).to_have_value("/ask hello")
        await expect(page.locator("#notice")).to_be_hidden()
        welcome.set()
        await expect(page.locator(".markdown")).to_have_text("Paris is the capital of France.")
        await expect(page.locator("#input")).to_have_value("")


async def test_offline_and_back_while_an_answer_runs(url: str, models: FakeModels, browser: Any) -> None:
    lost = "ERR_INTERNET_DISCONNECTED"
    async with opened(browser, url, expected=lost) as page, opened(browser, url) as his:
        await page.add_init_script(KEEP_SOCKETS)
        await page.reload()
        models.gate.clear()
        await say(page, "/ask hello")
        await expect(page.locator(".markdown")).to_have_text("Paris")
        # Chromium's offline mode leaves open WebSockets open, so the page closes its own, as a lost network does.
        await page.context.set_offline(True)
        await page.evaluate("() => sockets.at(-1).close()")
        await expect(page.locator("#connection")).to_have_text("reconnecting …")
        await say(his, "/ask meanwhile")
        await expect(his.locator(".markdown")).to_have_text(["Paris", "Paris"])
        models.gate.set()
        await expect(his.locator(".markdown")).to_have_text(["Paris is the capital of France."] * 2)
        await expect(page.locator(".markdown")).to_have_text("Paris")
        await page.context.set_offline(False)
        await expect(page.locator(".markdown")).to_have_text(["Paris is the capital of France."] * 2)
        await expect(page.locator("#connection")).to_be_empty()
        # A chat that closes the connection is no network that comes back: nobody tells the page when to try again.
        await page.evaluate("() => sockets.splice(0).at(-1).close()")
        await page.wait_for_function("() => sockets.length === 1")
        await say(his, "/ask once more")
        await expect(page.locator(".markdown")).to_have_text(["Paris is the capital of France."] * 3)
    assert models.dropped == 0


async def test_who_has_scrolled_up_is_not_moved_and_finds_what_is_newer(
    url: str, models: FakeModels, browser: Any
) -> None:
    models.answer = ("line\n\n" * 40, "end")
    async with opened(browser, url) as page, opened(browser, url) as his:
        await say(page, "/ask first")
        await expect(page.locator(".markdown")).to_contain_text("end")
        await expect(page.get_by_text("end", exact=True)).to_be_in_viewport()
        # The buttons come last, and whoever reads the end of what grows stays there.
        await expect(page.get_by_role("button", name="Again")).to_be_visible()
        await page.locator("#scroller").evaluate("shown => { shown.scrollTop = 0; }")
        await say(his, "/ask second")
        newer = page.get_by_role("button", name="Newer messages")
        await expect(newer).to_be_visible()
        await expect(page.locator(".markdown").nth(1)).to_contain_text("end")
        await expect(page.locator(".exchange.running")).to_have_count(0)
        assert await page.locator("#scroller").evaluate("shown => shown.scrollTop") == 0
        await newer.click()
        await expect(newer).to_be_hidden()
        await expect(page.get_by_text("end", exact=True).nth(1)).to_be_in_viewport()
        await expect(page.locator("#announcer")).to_contain_text("end")


async def test_pictures_of_a_long_room_are_fetched_as_they_come_near(
    url: str, models: FakeModels, browser: Any
) -> None:
    """A browser of today fetches those that are less than about 2,500 pixels away."""
    async with visitor(url) as ann, ann.page("Ann") as hers:
        for number in range(12):
            await hers.ask(f"/face seed:{number}")
    async with opened(browser, url, viewport={"width": 1000, "height": 500}) as page:
        pictures = page.locator(".exchange .picture img")
        await expect(pictures).to_have_count(12)
        is_fetched = "image => image.naturalWidth > 0"
        last = pictures.last
        await last.evaluate("image => image.decode()")
        assert not await pictures.first.evaluate(is_fetched)
        height = (await pictures.first.bounding_box())["height"]
        assert height == (await last.bounding_box())["height"]
        await pictures.first.scroll_into_view_if_needed()
        await page.wait_for_function("() => document.querySelector('.exchange .picture img').naturalWidth > 0")


async def test_what_an_answer_says_is_copied(url: str, models: FakeModels, browser: Any) -> None:
    models.answer = ("Look:\n\n```python\nprint(1)\n```",)
    async with opened(browser, url, permissions=["clipboard-read", "clipboard-write"]) as page:
        await say(page, "/ask code")
        for name, text in (("Copy the code", "print(1)"), ("Copy the text", models.answer[0])):
            if name == "Copy the text":
                await page.get_by_role("button", name="More actions").click()
            await page.get_by_role("button", name=name).click()
            await expect(page.get_by_role("button", name="Copied")).to_be_visible()
            assert await page.evaluate("() => navigator.clipboard.readText()") == text
            await expect(page.get_by_role("button", name="Copied")).to_have_count(0)


async def test_everything_by_keyboard(url: str, models: FakeModels, browser: Any) -> None:
    async with opened(browser, url) as page:
        await expect(page.locator("#who")).to_be_visible()
        keys = page.keyboard
        await keys.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the message box")).to_be_focused()
        await keys.press("Enter")
        await expect(page.locator("#input")).to_be_focused()
        await keys.type("/ask ")
        await keys.type("Why?")
        for _ in range(6):
            await keys.press("Shift+Tab")
        await expect(page.get_by_label("seed", exact=True)).to_be_focused()
        for _ in range(2):
            await keys.press("Shift+Tab")
        await expect(page.get_by_label("temperature", exact=True)).to_be_focused()
        await keys.press("ArrowRight")
        await expect(page.locator("#input")).to_have_value("/ask temperature:0.75 Why?")
        await keys.press("Enter")
        await expect(page.locator(".exchange .card")).to_contain_text("0.75")
        await keys.press("Tab")
        await page.get_by_role("button", name="Warmer").focus()
        await keys.press("Space")
        await expect(page.locator(".exchange .card").nth(1)).to_contain_text("1.05")
        models.gate.clear()
        await say(page, "/ask long")
        long = page.locator(".exchange").nth(2)
        await long.get_by_role("button", name="Stop").press("Enter")
        await expect(long.locator(".status")).to_have_text("Stopped.")
        await expect(long).to_be_focused()
        more = long.get_by_role("button", name="More actions")
        await more.press("Enter")
        for name in ("Cooler", "Delete", "Not a good answer", "A good answer"):
            await expect(long.get_by_role("button", name=name, exact=True)).to_be_focused()
            await keys.press("ArrowUp" if name != "A good answer" else "Space")
        await expect(long.get_by_role("button", name="👍 1")).to_be_visible()
        await expect(more).to_be_focused()
        await keys.press("Enter")
        await keys.press("Escape")
        await expect(more).to_have_attribute("aria-expanded", "false")
        await expect(more).to_be_focused()
        await keys.press("Enter")
        await keys.press("ArrowUp")
        await keys.press("Enter")
        await expect(page.locator(".exchange")).to_have_count(2)
        await expect(page.locator("#input")).to_be_focused()
    assert [request["temperature"] for request in models.requests] == [0.75, 1.05, 0.7]


LOSE_LINES = """() => {
  const send = WebSocket.prototype.send;
  window.losing = true;
  WebSocket.prototype.send = function (data) {
    window.socket = this;
    if (!window.losing || !data.includes('"say"')) send.call(this, data);
  };
}"""


async def test_a_line_without_an_answer_goes_out_again_in_its_own_room_alone(bot: Bot, url: str, browser: Any) -> None:
    async with visitor(url) as teacher:
        await become_teacher(bot, teacher)
        async with teacher.page() as rooms:
            await rooms.make_room("lesson-1")
    async with opened(browser, url) as page:
        await expect(page.locator("#who")).to_be_visible()
        await page.evaluate(LOSE_LINES)
        asked = page.locator(".exchange .question .text")
        await say(page, "/ask hello")
        await page.evaluate("() => { losing = false; socket.close(); }")
        await expect(asked).to_have_text(["/ask hello"])
        await expect(page.locator("#input")).to_have_value("")
        await page.evaluate("() => { losing = true; }")
        await say(page, "/ask in here")
        await page.evaluate("() => { losing = false; location.hash = 'lesson-1'; }")
        await expect(page.locator("#title")).to_have_text("lesson-1")
        await expect(page.locator("#input")).to_have_value("/ask in here")
        await say(page, "/ask elsewhere")
        await expect(asked).to_have_text(["/ask elsewhere"])
