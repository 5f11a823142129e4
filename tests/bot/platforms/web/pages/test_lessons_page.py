"""Lessons as pages of the web chat: the data that is served, and that HTML in a lesson cannot run."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fakes.model_server.model_api import FakeModels
from fakes.platforms.browser import MARKS, axe, opened, say, violations
from fakes.platforms.discord_bot import bot_with_plugins
from fakes.platforms.teachers_page import become_teacher
from fakes.platforms.web_page import Visitor
from playwright.async_api import expect

from bot.app import Bot
from bot.config.sections import ExplainSection
from bot.core.messages import User
from bot.settings.setting import Scope

PETS = """# Pets

About pets.

## Cats

Cats **purr**,
and they [sleep](https://example.org/).

## Why do cats purr?

Cats purr because they are content.
"""
NASTY = """# Nasty <img src=x onerror=alert(1)>

## Links <script>alert(2)</script>

[bad](javascript:alert(3)) [worse](data:text/html,<script>alert(4)</script>) [good](https://example.org/)
![spy](https://example.org/spy.png)

## Tags

Before <script>alert(5)</script><img src=x onerror=alert(6)> <a href="javascript:alert(7)">after</a>.

<iframe src="javascript:alert(8)"></iframe>
"""
MARKED = """# Marked

## Links

[bad](javascript:alert(1)) [worse](data:text/html,x) [good](https://example.org/)
![spy](https://example.org/spy.png) ![script](javascript:alert(3))

[told](later)

[later]: javascript:alert(4)
"""
"""A lesson of Markdown alone is shown as written; one with HTML is shown as it was parsed."""
LOOK_AGAIN = '() => document.dispatchEvent(new Event("visibilitychange"))'
TEACHER = User("m", "Mod", is_moderator=True)
HEBREW = "# חתולים\n\nחתולים מגרגרים.\n"


@pytest.fixture
async def bot(models: FakeModels, tmp_path: Path) -> AsyncIterator[Bot]:
    models.listed = {"fake-chat": "chat"}
    files = []
    for name, text in (("pets.md", PETS), ("nasty.md", NASTY), ("marked.md", MARKED), ("hebrew.md", HEBREW)):
        files.append(tmp_path / name)
        files[-1].write_text(text)
    sections = {"explain": ExplainSection(lessons=tuple(files))}
    async with bot_with_plugins(models, tmp_path, ("ask", "explain", "help"), sections=sections) as running:
        yield running


async def fetched(one: Visitor, path: str) -> Any:
    async with one.session.get(f"{one.url}{path}") as response:
        assert response.status == 200
        return await response.json()


async def test_the_lessons_are_listed_and_each_comes_in_parts(ann: Visitor) -> None:
    listed = await fetched(ann, "/reading/explain")
    assert listed["pages"][0] == {"name": "pets", "title": "Pets"}
    assert len(listed["pages"]) == 4
    shown = await fetched(ann, "/reading/explain/pets")
    assert shown["title"] == "Pets"
    assert [(part["heading"], part["level"], part["anchor"], part["ask"]) for part in shown["parts"]] == [
        ("Pets", 1, "pets", "/explain Pets"),
        ("Cats", 2, "cats", "/explain Cats"),
        ("Why do cats purr?", 2, "why-do-cats-purr", "/explain Why do cats purr?"),
    ]
    assert shown["parts"][1]["text"] == "Cats **purr**,\nand they [sleep](https://example.org/)."


@pytest.mark.parametrize("path", ["/reading/explain/none", "/reading/none/pets"])
async def test_unknown_pages_are_not_found(ann: Visitor, path: str) -> None:
    async with ann.session.get(f"{ann.url}{path}") as response:
        assert response.status == 404
        assert await response.text() == "There is no such page."


@pytest.fixture
async def in_one_room(bot: Bot, ann: Visitor) -> None:
    """Switch lessons off in the whole chat, and on in the room “lesson-1”."""
    await become_teacher(bot, ann)
    async with ann.page() as page:
        await page.make_room("lesson-1")
    await bot.registry.switch("explain", Scope("web", "web"), TEACHER, on=False)
    await bot.registry.switch("explain", Scope("web", "web", "lesson-1"), TEACHER, on=True)


@pytest.mark.usefixtures("in_one_room")
async def test_lessons_are_those_of_the_room_the_page_was_opened_from(ben: Visitor) -> None:
    async with ben.page(room="lesson-1") as page:
        assert {"url": "/read/explain?room=lesson-1", "label": "Lessons"} in page.received[0]["links"]
        assert (
            "/read/explain/pets?room=lesson-1#why-do-cats-purr"
            in (await page.ask("/explain why do cats purr?"))["reply"]["text"]
        )
    for room, count in (("lesson-1", 4), ("general", 0), ("attic", 0)):
        assert len((await fetched(ben, f"/reading/explain?room={room}"))["pages"]) == count
    assert (await fetched(ben, "/reading/explain/pets?room=lesson-1"))["title"] == "Pets"
    assert (await ben.get("/reading/explain/pets")).status == 404


class TestInABrowser:
    """Tests in a real Chromium."""

    pytestmark = MARKS

    async def test_a_lesson_is_read_linked_to_and_asked_about(self, url: str, browser: Any) -> None:
        async with opened(browser, f"{url}/read/explain/pets#cats") as page:
            cats = page.locator("section#cats")
            await expect(cats.locator("strong")).to_have_text("purr")
            # A line that was wrapped by hand flows on.
            await expect(cats.locator(".markdown p")).to_have_text("Cats purr, and they sleep.")
            await expect(cats.locator("br")).to_have_count(0)
            await expect(page.locator("#headings a")).to_have_text(["Pets", "Cats", "Why do cats purr?"])
            await page.locator("#headings a").last.click()
            assert page.url.endswith("#why-do-cats-purr")
            await cats.get_by_role("button", name="Ask about this").click()
            await expect(page.locator("#input")).to_have_value("/explain Cats")
            await page.get_by_role("link", name="Lessons").click()
            await expect(page.locator(".pages a")).to_have_count(4)
            assert "null" not in await page.locator("#text").inner_text()

    @pytest.mark.usefixtures("in_one_room")
    async def test_the_lesson_leads_back_to_the_room_it_was_opened_from(self, url: str, browser: Any) -> None:
        async with opened(browser, f"{url}/#lesson-1") as page:
            title = page.locator("#title")
            for link in ("Lessons", "The temperature dial"):
                await page.get_by_role("link", name=link).click()
                home = page.locator("#home")
                await expect(home).to_have_attribute("href", "/#lesson-1")
                await home.click()
                await expect(title).to_have_text("lesson-1")
            await page.get_by_role("link", name="Lessons").click()
            await page.get_by_role("link", name="Pets").click()
            await page.locator("section#cats").get_by_role("button", name="Ask about this").click()
            await expect(title).to_have_text("lesson-1")
            await page.locator("#input").press("Enter")
            await expect(page.locator(".exchange .markdown")).to_contain_text("they sleep")

    async def test_a_draft_waits_until_the_question_about_a_lesson_is_asked(self, url: str, browser: Any) -> None:
        async with opened(browser, url) as page:
            box = page.locator("#input")
            await box.fill("What I was about to say")
            for heading in ("pets", "cats"):
                await page.goto(f"{url}/read/explain/pets")
                await page.locator(f"section#{heading}").get_by_role("button", name="Ask about this").click()
            await expect(box).to_have_value("/explain Cats")
            await box.press("Enter")
            await expect(box).to_have_value("What I was about to say")
            await page.reload()
            await expect(box).to_have_value("What I was about to say")
            await say(page, "/help")
            await expect(box).to_have_value("")
            # A question that was never asked does not come back.
            for heading in ("pets", "cats"):
                await page.goto(f"{url}/read/explain/pets")
                await page.locator(f"section#{heading}").get_by_role("button", name="Ask about this").click()
                await expect(box).to_have_value(f"/explain {heading.capitalize()}")
            await box.press("Enter")
            await expect(box).to_have_value("")

    async def test_a_lesson_may_be_written_from_right_to_left(self, url: str, browser: Any) -> None:
        async with opened(browser, f"{url}/read/explain/חתולים#5%") as page:
            await expect(page.get_by_role("heading", level=1)).to_contain_text("חתולים")
            parts = "#text h1, #text .markdown p, #headings a"
            directions = await page.locator(parts).evaluate_all(
                "found => found.map((one) => getComputedStyle(one).direction)"
            )
            assert directions == ["rtl"] * 3

    @pytest.mark.parametrize("name", ["nasty", "marked"])
    async def test_html_in_a_lesson_cannot_run(self, url: str, name: str, browser: Any) -> None:
        async with opened(browser, f"{url}/read/explain/{name}") as page:
            await expect(page.locator("section").nth(1)).to_be_visible()
            assert await page.locator("#text :is(script, img, iframe, object, style)").count() == 0
            links = page.locator("#text .markdown a")
            hrefs = await links.evaluate_all("found => found.map((link) => link.getAttribute('href'))")
            assert [href for href in hrefs if href and not href.startswith("https://example.org/")] == []
            assert ("https://example.org/" in hrefs) is (name == "marked")

    @pytest.mark.parametrize("colours", ["light", "dark"])
    async def test_lessons_are_accessible(self, url: str, colours: str, browser: Any) -> None:
        program = axe()
        async with opened(browser, url, color_scheme=colours, expected="404") as page:
            for size in ({"width": 1280, "height": 800}, {"width": 360, "height": 640}):
                await page.set_viewport_size(size)
                for path, there in (("", ".pages a"), ("/pets", "section#cats"), ("/gone", "#text h1")):
                    await page.goto(f"{url}/read/explain{path}")
                    await expect(page.locator(there).first).to_be_visible()
                    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                    assert await violations(page, program) == []
            ground = await page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
            assert (max(ground) < 60) is (colours == "dark")
            await page.goto(f"{url}/read/explain/pets")
            await page.get_by_text("Contents").click()
            await expect(page.locator("#headings")).to_be_visible()
            assert await violations(page, program) == []

    async def test_a_page_that_is_gone_says_so(self, url: str, browser: Any) -> None:
        async with opened(browser, f"{url}/read/explain/gone", expected="404") as page:
            await expect(page.get_by_role("heading")).to_have_text("There is no such page")
            await page.locator("#text").get_by_role("link", name="Back to the chat").click()
            await expect(page.locator("#input")).to_be_visible()
            # One that was there is shown again once it is back.
            await page.goto(f"{url}/read/explain/pets")
            await expect(page.locator("section#cats")).to_be_visible()
            await page.route("**/reading/**", lambda route: route.fulfill(status=404, body="There is no such page."))
            await page.evaluate(LOOK_AGAIN)
            await expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
            await expect(page.locator("#contents")).to_be_hidden()
            await page.unroute("**/reading/**")
            await page.evaluate(LOOK_AGAIN)
            await expect(page.locator("section#cats")).to_be_visible()

    @pytest.mark.parametrize("status", [0, 502, 503])
    async def test_a_page_that_fails_to_load_is_not_called_missing(self, url: str, status: int, browser: Any) -> None:
        async with opened(browser, url, expected="Failed to load resource") as page:
            proxy = {"status": status, "content_type": "text/html", "body": "<p>"}
            await page.route("**/reading/**", lambda route: route.fulfill(**proxy) if status else route.abort())
            for path in ("", "/pets"):
                await page.goto(f"{url}/read/explain{path}")
                await expect(page.get_by_role("alert")).to_have_text("The chat cannot be reached. Try again.")
                await expect(page.get_by_role("heading")).to_have_text("Lessons")

    async def test_an_answer_leads_to_its_place_in_the_lesson_and_questions_complete(
        self, url: str, browser: Any
    ) -> None:
        async with opened(browser, url) as page:
            box = page.locator("#input")
            await box.press_sequentially("/explain why do")
            options = page.locator("#suggestions li")
            await expect(options).to_have_text(["Why do cats purr?"])
            await box.press("Tab")
            await expect(box).to_have_value("/explain Why do cats purr?")
            await expect(options).to_have_count(0)
            await box.press("Enter")
            link = page.locator(".exchange .markdown a")
            await expect(link).to_have_text("Pets › Why do cats purr?")
            async with page.context.expect_page() as coming:
                await link.click()
            lesson = await coming.value
            await expect(lesson.locator("section#why-do-cats-purr")).to_be_visible()
