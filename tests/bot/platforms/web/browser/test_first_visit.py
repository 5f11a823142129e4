"""The web chat in a real Chromium, as somebody who comes for the first time uses it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fakes.core.pictures import examine_here, make_picture
from fakes.model_server.model_api import FakeModels
from fakes.platforms.browser import MARKS, choose, opened, say
from fakes.platforms.discord_bot import bot_with_plugins
from fakes.platforms.web_page import visitor
from playwright.async_api import expect

from bot.answers import examiner
from bot.app import Bot

pytestmark = MARKS

MARKDOWN = (
    "# Colours\n\nThe **yolk** is `yellow`:\n\n```python\nprint('<b>egg</b>')\n```\n\n",
    "<img src=x onerror=alert(1)> <script>alert(2)</script>\n\n",
    "[good](https://example.org/) [bad](javascript:alert(3)) ![spy](https://example.org/spy.png)\n\n",
    "[https://bank.example/](https://evil.example/) https://bank.example@evil.example/x ",
    "[evil.example.bank.example](https://evil.example/)\n\n",
    "[bank.example](https://bank.example.evil.example) https://plain.example/a?b ",
    "www.plain.example ann@plain.example\n\n",
    "| a | b |\n|---|---|\n| 1 | 2 |\n",
)

SEND_AND_RECALL = """async (box) => {
  const press = (key) => box.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  sessionStorage.removeItem("tempera-sent");
  press("Enter");
  while (!sessionStorage.getItem("tempera-sent")) await null;
  press("ArrowUp");
}"""


@pytest.fixture
async def bot(models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bot]:
    monkeypatch.setattr(examiner, "examine_in_child", examine_here)
    async with bot_with_plugins(models, tmp_path, ("ask", "imagine", "face", "help", "inspect")) as running:
        yield running


@pytest.fixture
async def page(url: str, browser: Any) -> AsyncIterator[Any]:
    async with opened(browser, url) as one:
        yield one


def exchange(page: Any, number: int) -> Any:
    return page.locator(".exchange").nth(number)


async def test_a_first_visit(page: Any, models: FakeModels) -> None:
    box, options = page.locator("#input"), page.get_by_role("option")
    await expect(page.get_by_role("heading", name="What would you like to try?")).to_be_visible()

    await box.press_sequentially("/as")
    await expect(options).to_have_count(1)
    await expect(box).to_have_attribute("aria-activedescendant", "suggestion-0")
    await box.press("Enter")
    await expect(box).to_have_value("/ask ")
    await box.press_sequentially("te")
    await expect(page.get_by_role("listbox")).to_be_visible()
    await box.press("Tab")
    await expect(box).to_have_value("/ask temperature:")
    await expect(options).to_contain_text(["0", "0.7", "2"])
    await box.press("ArrowDown")
    await box.press("ArrowDown")
    await expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    await box.press("Enter")
    await expect(box).to_have_value("/ask temperature:0.7 ")
    await box.press("Escape")
    await expect(page.get_by_role("listbox")).to_be_hidden()

    models.gate.clear()
    await box.press_sequentially("What is the capital of France?")
    await box.press("Enter")
    await expect(box).to_have_value("")
    await expect(exchange(page, 0).locator(".markdown")).to_have_text("Paris")
    await expect(exchange(page, 0).locator(".question .option")).to_have_text("temperature:0.7")

    await say(page, "/ask And of Spain?")
    await expect(exchange(page, 1).locator(".markdown")).to_have_text("Paris")

    await page.reload()
    await expect(page.locator(".exchange.running")).to_have_count(2)
    await exchange(page, 0).get_by_role("button", name="Stop").click()
    await expect(exchange(page, 0).locator(".status")).to_have_text("Stopped.")
    models.gate.set()
    await expect(exchange(page, 1).locator(".markdown")).to_have_text("Paris is the capital of France.")
    await expect(exchange(page, 1).locator(".card")).to_contain_text("temperature")

    await say(page, "/face seed:7")
    picture = exchange(page, 2).get_by_role("img", name="seed 7")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 384
    await picture.click()
    await expect(page.get_by_role("dialog", name="Picture")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog", name="Picture")).to_be_hidden()


async def test_whoever_is_new_is_welcomed_where_others_have_spoken(page: Any, url: str, models: FakeModels) -> None:
    async with visitor(url) as ann, ann.page("Ann") as hers:
        await hers.ask("/ask hello")
    box, welcome = page.locator("#input"), page.locator("#welcome")
    await expect(exchange(page, 0).locator(".markdown")).to_have_text("Paris is the capital of France.")
    await expect(welcome).to_contain_text("Whoever is in this room can read what you ask and what is answered.")
    await expect(page.get_by_text("Answers can be wrong.")).to_be_visible()
    await welcome.get_by_role("button", name="/face").click()
    await box.press("Enter")
    await expect(exchange(page, 1).get_by_role("img", name="A computer-made face")).to_be_visible()
    await expect(welcome).to_be_hidden()
    buttons = exchange(page, 1).locator(".actions .buttons button")
    assert await buttons.all_inner_texts() == ["Emoji faces", "Again", "Edit"]

    await say(page, "/nothing")
    await expect(exchange(page, 2)).to_contain_text("Only you can see this")
    await expect(box).to_have_value("")
    await box.press("ArrowUp")
    await expect(box).to_have_value("/nothing")
    # Asked for again before the bot can have accepted it.
    await box.evaluate(SEND_AND_RECALL)
    await expect(page.locator(".exchange")).to_have_count(4)
    await exchange(page, 3).get_by_role("button", name="Dismiss this").click()
    await exchange(page, 2).get_by_role("button", name="Dismiss this").click()
    await expect(page.locator(".exchange")).to_have_count(2)

    await choose(exchange(page, 1), "Inspect")
    await expect(exchange(page, 2)).to_contain_text("Made by this bot, unchanged.")
    await expect(box).to_have_value("/nothing")
    await expect(exchange(page, 2)).to_contain_text("Only you can see this")
    await exchange(page, 2).get_by_role("button", name="Dismiss this").click()
    await expect(page.locator(".exchange")).to_have_count(2)
    await box.fill("/inspect ")
    file = {"name": "a.png", "mimeType": "image/png", "buffer": make_picture()}
    await page.get_by_label("file", exact=True).set_input_files(file)
    await box.press("Enter")
    await expect(exchange(page, 2)).to_contain_text("Nothing found.")

    await page.goto(f"{url}/dial?room=general")
    await page.get_by_role("link", name="Back to general").click()
    await expect(exchange(page, 1)).to_be_visible()
    await expect(welcome).to_be_hidden()


async def test_an_answer_can_do_nothing_to_the_page(page: Any, models: FakeModels) -> None:
    models.answer = MARKDOWN
    answer = exchange(page, 0).locator(".markdown")
    await say(page, "/ask hello")
    await expect(answer.locator("table td").last).to_have_text("2")
    await expect(answer).to_contain_text("<img src=x onerror=alert(1)> <script>alert(2)</script>")
    assert await answer.locator("img, script, b").count() == 0
    links = await answer.locator("a").evaluate_all("found => found.map((link) => [link.innerText, link.href])")
    # Where a link goes stands in it, whatever its words say.
    assert links == [
        ["good example.org", "https://example.org/"],
        ["bad", ""],
        ["spy example.org", "https://example.org/spy.png"],
        ["https://bank.example/ evil.example", "https://evil.example/"],
        ["https://bank.example@evil.example/x evil.example", "https://bank.example@evil.example/x"],
        ["evil.example.bank.example evil.example", "https://evil.example/"],
        ["bank.example bank.example.evil.example", "https://bank.example.evil.example/"],
        ["https://plain.example/a?b", "https://plain.example/a?b"],
        ["www.plain.example", "http://www.plain.example/"],
        ["ann@plain.example", "mailto:ann@plain.example"],
    ]


async def test_a_long_question_leaves_its_answer_in_sight(page: Any, models: FakeModels) -> None:
    await say(page, "/ask " + "Why is the sky blue? " * 200 + "END")
    asked = exchange(page, 0)
    await expect(asked.locator(".markdown")).to_have_text("Paris is the capital of France.")
    await expect(asked.locator(".question .text")).to_be_in_viewport()
    cut = (await asked.bounding_box())["height"]
    assert cut < 400
    await asked.get_by_role("button", name="Show all of it").press("Enter")
    assert (await asked.bounding_box())["height"] > 2 * cut
    await asked.get_by_role("button", name="Show less").press("Enter")
    assert (await asked.bounding_box())["height"] == cut
    assert "END" in models.requests[0]["messages"][-1]["content"]


async def test_a_draft_survives_being_offline(page: Any) -> None:
    await expect(page.locator("#who")).to_be_visible()
    await page.evaluate("() => { WebSocket.prototype.send = function () { this.close(); }; }")
    await say(page, "/ask hello")
    await expect(page.locator("#input")).to_have_value("/ask hello")
    await page.reload()
    await expect(page.locator("#input")).to_have_value("/ask hello")
    await page.locator("#input").press("Enter")
    await expect(exchange(page, 0).locator(".markdown")).to_have_text("Paris is the capital of France.")


async def test_a_preview_gives_its_place_to_the_picture_without_a_gap(page: Any, models: FakeModels) -> None:
    await page.evaluate(
        """() => {
            window.gaps = [];
            new MutationObserver(() => {
                for (const image of document.querySelectorAll(".picture img")) {
                    if (image.alt.startsWith("4 ") && !image.naturalWidth) window.gaps.push(image.alt);
                }
            }).observe(document.body, { childList: true, subtree: true });
        }"""
    )
    models.gate.clear()
    models.place = 3
    await say(page, "/imagine seed:7 steps:9 a dog")
    await expect(exchange(page, 0).locator(".status")).to_contain_text("Number 3 in the queue")
    await exchange(page, 0).get_by_role("button", name="Stop").click()
    await choose(exchange(page, 0), "Delete")
    await expect(page.locator(".exchange")).to_have_count(0)
    models.place = None
    await say(page, "/imagine seed:7 steps:9 a cat")
    shown = exchange(page, 0)
    preview = shown.get_by_role("img", name="A first glimpse after step 1 of 9")
    await expect(preview).to_be_visible()
    await expect(shown.locator(".status")).to_have_text("Step 1 of 9 …")
    await preview.focus()
    width = (await preview.bounding_box())["width"]
    models.gate.set()
    grid = shown.get_by_role("img", name="4 computer-made pictures of “a cat”")
    await expect(grid).to_be_visible()
    await expect(shown.locator(".picture")).to_have_count(1)
    assert await page.evaluate("() => window.gaps") == []
    assert width == (await grid.bounding_box())["width"] == 512
    # What the model chose by itself is what it will choose again.
    await page.locator("#input").fill("/imagine a dog")
    named, unnamed = (page.locator(".field", has_text=name).locator("output") for name in ("steps", "guidance"))
    await expect(unnamed).to_have_text("auto · 3")
    await expect(named).to_have_text("auto")
    # A number shows its picture large, before it is drawn again.
    await shown.get_by_role("button", name="2", exact=True).click()
    large = page.get_by_role("dialog", name="Picture")
    assert await large.get_by_role("img", name="Picture 2 of 4").evaluate("part => part.width") == (512 - 4) / 2
    await large.get_by_role("button", name="Draw it alone").click()
    await expect(exchange(page, 1).locator(".origin")).to_contain_text("pressed 2")
    await shown.get_by_role("button", name="How 1 was made").click()
    how = exchange(page, 2)
    await expect(how.get_by_role("button", name="Step by step ▶")).to_be_visible()
    film = how.get_by_role("img", name="as a film in 9 steps: from noise to picture")
    assert await film.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1


async def test_tokens_that_a_status_names_are_set_apart(page: Any, models: FakeModels) -> None:
    models.told = {"prompt": {"tokens": ["a", "[UNK]"], "dropped": [], "limit": 8, "unknown": ["🍎", "猫"]}}
    await say(page, "/imagine count:1 a 🍎 猫")
    status = exchange(page, 0).locator(".status")
    await expect(status.locator("code")).to_have_text(["🍎", "猫"])
    await expect(status).to_have_text(
        "The text encoder has no tokens for these words and reads all such words alike: 🍎 猫."
    )
