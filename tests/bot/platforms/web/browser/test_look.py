"""How the pages look and whom they keep out: axe-core on each, light and dark, on a phone and for a projector."""

from typing import Any

import pytest
from fakes.core.settings import WEB, put
from fakes.model_server.model_api import FakeModels
from fakes.platforms.browser import COUNT_SHIFTS, MARKS, axe, choose, opened, opened_by_teacher, violations
from playwright.async_api import expect
from pydantic import SecretStr

from bot.app import Bot
from bot.config.sections import WebSection
from bot.platforms.web import WebPlatform
from bot.platforms.web.access.teachers import WebModerators, teacher_link
from bot.platforms.web.templates import static_url

pytestmark = MARKS
PHONE = {"width": 360, "height": 740}
COLOUR = "one => getComputedStyle(one).backgroundColor"
ANSWER = (
    "# Eggs\n\nOne **egg**, `two`:\n\n```python\ndef egg():\n    return 'yolk'  # yes\n```\n\n| a |\n|---|\n| 1 |\n",
)


async def say(page: Any, line: str) -> None:
    over = page.locator(".exchange:not(.running)")
    before = await over.count()
    await page.locator("#input").fill(line)
    await page.locator("#input").press("Enter")
    await expect(over).to_have_count(before + 1)


async def fits(page: Any) -> bool:
    """Whether nothing makes the page wider than its window."""
    return await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_the_chat_keeps_nobody_out(colours: str, url: str, models: FakeModels, browser: Any) -> None:
    program = axe()
    models.answer = ANSWER
    async with opened(browser, url, color_scheme=colours) as page:
        await expect(page.locator("#who")).to_be_visible()
        assert await violations(page, program) == []
        await say(page, "/ask temperature:0.5 hello")
        await say(page, "/face seed:7")
        await say(page, "/nothing")
        await choose(page, "Go on in a thread")
        await say(page, "/ask deeper")
        await page.get_by_role("link", name="Back to general").click()
        await expect(page.locator(".hljs-keyword").first).to_be_visible()
        await page.get_by_role("button", name="Continue").first.click()
        await page.locator("#input").press_sequentially("/imagine se")
        await expect(page.get_by_role("option")).to_have_count(1)
        assert await violations(page, program) == []
        await page.get_by_role("button", name="More actions").first.click()
        assert await violations(page, program) == []
        await page.get_by_role("button", name="Show how surprising").click()
        await page.locator(".tokens .token").first.click()
        await page.get_by_role("button", name="Appearance").click()
        assert await violations(page, program) == []
        await page.locator("#who").click()
        await expect(page.get_by_role("dialog", name="Your name")).to_be_visible()
        assert await violations(page, program) == []
        await page.keyboard.press("Escape")
        await page.locator(".picture").click()
        assert await violations(page, program) == []


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_the_other_pages_keep_nobody_out(colours: str, bot: Bot, browser: Any) -> None:
    program = axe()
    section = WebSection(port=0, join_code=SecretStr("open sesame!"))
    platform = WebPlatform(bot, section)
    async with (
        platform.serve() as url,
        opened(browser, url, color_scheme=colours, expected="403") as page,
    ):
        await page.get_by_label("Join code").fill("guess")
        await page.get_by_role("button", name="Come in").click()
        await expect(page.get_by_role("alert")).to_contain_text("That is not the code.")
        assert await violations(page, program) == []
        await page.goto(teacher_link(url, await WebModerators(bot.database).create_code()))
        assert await violations(page, program) == []
        await page.get_by_role("button", name="Sign in").click()
        await page.locator("#home").click()
        await expect(page.locator("#who")).to_contain_text("Moderator")
        assert await violations(page, program) == []
        await page.goto(f"{url}/dial")
        await expect(page.locator(".bars .bar").first).to_contain_text("50 %")
        assert await violations(page, program) == []
        for size in (None, PHONE):
            if size is not None:
                await page.set_viewport_size(size)
            await page.goto(f"{url}/settings")
            await expect(page.locator(".setting").first).to_be_visible()
            await page.get_by_label("ask.temperature.maximum", exact=True).fill("1")
            await expect(page.get_by_role("button", name="Save")).to_be_visible()
            assert await fits(page)
            assert await violations(page, program) == []


async def test_on_a_phone_the_rail_slides_in(url: str, models: FakeModels, browser: Any) -> None:
    program = axe()
    models.answer = ANSWER
    async with opened(browser, url, viewport=PHONE, has_touch=True) as page:
        await expect(page.locator("#rail")).to_be_hidden()
        await say(page, "/ask hello")
        await page.locator("#input").fill("/imagine a cat")
        assert await fits(page)
        temperature = await page.locator("#send").bounding_box()
        assert temperature is not None
        assert temperature["y"] + temperature["height"] <= PHONE["height"]
        assert await violations(page, program) == []
        await page.get_by_role("button", name="Rooms and pages").tap()
        await expect(page.get_by_role("link", name="general")).to_be_visible()
        await page.wait_for_function("() => document.getAnimations().length === 0")
        assert await violations(page, program) == []
        await page.keyboard.press("Escape")
        await expect(page.locator("#rail")).to_be_hidden()
        await page.goto(f"{url}/dial")
        await expect(page.locator(".bars .bar").first).to_contain_text("50 %")
        assert await fits(page)
        assert await violations(page, program) == []


async def test_on_a_phone_the_line_about_a_pressed_button_stays_in_its_message(url: str, browser: Any) -> None:
    async with opened(browser, url, viewport=PHONE, locale="de-DE") as page:
        await say(page, "/imagine seed:7 ein roter Apfel")
        await page.get_by_role("button", name="Wie 1 entstand").click()
        line = page.locator("button.origin")
        await expect(line).to_contain_text("Wie 1 entstand")
        ends = "one => [one, one.closest('.exchange')].map(part => part.getBoundingClientRect().right)"
        own, whole = await line.evaluate(ends)
        assert own <= whole


async def test_colours_and_size_are_chosen_and_kept(url: str, browser: Any) -> None:
    # An address that is cut short leads to the chat.
    async with opened(browser, f"{url}/#5%", color_scheme="light") as page:
        await expect(page.get_by_role("heading", level=1)).to_have_text("general")

        async def ground() -> str:
            return await page.evaluate("() => getComputedStyle(document.body).backgroundColor")

        light = await ground()
        await page.get_by_role("button", name="Appearance").click()
        await page.get_by_label("Dark").check()
        dark = await ground()
        assert light != dark
        await page.keyboard.press("Escape")
        for _ in range(3):
            await page.get_by_role("button", name="Large type for a projector").click()
            assert await page.locator("#input").evaluate("box => box.scrollHeight - box.clientHeight") == 0
        await page.reload()
        assert await ground() == dark
        await expect(page.get_by_role("button", name="Large type for a projector")).to_have_attribute(
            "aria-pressed", "true"
        )
        assert await page.evaluate("() => getComputedStyle(document.body).fontSize") == "24px"
        assert await fits(page)
        # A teacher has other pages open beside the one on the projector.
        beside = await page.context.new_page()
        await beside.goto(url)
        assert await beside.evaluate("() => ({ ...document.documentElement.dataset })") == {"theme": "dark"}


PRIVATE_SEEN = """() => {
    window.seen = 0;
    const look = () => {
        seen += [...document.querySelectorAll(".hidden-from-others")].filter((one) => one.checkVisibility()).length;
    };
    new MutationObserver(look).observe(document.body, { childList: true, subtree: true, attributes: true });
}"""


async def test_a_projector_shows_no_rooms_and_nothing_private(url: str, models: FakeModels, browser: Any) -> None:
    async with opened(browser, url) as page:
        await say(page, "/ask hello")
        await say(page, "/help")
        await expect(page.locator(".exchange:visible")).to_have_count(2)
        await page.get_by_role("button", name="Large type for a projector").click()
        await expect(page.locator("#rail")).to_be_hidden()
        await expect(page.locator(".exchange:visible")).to_have_count(1)
        await page.evaluate(PRIVATE_SEEN)
        await say(page, "/nothing")
        await expect(page.locator("#notice")).to_contain_text("once you leave the view for a projector")
        assert await page.evaluate("() => seen") == 0
        assert await violations(page, axe()) == []
        await page.get_by_role("button", name="Large type for a projector").click()
        await expect(page.locator(".exchange:visible")).to_have_count(3)
        assert await page.evaluate("() => seen") > 0


async def test_nothing_moves_while_a_page_is_loaded(url: str, bot: Bot, models: FakeModels, browser: Any) -> None:
    await put(bot.settings, "room.task", "Find out **why**.\n\n1. Ask.\n2. Ask again.", WEB)
    async with opened_by_teacher(browser, bot, url, "/", expected="403") as page:
        await page.add_init_script(COUNT_SHIFTS)
        await say(page, "/ask hello")
        moved = {}
        for path, whole in (
            ("/", ".room-head:has(#board:visible) ~ [role=log] .exchange .actions button"),
            ("/class", "#people li"),
            ("/people", "#people li"),
            ("/private", "#refused:not(:empty)"),
            ("/dial", ".bars .bar"),
            ("/settings", "#moderators-list li"),
            ("/statistics", "#figures table"),
            ("/teacher", "#code"),
        ):
            await page.goto(f"{url}{path}")
            await expect(page.locator(whole).first).to_be_attached()
            await page.evaluate("() => document.fonts.ready")
            await page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))")
            moved[path] = await page.evaluate("() => shift")
        print(moved)
        assert max(moved.values()) < 0.05


async def test_the_page_speaks_the_readers_language(url: str, browser: Any) -> None:
    async with opened(browser, url, locale="de-DE") as page:
        await expect(page.get_by_role("heading", name="Was möchtest du ausprobieren?")).to_be_visible()
        await expect(page.get_by_label("Nachricht", exact=True)).to_have_attribute(
            "placeholder", "Frag, oder tipp / für Befehle"
        )
        assert await page.evaluate("() => document.documentElement.lang") == "de"
        # What is typed stays English; what is shown is not.
        await page.locator("#input").fill("/ask temperature:0.7 Hallo")
        await expect(page.locator("label[for=option-temperature]")).to_have_text("Temperatur")
        await expect(page.locator("output[for=option-temperature]")).to_have_text("0,7")
        await expect(page.locator("label[for=option-max_tokens]")).to_have_text("höchstens Tokens")
        await page.locator("#input").fill("/ask")
        await page.locator("#input").press("Enter")
        await expect(page.locator("#form label").nth(2)).to_have_text("Temperatur freiwillig")
        await page.keyboard.press("Escape")


async def test_nothing_is_waited_for_before_the_first_paint(url: str, browser: Any) -> None:
    """How long it took is printed; what may hold it up is held: the page's own style and one small script."""
    async with opened(browser, url) as page:
        await expect(page.locator("#who")).to_be_visible()
        paint = await page.evaluate("() => performance.getEntriesByName('first-contentful-paint')[0].startTime")
        print(f"first paint after {paint:.0f} ms")
        blocking = await page.evaluate(
            """() => performance.getEntriesByType("resource")
                .filter((one) => one.renderBlockingStatus === "blocking").map((one) => new URL(one.name).pathname)"""
        )
        assert sorted(blocking) == [
            f"{static_url()}/{name}" for name in ("css/chat.css", "css/lab.css", "css/style.css", "js/shared/first.js")
        ]


async def test_a_browser_of_some_years_ago_shows_the_chat_and_its_settings(url: str, bot: Bot, browser: Any) -> None:
    async with opened_by_teacher(browser, bot, url) as page:
        await page.add_init_script("delete Map.groupBy; delete Object.groupBy;")
        await page.goto(url)
        await expect(page.locator("#who")).to_contain_text("Moderator")
        await say(page, "/ask hello")
        await choose(page, "Go on in a thread")
        await say(page, "deeper")
        await page.get_by_role("link", name="Back to general").click()
        await expect(page.get_by_role("button", name="1 reply")).to_be_visible()
        await page.goto(f"{url}/settings")
        await expect(page.locator(".group .setting").first).to_be_visible()


async def test_where_no_pairs_of_colours_are_known_there_are_the_light_ones(
    url: str, models: FakeModels, browser: Any
) -> None:
    async def aged(route: Any) -> None:
        response = await route.fetch()
        await route.fulfill(response=response, body=(await response.text()).replace("light-dark(", "no-such-pair("))

    async with opened(browser, url, color_scheme="dark") as page:
        await page.route("**/*.css", aged)
        await page.add_init_script("CSS.supports = () => false; localStorage.setItem('tempera-theme', 'dark');")
        await page.reload()
        assert await page.locator("body").evaluate(COLOUR) == "rgb(255, 253, 249)"
        assert await page.locator("body").evaluate("one => getComputedStyle(one).colorScheme") == "light"
        await page.locator("#input").press_sequentially("/as")
        assert await page.get_by_role("listbox").evaluate(COLOUR) == "rgb(255, 255, 255)"
        await page.get_by_role("button", name="Appearance").click()
        await expect(page.get_by_role("radio", name="Projector")).to_be_visible()
        # What would change nothing is not offered.
        await expect(page.get_by_label("Dark")).to_have_count(0)


NO_POPOVERS = """
    for (const name of ["popover", "showPopover", "hidePopover"]) delete HTMLElement.prototype[name];
    new MutationObserver(() => document.getElementById("look")?.removeAttribute("popover"))
        .observe(document, { childList: true, subtree: true });
"""


async def test_the_appearance_can_be_chosen_without_popovers(url: str, bot: Bot, browser: Any) -> None:
    async with opened_by_teacher(browser, bot, url) as page:
        await page.add_init_script(NO_POPOVERS)
        await page.goto(url)
        await expect(page.locator("#who")).to_contain_text("Moderator")
        button, panel = page.get_by_role("button", name="Appearance"), page.locator("#look")
        await expect(panel).to_be_hidden()
        await expect(button).to_have_attribute("aria-expanded", "false")
        await button.click()
        await expect(button).to_have_attribute("aria-expanded", "true")
        await expect(panel).to_have_css("position", "fixed")
        await page.get_by_label("Dark").check()
        assert await page.locator("html").get_attribute("data-theme") == "dark"
        await page.keyboard.press("Escape")
        await expect(panel).to_be_hidden()
        await expect(button).to_be_focused()
        await button.press("Enter")
        await expect(panel).to_be_visible()
        await page.locator("#input").click()
        await expect(panel).to_be_hidden()
        await button.click()
        await panel.get_by_role("button", name="Give up").click()
        await expect(panel).to_be_hidden()
        await expect(page.locator("#who")).not_to_contain_text("Moderator")


async def test_a_picture_fills_the_screen_where_a_browser_lets_it(url: str, models: FakeModels, browser: Any) -> None:
    async with opened(browser, url) as page:
        await say(page, "/face seed:7")
        await page.locator(".picture").click()
        await page.get_by_role("button", name="Full screen").click()
        await page.wait_for_function(
            "() => document.fullscreenElement?.contains(document.getElementById('viewer-picture'))"
        )
        height = await page.evaluate("() => document.getElementById('viewer-picture').clientHeight / innerHeight")
        assert height > 0.8
        await page.get_by_role("button", name="Close").click()
        await page.wait_for_function("() => !document.fullscreenElement")
        await expect(page.get_by_role("dialog", name="Picture")).to_be_hidden()
        await page.add_init_script("Object.defineProperty(Document.prototype, 'fullscreenEnabled', { value: false });")
        await page.reload()
        await page.locator(".picture").click()
        await expect(page.get_by_role("dialog", name="Picture").get_by_role("button")).to_have_count(1)


async def test_what_a_mouse_would_uncover_is_there_for_fingers(url: str, bot: Bot, browser: Any) -> None:
    phone = {"viewport": PHONE, "has_touch": True, "is_mobile": True}
    async with opened_by_teacher(browser, bot, url, "/", **phone) as page:
        await page.get_by_role("button", name="Rooms and pages").tap()
        await page.get_by_role("button", name="Open a room").tap()
        await page.get_by_label("Name").fill("Lesson 1")
        await page.get_by_role("button", name="Open it").tap()
        close = page.get_by_role("button", name="Close the room lesson-1")
        await expect(close).to_have_css("opacity", "1")
        await page.keyboard.press("Escape")
        # An iPhone enlarges the whole page when the letters of a field are smaller than 16 px.
        await page.locator("#input").fill("/imagine a cat")
        await expect(page.get_by_label("seed", exact=True)).to_have_css("font-size", "16px")


async def test_writing_from_right_to_left_begins_at_the_right(url: str, models: FakeModels, browser: Any) -> None:
    models.answer = ("שלום עולם\n\n- אחת\n- two, `f()`\n\nHello.\n",)
    async with opened(browser, url) as page:
        await page.locator("#input").fill("שלום")
        direction = "one => getComputedStyle(one).direction"
        assert await page.locator("#input").evaluate(direction) == "rtl"
        await say(page, "/ask שלום עולם")
        blocks = await page.locator(".markdown > *").evaluate_all(f"found => found.map({direction})")
        assert blocks == ["rtl", "rtl", "ltr"]
        begins = """(one) => {
            const words = document.createTreeWalker(one, NodeFilter.SHOW_TEXT), range = document.createRange();
            range.selectNodeContents(words.nextNode());
            const box = one.getBoundingClientRect(), { left } = range.getBoundingClientRect();
            return left > box.left + box.width / 2 ? "right" : "left";
        }"""
        assert await page.locator(".question .text").evaluate(begins) == "right"
        assert await page.locator(".markdown li").evaluate_all(f"found => found.map({begins})") == ["right", "right"]
