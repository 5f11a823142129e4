"""A real Chromium that all tests of a session share, and what it finds hard for people to use."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from fakes.model_server.gateway import free_port
from fakes.registries.npm import UnavailableError, fetched
from playwright.async_api import async_playwright, expect
from playwright.sync_api import sync_playwright

from bot.app import Bot
from bot.platforms.web.access.teachers import WebModerators, teacher_link

CHROMIUM = shutil.which("chromium")
MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and os.environ.get("CI") != "true", reason="there is no Chromium here"),
]
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
AXE, AXE_VERSION = "axe-core", "4.14.1"
AXE_INTEGRITY = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
PATIENCE_MS = 60_000
"""When a test that waits gives up; none of them is about time."""
expect.set_options(timeout=PATIENCE_MS)
START_SECONDS = 60
COUNT_SHIFTS = """
    window.shift = 0;
    new PerformanceObserver((list) => {
        for (const { value, hadRecentInput } of list.getEntries()) if (!hadRecentInput) shift += value;
    }).observe({ type: "layout-shift", buffered: true });
"""
"""A script that adds up in `shift` how much of a page has moved by itself."""
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@contextmanager
def running_chromium() -> Iterator[str]:
    """The address at which tests, each in an event loop of its own, reach one browser."""
    url = f"http://127.0.0.1:{free_port()}"
    arguments = [*ARGUMENTS, f"--remote-debugging-port={url.rpartition(':')[2]}"]
    # A thread of its own, since the tools leave an event loop running in the thread that they are used in.
    with ThreadPoolExecutor(1) as thread:
        tools = thread.submit(sync_playwright().start).result(START_SECONDS)
        try:
            launched = thread.submit(tools.chromium.launch, executable_path=CHROMIUM, args=arguments)
            browser = launched.result(START_SECONDS)
            yield url
            thread.submit(browser.close).result(START_SECONDS)
        finally:
            thread.submit(tools.stop).result(START_SECONDS)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """The browser that listens at `url`. It goes on when the context ends, without what was opened here."""
    async with async_playwright() as tools:
        browser = await tools.chromium.connect_over_cdp(url)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(browser: Any, url: str, *, expected: str = "", **context: Any) -> AsyncIterator[Any]:
    """A page of somebody who was never here before. At its end nothing may have gone wrong in it unseen, but for
    complaints of the browser's that hold the `expected` words. Where only the chat's address is given, it is the room
    “general”; somebody who is there first and alone would be in a place of their own.
    """
    person = await browser.new_context(**{"locale": "en-GB", **context})
    page = await person.new_page()
    page.set_default_timeout(PATIENCE_MS)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: problems.append(f"dialog: {dialog.message}"))
    try:
        is_chat = urlsplit(url).path == urlsplit(url).fragment == ""
        await page.goto(f"{url}/#general" if is_chat else url)
        # Where people must knock, or need a code, the chat leads to another page.
        if is_chat and urlsplit(page.url).path == "/":
            await entered(page)
        yield page
    finally:
        await person.close()
    assert [problem for problem in problems if not expected or expected not in problem] == []


@asynccontextmanager
async def opened_by_teacher(
    browser: Any, bot: Bot, url: str, path: str = "/class", **context: Any
) -> AsyncIterator[Any]:
    """A page of a teacher who has signed in, as in `opened`."""
    link = teacher_link(url, await WebModerators(bot.database).create_code())
    async with opened(browser, link, **context) as page:
        await page.get_by_role("button").last.click()
        await page.wait_for_url("**/class")
        if path != "/class":
            await page.goto(f"{url}{path}")
        yield page


async def entered(page: Any) -> None:
    """Wait until the chat shows a room. Before that it knows no commands."""
    await expect(page.locator("#title")).not_to_be_empty()


async def say(page: Any, line: str) -> None:
    """Send a line from the message box."""
    await page.locator("#input").fill(line)
    await page.locator("#input").press("Enter")


async def choose(place: Any, name: str) -> None:
    """Choose from the menu under the first answer in this place, a page or a message."""
    await place.get_by_role("button", name="More actions").first.click()
    await place.get_by_role("button", name=name).click()


def axe() -> str:
    """The program that looks for what keeps people out; skips the test where it cannot be had."""
    try:
        return fetched(AXE, AXE_VERSION, AXE_INTEGRITY, "axe.min.js").read_text("utf-8")
    except UnavailableError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


async def violations(page: Any, program: str) -> list[str]:
    """What axe-core objects to on the page as it is now."""
    await page.evaluate(program)
    found = await page.evaluate("rules => axe.run({ runOnly: rules })", RULES)
    return [
        f"{one['id']}: {one['help']} at {node['html'][:200]}: {node.get('failureSummary', '')[:300]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
