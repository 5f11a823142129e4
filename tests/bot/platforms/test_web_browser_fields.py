"""Options as fields above the message box, in a real Chromium: they and the typed line say the same."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fakes.browser import MARKS, chromium, opened
from fakes.models import FakeModels
from playwright.async_api import expect

from bot import Attachment, Choice, Context, Plugin, Range, Reply, command
from bot.app import Bot
from bot.config import WebSection
from bot.database import Database
from bot.model_client import ModelClient
from bot.platforms.web import WebPlatform

pytestmark = MARKS


class Paint(Plugin):
    name = "paint"

    @command()
    async def paint(
        self,
        ctx: Context,
        subject: str,
        picture: Attachment | None = None,
        heat: Range[float, 0, 2] = 1.0,
        colour: Choice["red", "deep blue"] | None = None,  # noqa: F722, F821 - a choice, no annotation
        framed: bool = False,
        seed: Range[int, 0, 2147483647] | None = None,
        title: str = "",
    ) -> AsyncIterator[Reply]:
        """Paint."""
        file = f"{picture.filename}={picture.data.decode()}" if picture else "nothing"
        yield Reply(text=f"{subject}|{file}|{heat}|{colour}|{framed}|{seed}|{title}", final=True)


@pytest.fixture
async def page(models: FakeModels, tmp_path: Path) -> AsyncIterator[Any]:
    bot = Bot(ModelClient(models.url), [Paint()], Database(f"sqlite:///{tmp_path}/p.db"), default_command="paint")
    platform = WebPlatform(bot, WebSection(port=0))
    async with bot, platform.serve() as url, chromium() as browser, opened(browser, url) as one:
        yield one


async def test_fields_write_the_line_and_the_line_moves_the_fields(page: Any) -> None:
    box = page.locator("#input")
    await box.fill("/paint an egg")
    heat, colour = page.get_by_label("heat", exact=True), page.get_by_label("colour")
    await heat.fill("1.5")
    await expect(box).to_have_value("/paint heat:1.5 an egg")
    await colour.select_option("deep blue")
    await expect(box).to_have_value('/paint colour:"deep blue" heat:1.5 an egg')
    await page.get_by_label("framed").select_option("true")
    await page.get_by_label("title", exact=True).fill("My egg")
    await expect(box).to_have_value('/paint title:"My egg" framed:true colour:"deep blue" heat:1.5 an egg')

    await box.fill("/paint heat:0.25 an egg")
    await expect(heat).to_have_value("0.25")
    await expect(colour).to_have_value("")
    await page.get_by_role("button", name="heat: back to the default").click()
    await expect(box).to_have_value("/paint an egg")
    await expect(heat).to_have_value("1")

    await page.get_by_role("button", name="Throw the dice for a seed").click()
    seed = await page.get_by_label("seed", exact=True).input_value()
    await expect(box).to_have_value(f"/paint seed:{seed} an egg")
    await box.press("Enter")
    await expect(page.locator(".exchange .markdown")).to_have_text(f"an egg|nothing|1.0|None|False|{seed}|")
    await expect(page.locator("#fields")).to_be_hidden()


async def test_a_file_is_chosen_beside_the_line(page: Any) -> None:
    await page.locator("#input").fill("/paint an egg")
    file = {"name": "egg.txt", "mimeType": "text/plain", "buffer": b"yolk"}
    await page.get_by_label("picture", exact=True).set_input_files(file)
    await page.locator("#input").press("Enter")
    await expect(page.locator(".exchange .markdown").nth(0)).to_have_text("an egg|egg.txt=yolk|1.0|None|False|None|")
    await page.locator("#input").fill("/paint another egg")
    await page.locator("#input").press("Enter")
    await expect(page.locator(".exchange .markdown").nth(1)).to_have_text("another egg|nothing|1.0|None|False|None|")


async def test_a_line_that_is_refused_is_kept_and_says_why(page: Any) -> None:
    await page.locator("#input").fill("/paint heat:9 an egg")
    await page.locator("#input").press("Enter")
    await expect(page.locator(".exchange .markdown")).to_have_text("heat must be a number from 0 to 2; you gave “9”.")
    await expect(page.get_by_text("Only you can see this")).to_be_visible()


async def test_a_line_is_said_once_however_often_it_is_sent_while_its_file_goes_up(page: Any) -> None:
    box, sent = page.locator("#input"), asyncio.Event()

    async def later(route: Any) -> None:
        await sent.wait()
        await route.continue_()

    await page.route("**/files?*", later)
    await box.fill("/paint an egg")
    file = {"name": "egg.txt", "mimeType": "text/plain", "buffer": b"yolk"}
    await page.get_by_label("picture", exact=True).set_input_files(file)
    await box.press("Enter")
    await box.press("Enter")
    sent.set()
    await expect(box).to_have_value("")
    await box.fill("/paint another egg")
    await box.press("Enter")
    shown = page.locator(".exchange .markdown")
    await expect(shown.last).to_contain_text("another egg")
    await expect(shown).to_have_count(2)
