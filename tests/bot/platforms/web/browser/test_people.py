"""A teacher and three pupils, of whom two want one name, in a browser: they knock, are told apart and sent out."""

from contextlib import AsyncExitStack
from typing import Any

from fakes.core.settings import WEB, put
from fakes.platforms.browser import MARKS, axe, opened, opened_by_teacher, say, violations
from fakes.platforms.web_page import visitor
from playwright.async_api import expect

from bot.app import Bot

pytestmark = MARKS
NAME_REFUSED, SENT_OUT = "422", "403"


async def test_a_teacher_lets_pupils_in_and_tells_them_apart(url: str, bot: Bot, browser: Any) -> None:
    program = axe()
    await put(bot.settings, "access.knock", "true", WEB)
    async with (
        opened_by_teacher(browser, bot, url, "/") as hers,
        opened(browser, url) as one,
        opened(browser, url, expected=NAME_REFUSED) as two,
        opened(browser, url, expected=SENT_OUT) as three,
    ):
        await expect(hers.locator("#who")).to_be_visible()
        # The first one is let in from the chat, and the page goes on by itself, also after it was loaded again.
        await one.get_by_label("Your name").fill("Ada")
        assert await violations(one, program) == []
        await one.get_by_role("button", name="Knock").click()
        await expect(one.get_by_role("heading", name="A teacher lets you in")).to_be_visible()
        await one.reload()
        await expect(one.get_by_text("You are “Ada”.")).to_be_visible()
        await expect(hers.get_by_text("Ada would like to come in.")).to_be_visible()
        assert await violations(hers, program) == []
        await hers.get_by_role("button", name="Large type for a projector").click()
        await expect(hers.get_by_text("Ada would like to come in.")).to_be_hidden()
        await hers.get_by_role("button", name="Large type for a projector").click()
        await hers.get_by_role("button", name="Let in").click()
        await expect(one.locator("#who")).to_contain_text("Ada")
        # Whose name looks like one that somebody has must take another, which is proposed.
        await two.get_by_label("Your name").fill("Аdа")
        await two.get_by_role("button", name="Knock").click()
        await expect(two.get_by_role("alert")).to_contain_text("“Аdа 2” is free.")
        await two.get_by_label("Your name").fill("Ada 2")
        await two.get_by_role("button", name="Knock").click()
        await three.get_by_label("Your name").fill("Stinker")
        await three.get_by_role("button", name="Knock").click()
        await hers.get_by_role("link", name="2 people are waiting").click()
        await hers.get_by_role("button", name="Let in: 2 people are waiting").click()
        await expect(hers.get_by_role("status").first).to_contain_text("3 people are here.")
        await expect(three.locator("#who")).to_contain_text("Stinker")
        rows = hers.locator("#people > ul:not(.waiting) > li")
        await expect(rows).to_have_count(4)
        await expect(rows.filter(has_text="Ada")).to_have_count(2)
        await expect(rows.filter(has_text="Moderator")).to_contain_text("has left")
        assert len(set(await rows.locator(".mark").evaluate_all("all => all.map((one) => one.outerHTML)"))) == 4
        assert await violations(hers, program) == []
        await hers.get_by_role("button", name="Rename: Stinker").click()
        await hers.get_by_label("New name").fill("Ben")
        assert await violations(hers, program) == []
        await hers.keyboard.press("Enter")
        # The keyboard stays at the button, though the list was made anew.
        await expect(hers.get_by_role("button", name="Rename: Ben")).to_be_focused()
        await expect(three.locator("#who")).to_contain_text("Ben")
        await expect(three.locator(".exchange")).to_contain_text("has given you the name “Ben”")
        await hers.get_by_role("button", name="Time out: Ada 2").click()
        await hers.get_by_role("dialog").get_by_role("button", name="Time out").click()
        await expect(rows.filter(has_text="Ada 2")).to_contain_text("timed out until")
        await hers.get_by_role("button", name="Whole address: Ben").click()
        await expect(hers.get_by_text("This affects 3 people. Time them all out?")).to_be_visible()
        await hers.get_by_role("button", name="Cancel").click()
        await hers.get_by_role("button", name="End: Ben").click()
        await hers.get_by_role("button", name="End it").click()
        await expect(hers.locator("#people [role=status]")).to_be_focused()
        await expect(three.get_by_text("A moderator has ended your visit.")).to_be_visible()
        # The badge stands at what a teacher asks, with its word.
        await hers.goto(url)
        await say(hers, "/ask aubergine")
        badge = one.locator(".exchange .badge.moderator")
        await expect(badge).to_have_text("Moderator")
        await expect(badge.locator("svg")).to_be_visible()
        await one.locator("#who").click()
        await one.get_by_role("dialog").get_by_role("textbox").fill("Teacher")
        await one.keyboard.press("Enter")
        await expect(one.get_by_role("alert").filter(has_text="could be taken for the bot")).to_be_visible()


CLICKS_WITHOUT_FOCUS = """
    document.addEventListener("mousedown", (event) => {
        if (event.target.closest("button")) event.preventDefault();
    });
"""


async def test_the_list_stays_where_it_is_and_the_focus_comes_back_to_the_button(
    url: str, bot: Bot, browser: Any
) -> None:
    """As in Safari, where a click on a button does not focus it."""
    async with AsyncExitStack() as stack:
        for number in range(8):
            pupil = await stack.enter_async_context(visitor(url))
            await stack.enter_async_context(pupil.page(f"Pupil {number}"))
        small = {"viewport": {"width": 900, "height": 400}}
        hers = await stack.enter_async_context(opened_by_teacher(browser, bot, url, "/people", **small))
        await hers.evaluate(CLICKS_WITHOUT_FOCUS)
        pressed = hers.get_by_role("button", name="Rename: Pupil 7")
        await pressed.scroll_into_view_if_needed()
        place = await hers.evaluate("() => scrollY")
        assert place > 0
        await pressed.click()
        await hers.get_by_role("button", name="Cancel").click()
        await expect(pressed).to_be_focused()
        assert await hers.evaluate("() => scrollY") == place
        end = hers.get_by_role("button", name="End: Pupil 7")
        await end.click()
        await hers.get_by_role("button", name="End it").click()
        await expect(end).to_have_count(0)
        await expect(hers.locator("#people [role=status]")).to_be_focused()
        # The list may have become shorter.
        most = await hers.evaluate("() => document.documentElement.scrollHeight - innerHeight")
        assert await hers.evaluate("() => scrollY") == min(place, most)
