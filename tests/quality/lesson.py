"""Plays a lesson of twenty minutes in four browsers, a teacher's and three pupils': `python -m quality.lesson FOLDER`.

It starts the bot with its real models, or with those of the model server at --server, and waits for nobody to think.
What each browser showed is kept in FOLDER, to be looked at: no assertion sees that a sentence confuses, or that
something is cut off. At its end it prints what the browsers complained of.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fakes.platforms.browser import ARGUMENTS, CHROMIUM
from fakes.platforms.seat import Seat
from fakes.programs.deployment import Deployment
from playwright.async_api import async_playwright, expect

from bot.platforms.web.access.teachers import WebModerators, teacher_link
from bot.storage.database import Database

DESK = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
CODE = "open-sesame-2026"
REAL = {
    "TEMPERA_SETTINGS": "{}",
    "TEMPERA_EXPLAIN__LESSONS": '["lessons/what-is-generative-ai.md"]',
    "TEMPERA_WEB__HOST": "0.0.0.0",
    "TEMPERA_WEB__JOIN_CODE": CODE,
}
"""A bot for a class in a network, with safety checks and the lesson that comes along."""
CELLS = """# Cells

## What is a cell

A cell is the smallest living thing. Robert Hooke saw the first ones in cork, through a microscope, in 1665.

## What is inside a cell

Most cells have a nucleus, which holds the plan of the whole living thing, and mitochondria, which give it energy.
"""


class Lesson:
    """The seats, and the folder of what they showed."""

    def __init__(self, made: Deployment, browser: Any, folder: Path) -> None:
        self._made, self._browser, self._folder = made, browser, folder
        self._began, self._count = time.monotonic(), 0
        self.home = self.url = made.web_url
        self.seats: list[Seat] = []

    async def seat(self, name: str, **look: Any) -> Seat:
        """A browser of somebody who was never here."""
        person = await self._browser.new_context(**{"locale": "en-GB", **DESK, **look})
        return await self.tab(name, person)

    async def tab(self, name: str, person: Any) -> Seat:
        """One more page of a browser."""
        seat = Seat(name, await person.new_page())
        seat.listen()
        self.seats.append(seat)
        return seat

    async def step(self, what: str, *seats: Seat, whole: bool = False) -> None:
        """Keep what these browsers, or all of them, show now; with `whole`, also what would have to be scrolled to."""
        self._count += 1
        print(f"{time.monotonic() - self._began:5.0f} s  {self._count:02} {what}", flush=True)
        for seat in seats or [one for one in self.seats if "/class" not in one.page.url]:
            path = self._folder / f"{self._count:02}-{what.replace(' ', '-')}-{seat.name}.png"
            await seat.page.wait_for_timeout(400)
            await seat.page.screenshot(path=path, animations="disabled", full_page=whole)

    async def sign_in(self, seat: Seat) -> None:
        """Make it a teacher's browser."""
        async with Database(self._made.environment["TEMPERA_DATABASE__URL"]) as database:
            code = await WebModerators(database).create_code()
        await seat.page.goto(teacher_link(self.url, code))
        await self.step("link", seat)
        await seat.page.get_by_label("Your name").fill("Ms Hill")
        await seat.page.get_by_role("button", name="Sign in").click()
        await expect(seat.page.get_by_role("heading", level=1)).to_have_text("Teacher’s page")
        await expect(seat.page.locator("#basics label").last).to_be_visible()

    async def keep(self, download: Any) -> None:
        """Keep a file that was downloaded."""
        await download.save_as(self._folder / download.suggested_filename)

    def report(self) -> None:
        """Print how long it took, and what nobody has seen."""
        print(f"The lesson took {time.monotonic() - self._began:.0f} s.")
        for seat in self.seats:
            for problem in seat.problems:
                print(f"{seat.name}: {problem}")


async def play(lesson: Lesson) -> None:
    """The lesson."""
    teacher = await lesson.seat("teacher")
    await begin(lesson, teacher)
    projector = await lesson.tab("projector", teacher.page.context)
    ada, ben, cleo = await come_in(lesson, teacher, projector)
    await talk_with_a_model(lesson, teacher, ada, ben, cleo)
    await draw(lesson, ada, ben, cleo)
    await look_inside(lesson, ada, ben)
    await explain(lesson, teacher, ada, ben, cleo)
    await keep_order(lesson, teacher, ada, ben, cleo)
    await end(lesson, teacher, ada, cleo)


async def begin(lesson: Lesson, teacher: Seat) -> None:
    """A teacher who sees the page for the first time sets the preset for a class."""
    page = teacher.page
    await lesson.sign_in(teacher)
    await lesson.step("start page", teacher, whole=True)
    await page.get_by_role("button", name="Choose …: Classroom").click()
    await lesson.step("preset", teacher)
    await page.get_by_role("button", name="Apply it").click()
    await expect(page.get_by_text("“Classroom” was applied here.")).to_be_visible()
    await lesson.step("preset applied", teacher)
    await page.get_by_label("Seconds between two questions").fill("0")
    await page.keyboard.press("Tab")
    await expect(page.locator("#said")).to_contain_text("Saved")
    await page.get_by_role("button", name="Show it large").click()
    await lesson.step("invitation", teacher)
    lesson.url = "http://" + await page.locator("#large-body dd").first.inner_text()
    await page.get_by_role("button", name="Close").click()


async def come_in(lesson: Lesson, teacher: Seat, projector: Seat) -> tuple[Seat, Seat, Seat]:
    """One pupil scans the code, one types it in German, and one with a phone must knock."""
    ada, ben = await lesson.seat("ada"), await lesson.seat("ben", locale="de-DE")
    cleo = await lesson.seat("cleo", color_scheme="dark", **PHONE)
    await ada.page.goto(f"{lesson.url}/join#code={quote(CODE)}")
    await ben.page.goto(lesson.url)
    await ben.page.locator("#code").fill("guess")
    await ben.page.locator("button[type=submit]").click()
    await expect(ben.page.get_by_role("alert")).not_to_be_empty()
    await lesson.step("join", ada, ben)
    await ben.page.locator("#code").fill(CODE)
    for seat in (ada, ben):
        await seat.page.locator("button[type=submit]").click()
        await expect(seat.page.locator("#who")).to_be_visible()
    await lesson.step("come in", ada, ben)
    await ada.call("Ada")
    await ben.page.locator("#who").click()
    await ben.page.locator("#form input").fill("Teacher")
    await ben.page.keyboard.press("Enter")
    await expect(ben.page.locator("#form .error")).not_to_be_empty()
    await lesson.step("name", ben)
    await ben.page.keyboard.press("Escape")
    await ben.call("Ben")
    await teacher.page.goto(f"{lesson.home}/settings")
    await teacher.page.get_by_label("Find").fill("knock")
    await lesson.step("settings", teacher)
    await teacher.page.get_by_label("access.knock", exact=True).check()
    await teacher.page.get_by_role("button", name="Save").click()
    await expect(teacher.page.get_by_text("no → yes")).to_be_visible()
    await lesson.step("knock set", teacher)
    await teacher.page.locator("#home").click()
    await expect(teacher.page.locator("#who")).to_contain_text("Moderator")
    await projector.page.goto(f"{lesson.home}/#general")
    await expect(projector.page.locator("#who")).to_be_visible()
    await projector.page.locator("#projector").click()
    await cleo.page.goto(f"{lesson.url}/join#code={quote(CODE)}")
    await lesson.step("join by phone", cleo)
    await cleo.page.locator("button[type=submit]").tap()
    await cleo.page.locator("#name").fill("Cleo")
    await lesson.step("knock", cleo)
    await cleo.page.locator("#submit").tap()
    await expect(teacher.page.get_by_text("Cleo would like to come in.")).to_be_visible()
    await lesson.step("somebody waits", cleo, teacher, projector)
    await teacher.page.wait_for_timeout(700)
    await teacher.page.get_by_role("button", name="Let in").click()
    await expect(cleo.page.locator("#who")).to_contain_text("Cleo")
    for seat in (teacher, ada, ben, cleo):
        await seat.page.evaluate("() => { location.hash = 'general'; }")
        await expect(seat.page.locator("#title")).to_contain_text("general")
    await lesson.step("everybody is here")
    return ada, ben, cleo


async def talk_with_a_model(lesson: Lesson, teacher: Seat, *pupils: Seat) -> None:
    """Everybody asks at once, at temperatures of their own."""
    ada, ben, cleo = pupils
    await teacher.page.get_by_role("link", name="Teacher’s page").click()
    await teacher.page.get_by_label("Everybody sees it above the messages").fill(
        "Find out **what the temperature does**.\n\n1. Ask for a story at 0.2 and at 1.4.\n2. Press *Warmer*."
    )
    await teacher.page.get_by_role("button", name="Pin it").click()
    for pupil in pupils:
        await expect(pupil.page.locator("#board")).to_contain_text("Find out")
    await lesson.step("task")
    await lesson.step("task pinned", teacher)
    for pupil in (ada, cleo):
        await pupil.page.locator("#input").fill("/ask ")
    await lesson.step("message box", ada, cleo)
    await asyncio.gather(
        ada.say("/ask temperature:0.2 seed:3 max_tokens:60 Tell me a story about an egg, in three sentences."),
        ben.say("/ask temperature:1.4 seed:3 max_tokens:60 Erzähl mir in drei Sätzen von einem Ei."),
        cleo.say("/ask temperature:1 seed:3 max_tokens:60 Tell me about a fox in two sentences."),
    )
    await lesson.step("asked")
    mine = ada.page.locator(".exchange", has_text="in three sentences")
    await mine.get_by_role("button", name="Warmer").click()
    await ada.ended(ada.page.locator(".above", has_text="Warmer"))
    await ben.say("/ask temperature:1.9 Was ist ein Ei?")
    await lesson.step("warmer and too warm")
    answer = await cleo.say("/ask max_tokens:40 What is a token?")
    await answer.get_by_role("button", name="Continue").tap()
    await lesson.step("continue", cleo)
    await cleo.type("And why is it not a word?")
    await cleo.ended(cleo.page.locator(".question", has_text="And why is it not a word?"))
    await lesson.step("continued", cleo)


async def draw(lesson: Lesson, ada: Seat, ben: Seat, cleo: Seat) -> None:
    """Pictures and faces, of which one is looked at."""
    await cleo.type("/imagine steps:12 seed:7 a red heart")
    await ben.type("/imagine count:1 steps:12 ein grüner Apfel und ein Grashüpferchen")
    await ada.page.wait_for_timeout(4000)
    await lesson.step("drawing")
    for seat, words in ((cleo, "a red heart"), (ben, "ein grüner Apfel")):
        await seat.ended(seat.page.locator(".question", has_text=words))
    await lesson.step("drawn")
    picture = cleo.page.locator(".exchange", has_text="a red heart").last
    await picture.locator("[data-name=picture-2]").tap()
    await lesson.step("one picture", cleo)
    await cleo.page.keyboard.press("Escape")
    await ada.say("/face")
    await lesson.step("face", ada, ben)
    how = ben.page.locator(".exchange", has_text="grüner Apfel").last
    await how.locator(".actions [data-name=how], .more-actions").last.click()
    await lesson.step("picture menu", ben)
    await ben.page.keyboard.press("Escape")


async def look_inside(lesson: Lesson, ada: Seat, ben: Seat) -> None:
    """Tokens, a fork, odds, the dial and a comparison."""
    answer = ada.page.locator(".exchange", has=ada.page.locator(".question", has_text="story about an egg")).first
    await answer.scroll_into_view_if_needed()
    await ada.choose(answer, "Show how surprising")
    await answer.locator(".tokens .token").nth(6).click()
    await lesson.step("tokens", ada)
    await answer.locator(".choices button").last.click()
    await ada.ended(ada.page.locator(".above", has_text="instead of"))
    await lesson.step("fork", ada, ben)
    odds = await ben.say("/odds temperature:0.7 The cat sat on the")
    await lesson.step("odds", ben)
    await odds.locator(".to-thread").click()
    await expect(odds.locator(".bar").first).to_be_visible()
    await odds.evaluate("(shown) => shown.scrollIntoView()")
    await lesson.step("dial", ben)
    await ada.say('/dial temperatures:"0, 1.2" max_tokens:40 Describe the sea in one sentence')
    await lesson.step("columns")
    compared = await ben.say("/compare a red apple")
    await compared.locator(".more-actions").click()
    await lesson.step("compare", ben)
    await compared.locator("[data-name=up]").click()
    await lesson.step("vote", ben)


async def explain(lesson: Lesson, teacher: Seat, ada: Seat, ben: Seat, cleo: Seat) -> None:
    """Questions of the lesson, one that it does not answer, and a lesson that does."""
    await ada.say("/explain what is a GAN?")
    await cleo.say("/explain style:simple what does a high temperature do?")
    await ben.say("/explain was ist Halluzination?")
    await lesson.step("explain")
    await ada.say("/explain who saw the first cells?")
    await lesson.step("no lesson answers", ada)
    await teacher.page.reload()
    await expect(teacher.page.locator(".gaps")).to_contain_text("who saw the first cells?")
    added = {"name": "Cells.md", "mimeType": "text/markdown", "buffer": CELLS.encode()}
    await teacher.page.locator("#lesson-file").set_input_files(added)
    await expect(teacher.page.locator(".answered")).to_be_visible()
    await teacher.page.locator("#lessons").scroll_into_view_if_needed()
    await lesson.step("gaps and lesson", teacher)
    await ada.say("/explain who was the first to see cells?")
    await lesson.step("lesson answers", ada)
    await ada.page.get_by_role("link", name="Lessons").click()
    await expect(ada.page.get_by_role("link", name="Cells")).to_be_visible()
    await lesson.step("lessons page", ada)
    await ada.page.locator("#home").click()
    await expect(ada.page.locator("#who")).to_be_visible()


async def keep_order(lesson: Lesson, teacher: Seat, ada: Seat, ben: Seat, cleo: Seat) -> None:
    """Only for reading, paused, kept to /explain, a time-out and an announcement."""
    page = teacher.page
    await page.get_by_label("What you set below is for").select_option("general")
    await expect(page.get_by_text("Commands in this room")).to_be_visible()
    await page.get_by_role("switch", name="Only for reading").click()
    await expect(ada.page.locator("#board")).to_contain_text("only for reading")
    await ada.type("hello?")
    await lesson.step("only for reading")
    await page.get_by_role("switch", name="Only for reading").click()
    await page.get_by_role("switch", name="Pause everybody").click()
    await expect(ben.page.locator("#board .closed")).to_be_visible()
    await ben.type("hallo?")
    await lesson.step("paused")
    await page.get_by_role("switch", name="Pause everybody").click()
    await page.get_by_role("button", name="Only this: /explain").click()
    await expect(page.get_by_role("checkbox", name="/ask")).not_to_be_checked()
    await cleo.type("/ask hello")
    await lesson.step("only explain")
    await lesson.step("rules", teacher, whole=True)
    await page.get_by_role("button", name="Allow all of them").click()
    await page.get_by_role("button", name="Time out: Ben").click()
    await lesson.step("time out", teacher)
    await page.get_by_role("dialog").get_by_role("button", name="Time out").click()
    await expect(page.locator("#people li", has_text="Ben")).to_contain_text("timed out")
    await ben.type("/ask Bin ich noch da?")
    await lesson.step("timed out", teacher, ben)
    await page.get_by_label("A line from you among the messages").fill("Five minutes left: write down **one** thing.")
    await page.get_by_role("button", name="Announce", exact=True).click()
    await expect(cleo.page.locator(".announcement")).to_contain_text("Five minutes left")
    await lesson.step("announced")


async def end(lesson: Lesson, teacher: Seat, ada: Seat, cleo: Seat) -> None:
    """A private place, which the teacher reads along in; the record of the room; and a time without models."""
    await ada.page.evaluate("() => document.querySelector('#rooms a').click()")
    await expect(ada.page.locator("#about-place")).to_be_visible()
    await ada.say("My name is Ada. What is a GAN, in one sentence?")
    await ada.say("What is my name?")
    await lesson.step("just me", ada)
    await cleo.page.get_by_role("button", name="Rooms and pages").tap()
    await lesson.step("rooms", cleo)
    await cleo.page.keyboard.press("Escape")
    page = teacher.page
    async with page.expect_download() as download:
        await page.get_by_role("link", name="general.md").click()
    await lesson.keep(await download.value)
    for path in ("private", "people", "statistics", "dial"):
        await teacher.page.goto(f"{lesson.home}/{path}")
        await page.wait_for_timeout(2000)
        if path == "private":
            await page.locator("#visitors a, #visitors button").first.click()
            await expect(page.locator("#exchanges .exchange").first).to_be_visible()
        await lesson.step(path, teacher)


async def main(folder: Path, server: str) -> None:
    """Play it."""
    async with AsyncExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = Deployment(place, foreign_models=server, extra=REAL)
        stack.push_async_callback(asyncio.to_thread, made.end)
        await asyncio.to_thread(made.start)
        tools = await stack.enter_async_context(async_playwright())
        browser = await tools.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        stack.push_async_callback(browser.close)
        lesson = Lesson(made, browser, folder)
        try:
            await play(lesson)
        finally:
            lesson.report()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where to keep what the browsers showed")
    parser.add_argument("--server", default="", help="a model server that runs already; without one, one is started")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(arguments.folder, arguments.server))
