"""A teacher who has read nothing: ten tasks in a browser, each within three clicks of the start page."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fakes.core.settings import WEB, put
from fakes.model_server.model_api import FakeModels
from fakes.platforms.browser import COUNT_SHIFTS, MARKS, axe, opened, opened_by_teacher, violations
from fakes.platforms.discord_bot import bot_with_plugins
from playwright.async_api import expect
from pydantic import SecretStr

from bot.app import Bot
from bot.config.sections import WebSection
from bot.core.messages import Place
from bot.platforms.web import WebPlatform
from bot.platforms.web.access.teachers import WebModerators, teacher_link

pytestmark = MARKS
CODE, MOST_CLICKS = "open 100% sesame", 3
LONGEST_SHIFT = 0.05
ROOM = Place("web", "general", "web")
CELLS = b"# Cells\n\n## What is a cell\n\nA cell is the smallest living thing.\n"


class Clicks:
    """Counts what a teacher presses for one task. Choosing in a list takes two clicks, and typing none."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.count = 0

    async def press(self, role: str, name: str, **more: Any) -> None:
        await self.page.get_by_role(role, name=name, **more).click()
        self.count += 1

    async def choose_room(self, room: str) -> None:
        await self.page.get_by_label("What you set below is for").select_option(room)
        await expect(self.page.get_by_text("Commands in this room")).to_be_visible()
        self.count += 2

    async def end(self) -> None:
        """Wait until it is done, and begin anew."""
        assert 0 < self.count <= MOST_CLICKS
        self.count = 0


@pytest.fixture
async def bot(models: FakeModels, tmp_path: Path) -> AsyncIterator[Bot]:
    enabled = ("ask", "explain", "imagine", "help", "moderation", "privacy", "config")
    async with bot_with_plugins(models, tmp_path, enabled, settings={"safety.level": "standard"}) as running:
        yield running


async def say(page: Any, line: str, words: str) -> None:
    await page.locator("#input").fill(line)
    await page.locator("#input").press("Enter")
    await expect(page.locator(".exchange:not(.running)", has_text=words).last).to_be_visible()


async def test_ten_tasks_of_a_newcomer_take_three_clicks_each(bot: Bot, browser: Any) -> None:
    program = axe()
    section = WebSection(port=0, join_code=SecretStr(CODE))
    async with WebPlatform(bot, section).serve() as url:
        link = teacher_link(url, await WebModerators(bot.database).create_code())
        async with (
            opened(browser, link, expected="422") as hers,
            opened(browser, f"{url}/join#code=open%20100%%20sesame") as his,
        ):
            assert "#" not in hers.url
            await hers.get_by_label("Your name").fill("Mx Hill")
            await hers.get_by_role("button", name="Sign in").click()
            clicks = Clicks(hers)
            saved, board = hers.locator("#said"), his.locator("#board")

            # Let others in: only this computer can open the chat, and the page says what to do about that.
            await expect(hers.get_by_label("Command", exact=True)).to_contain_text("TEMPERA_WEB__HOST=0.0.0.0")
            await his.get_by_role("button", name="Come in").click()
            await expect(his.locator("#title")).to_contain_text("general")
            assert await violations(hers, program) == []

            # See who is here.
            await clicks.press("link", "Who is here")
            await expect(hers.locator("#people li")).to_have_count(1)
            await clicks.end()

            # Silence one pupil.
            await clicks.press("button", "Time out: Guest")
            await hers.get_by_role("dialog").get_by_role("button", name="Time out").click()
            clicks.count += 1
            await expect(hers.locator("#people li")).to_contain_text("timed out until")
            await clicks.end()
            await clicks.press("button", "Let them ask again")
            await expect(hers.get_by_role("button", name="Time out: Guest")).to_be_visible()
            await clicks.end()

            # Start a lesson.
            await clicks.press("button", "Choose …: Classroom")
            await expect(hers.get_by_role("row", name="How strictly messages and answers are checked")).to_be_visible()
            assert await violations(hers, program) == []
            await clicks.press("button", "Apply it: Classroom")
            await expect(hers.get_by_text("“Classroom” was applied here.")).to_be_in_viewport()
            await expect(saved).to_be_in_viewport()
            await expect(hers.get_by_role("button", name="Choose …: Classroom")).to_be_focused()
            assert bot.settings.value("safety.level", ROOM) == "classroom"
            await clicks.end()
            await clicks.press("button", "Take it back: Classroom")
            await expect(hers.get_by_text("“Classroom” was applied here.")).to_be_hidden()
            assert bot.settings.value("safety.level", ROOM) == "standard"
            await clicks.end()

            # Keep a room to /explain.
            await clicks.choose_room("general")
            await clicks.press("button", "Only this: /explain")
            await expect(saved).to_contain_text("Saved")
            await expect(hers.get_by_role("checkbox", name="/ask")).not_to_be_checked()
            await say(his, "/ask hello", "/ask is switched off here.")
            await clicks.end()

            # Silence everybody.
            await clicks.press("switch", "Pause everybody")
            await expect(board).to_contain_text("Mx Hill has paused the chat")
            await say(his, "/explain hello", "has paused the chat")
            assert await violations(his, program) == []
            await clicks.end()
            await clicks.press("switch", "Pause everybody")
            await expect(board).to_be_hidden()
            await expect(saved).to_contain_text("Saved")
            await clicks.end()

            # Let nobody write, who may still read.
            await clicks.press("switch", "Only for reading")
            await expect(board).to_contain_text("This room is only for reading.")
            await expect(saved).to_contain_text("Saved")
            await clicks.press("switch", "Only for reading")
            await expect(board).to_be_hidden()
            await clicks.end()

            # See what nobody could answer.
            explain = next(one for one in bot.registry.plugins if one.name == "explain")
            await explain.gaps.count_question("web", "Who found cells?")
            await hers.reload()
            await expect(hers.locator(".gaps")).to_contain_text("Who found cells?")

            # Add a lesson.
            lesson = {"name": "Cells.md", "mimeType": "text/markdown", "buffer": CELLS}
            await hers.locator("#lesson-file").set_input_files(lesson)
            await expect(hers.locator(".answered")).to_contain_text("“Cells” is version 1 now")
            await expect(his.get_by_role("link", name="Cells")).to_be_visible()
            await hers.locator("#lesson-file").set_input_files(lesson | {"buffer": b"# Cells\n\nOops.\n"})
            await expect(hers.get_by_text("2 versions")).to_be_visible()
            await hers.get_by_text("2 versions").click()
            assert await violations(hers, program) == []
            clicks.count = 1
            await clicks.press("button", "Use it again: Cells, 1")
            await expect(hers.get_by_text("3 versions")).to_be_visible()
            await clicks.end()

            # Pin a task.
            task = hers.get_by_label("Everybody sees it above the messages")
            # A script can send what the field would not take.
            await task.evaluate("area => area.removeAttribute('maxlength')")
            await task.fill("Why? " * 121)
            await hers.get_by_role("button", name="Pin it").click()
            await expect(hers.get_by_role("alert").first).to_contain_text("at most 600 characters")
            assert await task.input_value() == "Why? " * 121
            await task.fill("Find out **why**. ")
            await clicks.press("button", "Pin it: the task")
            await expect(board).to_contain_text("Find out why.")
            await expect(task).to_have_value("Find out **why**.")
            await clicks.end()

            # Announce something.
            await hers.get_by_label("A line from you among the messages").fill("Five minutes left")
            await clicks.press("button", "Announce", exact=True)
            await expect(his.locator(".announcement")).to_contain_text("Five minutes left")
            await expect(hers.get_by_label("A line from you among the messages")).to_have_value("")
            await clicks.end()
            assert await violations(his, program) == []

            # Read the transcript.
            async with hers.expect_download() as download:
                await clicks.press("link", "general.md")
            text = await asyncio.to_thread(Path(await (await download.value).path()).read_text, "utf-8")
            assert "> Five minutes left" in text
            await clicks.end()

            # Set the highest temperature.
            await hers.get_by_role("slider", name="Highest temperature").focus()
            clicks.count = 1
            for _ in range(5):
                await hers.keyboard.press("ArrowLeft")
            await expect(saved).to_contain_text("Saved")
            await expect(hers.locator(".heat output")).to_have_text("1.5")
            assert bot.settings.value("temperature.maximum", ROOM) == 1.5
            await clicks.end()

            # Set what most teachers set, and find all the rest.
            await hers.get_by_label("Questions of one person in an hour").fill("60")
            await hers.get_by_label("Questions of one person in an hour").press("Tab")
            await expect(saved).to_contain_text("Saved")
            await clicks.press("link", "Advanced: all settings")
            await expect(hers.get_by_role("heading", name="Settings")).to_be_visible()
            await clicks.end()


async def test_a_box_changes_its_own_command_and_a_page_that_is_seen_again_is_of_today(
    bot: Bot, url: str, browser: Any
) -> None:
    async with opened_by_teacher(browser, bot, url) as hers:
        ask, imagine, explain = (hers.get_by_role("checkbox", name=name) for name in ("/ask", "/imagine", "/explain"))
        await expect(ask).to_be_checked()
        # Another teacher has begun an exam, of which this page knows nothing.
        await put(bot.settings, "ask.enabled", "false", WEB)
        await expect(ask).to_be_checked()
        await imagine.uncheck()
        await expect(hers.locator("#said")).to_contain_text("Saved")
        await expect(ask).not_to_be_checked()
        assert bot.settings.value("explain.enabled", ROOM)
        assert not bot.settings.value("imagine.enabled", ROOM)
        await put(bot.settings, "explain.enabled", "false", WEB)
        await expect(explain).to_be_checked()
        await hers.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
        await expect(explain).not_to_be_checked()
        await imagine.check()
        await expect(hers.locator("#said")).to_contain_text("Saved")
        assert bot.settings.value("imagine.enabled", ROOM)
        assert not bot.settings.value("ask.enabled", ROOM)


@pytest.mark.parametrize(
    ("locale", "title", "look"),
    [
        ("de-DE", "Seite für Lehrkräfte", {"color_scheme": "dark"}),
        ("es-ES", "Página del profesorado", {"viewport": {"width": 360, "height": 740}}),
    ],
)
async def test_the_page_keeps_nobody_out_and_nothing_on_it_moves(
    bot: Bot, browser: Any, locale: str, title: str, look: dict[str, Any]
) -> None:
    program = axe()
    section = WebSection(port=0, join_code=SecretStr(CODE), url="https://chat.example")
    async with WebPlatform(bot, section).serve() as url:
        link = teacher_link(url, await WebModerators(bot.database).create_code())
        async with opened(browser, link, locale=locale, **look) as page:
            await page.add_init_script(COUNT_SHIFTS)
            await page.get_by_role("button").last.click()
            await expect(page.get_by_role("heading", name=title)).to_be_visible()
            await expect(page.locator("#basics label").last).to_be_visible()
            assert await violations(page, program) == []
            assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
            assert await page.evaluate("() => shift") < LONGEST_SHIFT
            await page.locator("#invite button.primary").click()
            assert await violations(page, program) == []
