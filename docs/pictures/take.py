"""Takes the pictures of this folder: starts the program with its real models, and uses the web chat in Chromium.

Run it with `make pictures`, or with names of pictures to take these alone. What needs a model that is not served
here is left as it is, and said so.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import urllib.request
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakes.platforms.browser import ARGUMENTS, CHROMIUM, choose
from fakes.programs.deployment import Deployment
from playwright.async_api import async_playwright, expect

from bot.platforms.web.access.teachers import WebModerators, teacher_link
from bot.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HERE = Path(__file__).parent
WINDOW = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 780}
PATIENCE_MS = 300_000


class Chat:
    """A running chat, and the browsers of those who visit it."""

    def __init__(self, made: Deployment, browser: Any) -> None:
        self.made = made
        self._browser = browser

    async def visit(self, name: str, path: str = "/", **look: Any) -> Any:
        """A page of somebody with this name."""
        person = await self._browser.new_context(**{"locale": "en-GB", "viewport": WINDOW, **look})
        await person.add_init_script(f"localStorage.setItem('tempera-name', {json.dumps(name)})")
        page = await person.new_page()
        page.set_default_timeout(PATIENCE_MS)
        await page.goto(self.made.web_url + path)
        return page

    async def teacher(self, name: str, **look: Any) -> Any:
        """The start page of a moderator with this name."""
        async with Database(self.made.environment["TEMPERA_DATABASE__URL"]) as database:
            code = await WebModerators(database).create_code()
        page = await self.visit(name, teacher_link("", code), **look)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator("#basics label").last).to_be_visible()
        return page


async def answered(page: Any, do: Awaitable[None]) -> Any:
    """The exchange that comes of doing this, once it is finished."""
    # Who you are is known once the page is connected; on a phone it is out of sight.
    await expect(page.locator("#who")).not_to_have_attribute("hidden", "")
    count = await page.locator(".exchange").count()
    await do
    answer = page.locator(".exchange").nth(count)
    await expect(answer).to_have_attribute("aria-busy", "false", timeout=PATIENCE_MS)
    return answer


async def say(page: Any, line: str) -> Any:
    """Say a line and wait for the end of its answer."""
    await page.locator("#input").fill(line)
    return await answered(page, page.locator("#input").press("Enter"))


async def room(page: Any, name: str) -> None:
    """Open a room, as a moderator does on the way from the start page, and go there."""
    await page.get_by_role("link", name="Go to the chat").click()
    await page.get_by_role("button", name="Open a room").click()
    await page.get_by_label("Name").fill(name)
    await page.get_by_role("button", name="Open it").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(name)


async def take(page: Any, name: str) -> None:
    """Keep what is on the page now, once its pictures are there."""
    await page.mouse.move(0, 0)
    await page.evaluate("() => Promise.all([...document.images].map((image) => image.decode().catch(() => {})))")
    await page.screenshot(path=HERE / f"{name}.png", animations="disabled")
    print(f"{name}.png")


async def chat(at: Chat) -> None:
    """A question with its answer, faces, and a message box with sliders."""
    page = await at.teacher("Ada")
    await room(page, "lesson-1")
    await say(page, "/ask temperature:0.2 seed:7 Describe the sea in one sentence.")
    answer = await say(page, "/face seed:32 count:2 truncation:0.7")
    await expect(answer.locator(".picture img")).to_be_visible()
    await page.locator("#input").fill("/ask temperature:1.2 Tell me a story about an egg")
    await take(page, "chat")


async def phone(at: Chat) -> None:
    """The same on a phone, dark."""
    page = await at.visit(
        "Linus", "/#lesson-1", viewport=PHONE, color_scheme="dark", has_touch=True, device_scale_factor=2
    )
    await say(page, "/ask temperature:0.2 seed:3 Describe the sea in one sentence.")
    await page.locator("#input").fill("/ask ")
    await take(page, "phone")


async def dial(at: Chat) -> None:
    """The dial, after the same beginning was gone on with at three temperatures."""
    page = await at.visit("Ada", "/dial#The cat sat on the", viewport={"width": 1280, "height": 960})
    await expect(page.locator(".bar").first).to_be_visible()
    for count, temperature in enumerate((0.1, 0.7, 1.1), 1):
        await turn(page, temperature)
        await page.get_by_role("button", name="Write on").click()
        await expect(page.locator(".tries li")).to_have_count(count, timeout=PATIENCE_MS)
        await page.get_by_role("button", name="Begin again").click()
        await expect(page.locator(".piece.new")).to_have_count(0)
    await turn(page, 0.4)
    await take(page, "dial")


async def turn(page: Any, temperature: float) -> None:
    """Turn the dial to this temperature."""
    share = temperature / 2
    await page.get_by_label("Temperature").evaluate(
        f"(knob) => {{ knob.value = Math.round(knob.max * {share}); knob.dispatchEvent(new Event('input')); }}"
    )


async def columns(at: Chat) -> None:
    """One question at three temperatures, side by side."""
    page = await at.visit("Grace", "/#general")
    answer = await say(page, '/dial temperatures:"0, 1, 1.4" seed:11 max_tokens:45 Describe the sea in one sentence.')
    await answer.evaluate("(shown) => shown.scrollIntoView()")
    await take(page, "columns")


async def odds(at: Chat) -> None:
    """The odds of a next token, live in the chat."""
    page = await at.visit("Emmy", "/#general", viewport={"width": 1280, "height": 900})
    answer = await say(page, "/odds temperature:0.7 The cat sat on the")
    await answer.get_by_role("button", name="Turn the dial").click()
    await expect(answer.locator(".bar").first).to_be_visible()
    await answer.evaluate("(shown) => shown.scrollIntoView()")
    await take(page, "odds")


async def tokens(at: Chat) -> None:
    """An answer coloured by surprise, with the runners-up of one token."""
    page = await at.visit("Alan", "/#general")
    answer = await say(page, "/ask temperature:1.1 seed:5 What is a neural network? Two sentences.")
    await choose(answer, "Show how surprising")
    await expect(answer.locator(".tokens")).to_be_visible()
    surprising = answer.locator(".tokens .s3, .tokens .s4")
    await (surprising if await surprising.count() else answer.locator(".tokens .token")).first.click()
    await answer.scroll_into_view_if_needed()
    await take(page, "tokens")


async def denoising(at: Chat) -> None:
    """A picture out of noise, step by step."""
    page = await at.visit("Rosa", "/#general", viewport={"width": 1280, "height": 900})
    answer = await say(page, "/imagine seed:7 count:1 a red heart")
    how = await answered(page, answer.get_by_role("button", name="How it was made").click())
    await expect(how.locator(".picture").first).to_be_visible()
    await how.evaluate("(shown) => shown.scrollIntoView()")
    await take(page, "denoising")


async def teacher(at: Chat) -> None:
    """The start page of a teacher, by which others come in."""
    await take(await at.teacher("Ada", viewport={"width": 1280, "height": 1000}), "teacher")


async def settings(at: Chat) -> None:
    """A setting that was just changed."""
    page = await at.teacher("Ada")
    await page.get_by_role("link", name="Advanced: all settings").click()
    await page.get_by_label("Find").fill("temperature")
    field = page.get_by_label("temperature.maximum", exact=True)
    await field.fill("1")
    await field.press("Enter")
    await expect(page.get_by_text("2 → 1")).to_be_visible()
    await take(page, "settings")


PICTURES: dict[str, tuple[str, Callable[[Chat], Awaitable[None]]]] = {
    "chat": ("faces", chat),
    "phone": ("chat", phone),
    "dial": ("chat", dial),
    "columns": ("chat", columns),
    "odds": ("chat", odds),
    "tokens": ("chat", tokens),
    "denoising": ("images", denoising),
    "teacher": ("", teacher),
    "settings": ("", settings),
}
"""Each with the kind of model that it cannot do without."""


def served(made: Deployment) -> set[str]:
    """The kinds of models that the model server has."""
    with urllib.request.urlopen(f"{made.models_url}/v1/models") as answer:  # noqa: S310 - our own address
        return {model["tempera"]["task"] for model in json.load(answer)["data"]}


async def main(names: list[str]) -> None:
    """Take these pictures, or all."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = Deployment(folder, extra={"TEMPERA_WEB__URL": "https://tempera.school.example"})
        stack.push_async_callback(asyncio.to_thread, made.end)
        await asyncio.to_thread(made.start)
        tools = await stack.enter_async_context(async_playwright())
        browser = await tools.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        stack.push_async_callback(browser.close)
        at, kinds = Chat(made, browser), await asyncio.to_thread(served, made)
        for name in names or PICTURES:
            needed, picture = PICTURES[name]
            if needed and needed not in kinds:
                print(f"{name}.png stays as it is: no model for {needed} is served here.")
            else:
                await picture(at)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
