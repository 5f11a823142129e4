"""Options as fields above the message box, in a real Chromium: they and the typed line say the same."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fakes.model_server.model_api import FakeModels
from fakes.platforms.browser import MARKS, opened, say
from fakes.platforms.discord_bot import bot_with_plugins
from playwright.async_api import expect

from bot import Attachment, Choice, Context, Plugin, Range, Reply, Setting, command
from bot.config.sections import WebSection
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
        if ctx.request.message_files:
            picture = await ctx.request.message_files[0].fetch()
        file = f"{picture.filename}={picture.data.decode()}" if picture else "nothing"
        yield Reply(text=f"{subject}|{file}|{heat}|{colour}|{framed}|{seed}|{title}", final=True)

    @command()
    async def mix(
        self,
        ctx: Context,
        colours: str,
        guidance: Range[float, 0, 30] = 7.5,
        heat: Range[float, 0, 2] = 0.7,
        share: Range[float, 0, 1] = 0.95,
        strength: Range[float, 0.05, 1] = 0.6,
        decay: Range[float, 0, 0.1] = 0.01,
        odd: Range[float, 0.1, 1.337] = 1.0,
        count: Range[int, 1, 4096] = 512,
        far: Range[int, 10_000_000_001, 10_000_000_009] = 10_000_000_002,
    ) -> AsyncIterator[Reply]:
        """Mix."""
        yield Reply(text=colours, final=True)


class Trace(Plugin):
    name = "trace"
    settings = (Setting(name="trace.model", type=str, default="", task="images", description="Traces.", maximum=99),)

    @command()
    async def trace(
        self,
        ctx: Context,
        what: str,
        guidance: Range[float, 0, 30] | None = None,
        steps: Range[int, 1, 150] | None = None,
        width: Range[int, 1, 101] | None = None,
    ) -> AsyncIterator[Reply]:
        """Trace, with what a model chooses."""
        yield Reply(text=what, final=True)


@pytest.fixture
async def page(models: FakeModels, tmp_path: Path, browser: Any) -> AsyncIterator[Any]:
    models.told_of["fake-images"] = {"defaults": {"steps": 12}}
    bot = bot_with_plugins(models, tmp_path, (), Paint(), Trace(), default_command="paint")
    platform = WebPlatform(bot, WebSection(port=0))
    async with bot, platform.serve() as url, opened(browser, url) as one:
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


# Gives the box files as a program does that has them in its clipboard, or under the pointer.
GIVE = """([kind, name, text]) => {
  const data = new DataTransfer();
  data.items.add(new File(["yolk"], name, { type: "text/plain" }));
  if (text) data.items.add(text, "text/plain");
  const about = { bubbles: true, cancelable: true, clipboardData: data, dataTransfer: data };
  const event = kind === "paste" ? new ClipboardEvent(kind, about) : new DragEvent(kind, about);
  return document.querySelector("#input").dispatchEvent(event);
}"""


async def test_a_file_is_chosen_pasted_or_dropped_for_a_question(page: Any) -> None:
    attached, answers = page.locator("#attached"), page.locator(".exchange .markdown")
    async with page.expect_file_chooser() as chosen:
        await page.get_by_role("button", name="Attach a file").click()
    await (await chosen.value).set_files({"name": "egg.txt", "mimeType": "text/plain", "buffer": b"yolk"})
    await expect(attached).to_have_text("Attached: egg.txt")
    await say(page, "an egg")
    await expect(answers.nth(0)).to_have_text("an egg|egg.txt=yolk|1.0|None|False|None|")
    await expect(attached).to_be_hidden()
    # Text with a picture of itself is pasted as text.
    assert await page.evaluate(GIVE, ["paste", "text.png", "an egg"])
    await expect(attached).to_be_hidden()
    assert not await page.evaluate(GIVE, ["paste", "pasted.txt", ""])
    await page.get_by_role("button", name="Do not attach the file").click()
    await expect(attached).to_be_hidden()
    assert not await page.evaluate(GIVE, ["drop", "dropped.txt", ""])
    # An option of the command takes it; a command without one says so.
    await say(page, "/trace a nest")
    await expect(page.locator("#notice")).to_have_text("/trace takes no file.")
    await say(page, "/paint heat:0.5 a nest")
    await expect(answers.nth(1)).to_have_text("a nest|dropped.txt=yolk|0.5|None|False|None|")


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
    await say(page, "/paint another egg")
    shown = ["an egg|egg.txt=yolk|1.0|None|False|None|", "another egg|nothing|1.0|None|False|None|"]
    await expect(page.locator(".exchange .markdown")).to_have_text(shown)


async def test_sliders_reach_their_ends_and_usual_numbers(page: Any) -> None:
    box, sliders = page.locator("#input"), page.locator("#fields input[type=range]")
    await box.fill("/mix red")
    assert await sliders.evaluate_all("found => found.map(({ value }) => value)") == [
        "7.5", "0.7", "0.95", "0.6", "0.01", "1", "512", "10000000002"
    ]  # fmt: skip
    ends = {"guidance": 30, "heat": 2, "share": 1, "strength": 1, "decay": 0.1, "odd": 1.337, "far": 10_000_000_009}
    for name, most in ends.items():
        slider = page.get_by_label(name, exact=True)
        await slider.press("End")
        await expect(slider).to_have_value(str(most))
        await expect(box).to_have_value(f"/mix {name}:{most} red")
        await slider.press("Home")
        await box.fill("/mix red")
    for name, usual in (
        ("guidance", "5"),
        ("guidance", "15"),
        ("share", "0.9"),
        ("share", "0.25"),
        ("strength", "0.3"),
    ):
        # Only what a slider can stand at can be filled in.
        await page.get_by_label(name, exact=True).fill(usual)
        await expect(box).to_have_value(f"/mix {name}:{usual} red")
        await box.fill("/mix red")


async def test_what_the_model_chooses_begins_at_what_is_usual(page: Any) -> None:
    box = page.locator("#input")
    # The model server tells one of the values.
    for name, usual, more, shown in (
        ("guidance", "5", "5.5", "auto"),
        ("steps", "12", "13", "auto · 12"),
        ("width", "51", "52", "auto"),
    ):
        await box.fill("/trace red")
        slider = page.get_by_label(name, exact=True)
        await expect(slider).to_have_value(usual)
        await expect(slider).to_have_attribute("aria-valuetext", shown)
        await slider.press("ArrowRight")
        await expect(box).to_have_value(f"/trace {name}:{more} red")


FILES = [{"name": f"{name}.txt", "mimeType": "text/plain", "buffer": name.encode()} for name in ("egg", "yolk")]
CUT = """() => {
    const real = Object.getOwnPropertyDescriptor(WebSocket.prototype, "readyState");
    Object.defineProperty(WebSocket.prototype, "readyState", { configurable: true, get: () => WebSocket.CLOSED });
    window.mend = () => Object.defineProperty(WebSocket.prototype, "readyState", real);
}"""


@pytest.mark.parametrize("before", [[], FILES[:1]])
async def test_after_a_line_that_could_not_go_out_the_file_that_is_chosen_then_goes_with_it(
    page: Any, before: list[Any]
) -> None:
    await page.locator("#input").fill("/paint an egg")
    field = page.get_by_label("picture", exact=True)
    await field.set_input_files(before)
    await page.evaluate(CUT)
    await page.locator("#input").press("Enter")
    await expect(page.locator("#notice")).to_contain_text("Not connected")
    await page.evaluate("() => window.mend()")
    await field.set_input_files(FILES[1])
    await page.locator("#input").press("Enter")
    await expect(page.locator(".exchange .markdown")).to_contain_text("an egg|yolk.txt=yolk|")


@pytest.mark.parametrize("chosen", [[], FILES[1:]])
async def test_a_file_that_the_bot_has_no_longer_goes_up_again(page: Any, chosen: list[Any]) -> None:
    await page.locator("#input").fill("/paint an egg")
    field = page.get_by_label("picture", exact=True)
    await field.set_input_files(FILES[0])
    await page.route("**/files?*", lambda route: route.fulfill(json={"name": "gone"}))
    await page.locator("#input").press("Enter")
    await expect(page.locator("#notice")).to_contain_text("is no longer here")
    await page.unroute("**/files?*")
    if chosen:
        await field.set_input_files(chosen)
    await page.locator("#input").press("Enter")
    name = "yolk" if chosen else "egg"
    await expect(page.locator(".exchange .markdown")).to_contain_text(f"an egg|{name}.txt={name}|")


async def test_the_enter_that_ends_a_word_of_an_input_method_sends_nothing(page: Any) -> None:
    await page.locator("#input").fill("/paint title:x an egg")
    # Safari tells of it only after the word is written, by a code of its own.
    ending = """one => {
        const made = new KeyboardEvent("keydown", { key: "Enter", keyCode: 229, bubbles: true, cancelable: true });
        return one.dispatchEvent(made);
    }"""
    for field in (page.locator("#input"), page.get_by_label("title", exact=True)):
        assert await field.evaluate(ending)
