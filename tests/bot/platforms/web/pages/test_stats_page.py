"""The statistics page: over real sockets, and as a teacher reads it in a real Chromium."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from fakes.platforms.browser import MARKS, axe, opened, opened_by_teacher, violations
from fakes.platforms.web_page import Visitor
from playwright.async_api import expect

from bot.app import Bot
from bot.storage.counters import REFUSAL, USE, VOTE, WAIT, count, day_of
from bot.storage.database import now

PHONE = {"width": 360, "height": 740}


async def add(bot: Bot, kind: str, command: str, value: str, by: int, ago: int = 0) -> None:
    async with bot.database.writing() as session:
        await session.run_sync(count, ("web", "web"), kind, command, value, day_of(now() - timedelta(days=ago)), by)


async def asked(person: Visitor, days: str = "7", locale: str = "en") -> tuple[int, dict[str, Any]]:
    async with person.session.get(f"{person.url}/statistics/data?days={days}&locale={locale}") as response:
        return response.status, await response.json()


async def test_moderators_get_the_statistics(bot: Bot, teacher: Visitor) -> None:
    await add(bot, USE, "ask", "done", 5, ago=1)
    await add(bot, USE, "ask", "failed", 1)
    await add(bot, WAIT, "ask", "2", 5)
    await add(bot, VOTE, "ask", "up", 3)
    await add(bot, USE, "face", "done", 2, ago=20)
    await add(bot, REFUSAL, "ask", "hate", 4)
    status, found = await asked(teacher)
    assert status == 200
    assert found.pop("days") == [day_of(now() - timedelta(days=ago)) for ago in reversed(range(7))]
    assert found == {
        "commands": [
            {"name": "ask", "numbers": [0, 0, 0, 0, 0, 5, 1], "wait": {"half": 2, "most": 2}, "up": 3, "down": 0}
        ],
        "refused": [0, 0, 0, 0, 0, 0, 4],
        "reasons": [["hate", 4]],
        "total": 6,
        "failed": 1,
    }
    assert [one["name"] for one in (await asked(teacher, "30"))[1]["commands"]] == ["ask", "face"]
    for wrong in ("", "8", "-1", "9" * 400):
        assert len((await asked(teacher, wrong))[1]["days"]) == 7


async def test_others_are_refused_the_statistics(bot: Bot, ben: Visitor, teacher: Visitor) -> None:
    await add(bot, USE, "ask", "done", 5)
    assert await asked(ben) == (403, {"error": "Only moderators can see the statistics."})
    assert await asked(ben, locale="de") == (403, {"error": "Nur Moderatoren können die Statistik sehen."})
    for person, links in ((ben, False), (teacher, True)):
        async with person.page() as page:
            there = [one["url"] for one in page.received[-1]["links"]]
            assert ("/statistics" in there) == links


@asynccontextmanager
async def at_school(bot: Bot, url: str, browser: Any, **look: Any) -> AsyncIterator[Any]:
    """Yield the page as a teacher sees it."""
    for ago in range(30):
        for number, name in enumerate(("ask", "imagine", "face", "odds", "dial", "explain", "help")):
            await add(bot, USE, name, "done", 20 - 2 * number, ago)
    await add(bot, WAIT, "ask", "longer", 5)
    await add(bot, REFUSAL, "ask", "hate", 4)
    async with opened_by_teacher(browser, bot, url, "/statistics", **look) as page:
        yield page


@MARKS[0]
@MARKS[1]
@pytest.mark.parametrize("look", [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"viewport": PHONE}], ids=str)
async def test_the_page_is_accessible(look: dict[str, Any], bot: Bot, url: str, browser: Any) -> None:
    program = axe()
    async with at_school(bot, url, browser, **look) as page:
        await expect(page.locator(".bars .day")).to_have_count(7)
        assert await violations(page, program) == []
        await page.get_by_label("Days").select_option("30")
        await expect(page.locator(".bars .day")).to_have_count(30)
        assert await violations(page, program) == []
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


@MARKS[0]
@MARKS[1]
async def test_tables_have_the_numbers_of_the_chart(bot: Bot, url: str, browser: Any) -> None:
    async with at_school(bot, url, browser) as page:
        await expect(page.get_by_role("status")).to_have_text("Answers: 686, with an error: 0. Refusals: 4.")
        commands = page.get_by_role("table", name="By command")
        await expect(commands.get_by_role("row").nth(1)).to_have_text("/ask140more than 5 minmore than 5 min00")
        days = page.get_by_role("table", name="By day")
        await expect(days.get_by_role("row")).to_have_count(8)
        await expect(days.get_by_role("row").nth(1).get_by_role("cell")).to_have_text(
            ["20", "18", "16", "14", "12", "18", "98", "4"]
        )
        await expect(page.get_by_role("table", name="Refused").get_by_role("row").nth(1)).to_have_text("hate4")
        widths = await page.locator(".day").evaluate_all("all => all.map(one => one.getBoundingClientRect().width)")
        assert max(widths) - min(widths) < 1
        await expect(page.locator(".day b").last).to_have_text("98")
        await expect(page.locator(".legend li")).to_have_text(
            ["/ask", "/imagine", "/face", "/odds", "/dial", "all others"]
        )


@MARKS[0]
@MARKS[1]
async def test_a_pupil_sees_why_there_are_no_statistics(url: str, browser: Any) -> None:
    async with opened(browser, f"{url}/statistics", expected="403") as page:
        await expect(page.get_by_role("alert")).to_have_text("Only moderators can see the statistics.")
        await expect(page.get_by_label("Days")).to_be_hidden()
