"""What the dial draws, and what becomes of a text that is typed meanwhile, in a real Chromium."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fakes.core.settings import WEB, put
from fakes.model_server.model_api import START, VOCABULARY, FakeModels
from fakes.platforms.browser import MARKS, opened
from playwright.async_api import expect

from bot.app import Bot

pytestmark = MARKS

TURNED = """([label, value]) => {
  const knob = document.getElementById(label);
  knob.value = value;
  knob.dispatchEvent(new Event("input"));
}"""
DICE = "number => { crypto.getRandomValues = (numbers) => numbers.fill(number); }"
END, OUTSIDE = VOCABULARY.index("<end>"), VOCABULARY.index(" moon")


@pytest.fixture
async def page(url: str, browser: Any) -> AsyncIterator[Any]:
    async with (
        opened(browser, f"{url}/dial#A dog", expected="422", reduced_motion="reduce") as one,
    ):
        await expect(one.locator(".bars .bar").first).to_contain_text("50 %")
        yield one


def box(page: Any) -> Any:
    return page.get_by_label("The text so far")


async def test_the_model_server_draws_where_a_token_may_lie_outside_of_those_that_are_shown(
    page: Any, models: FakeModels
) -> None:
    models.candidates = 3
    await box(page).fill("A cat")
    await expect(page.locator(".written")).to_have_text("A␣cat")
    await page.evaluate(DICE, OUTSIDE)
    asked = len(models.requests)
    await page.get_by_role("button", name="Draw a token").click()
    await expect(page.locator(".piece.new")).to_have_text("␣moon")
    draw, shown = models.requests[asked:]
    assert (draw["temperature"], draw["top_p"], draw["seed"]) == (1, 1, OUTSIDE)
    assert shown["prompt"] == [*draw["prompt"], OUTSIDE]

    await page.evaluate(TURNED, ["dial-top-p", "0.9"])
    asked = len(models.requests)
    await page.get_by_role("button", name="Write on").click()
    await expect(page.locator(".piece.new")).to_have_count(13)
    await expect(page.get_by_role("list", name="What was written").get_by_role("listitem")).to_have_count(1)
    draws = [body for body in models.requests[asked:] if body["seed"]]
    assert [(body["top_p"], body["prompt"][-1]) for body in draws] == [(0.9, OUTSIDE)] * 12

    await page.evaluate(DICE, END)
    await page.get_by_role("button", name="Draw a token").click()
    await expect(page.get_by_role("alert")).to_contain_text("The model would end the text here.")
    await expect(page.locator(".piece.new")).to_have_count(13)


async def test_the_page_draws_by_itself_where_nothing_lies_outside(page: Any, models: FakeModels) -> None:
    models.candidates = 3
    await page.evaluate(DICE, 2**32 - 1)
    await page.evaluate(TURNED, ["dial-top-p", "0.7"])
    await expect(page.locator(".bars .share").nth(1)).to_have_text("33.3 %")
    asked = len(models.requests)
    await page.get_by_role("button", name="Draw a token").click()
    await expect(page.locator(".piece.new")).to_have_text("␣floor")
    (body,) = models.requests[asked:]
    assert body["prompt"] == [START, START + 1, 1]


@pytest.mark.parametrize("button", ["Draw a token", "Write on"])
async def test_what_was_typed_is_read_before_it_is_gone_on_with(page: Any, models: FakeModels, button: str) -> None:
    await page.evaluate(TURNED, ["dial-temperature", "0"])
    for typed in ("A cat", "A cow"):
        if typed == "A cow":
            # This time the question for the text is under way already.
            models.gate.clear()
        asked = len(models.requests)
        await box(page).fill(typed)
        if typed == "A cow":
            await models.until(requests=asked + 1)
        await page.get_by_role("button", name=button).click()
        models.gate.set()
        await expect(page.locator(".piece.new")).to_have_count(12 if button == "Write on" else 1)
        await expect(page.locator(".written")).to_contain_text(f"{typed.replace(' ', '␣')}␣mat")
        await expect(page.get_by_role("button", name=button)).to_be_enabled()
        assert (await box(page).input_value()).startswith(f"{typed} mat")


@pytest.mark.parametrize("button", ["␣floor", "Take it back", "Begin again"])
async def test_what_was_typed_is_read_instead_of_a_press_that_is_about_another_text(
    page: Any, models: FakeModels, button: str
) -> None:
    await page.get_by_role("button", name="␣roof").click()
    await expect(page.locator(".written")).to_have_text("A␣dog␣roof")
    # On a slow machine the new text would be read before the press, which is then about that one.
    models.gate.clear()
    await box(page).fill("A cat")
    await page.get_by_role("button", name=button).click()
    models.gate.set()
    await expect(page.locator(".written")).to_have_text("A␣cat")
    await expect(box(page)).to_have_value("A cat")


async def test_what_is_typed_while_a_token_is_on_its_way_is_kept_and_read(page: Any, models: FakeModels) -> None:
    models.gate.clear()
    asked = len(models.requests)
    await page.get_by_role("button", name="␣roof").click()
    await models.until(requests=asked + 1)
    await box(page).fill("A cat")
    models.gate.set()
    await expect(page.locator(".written")).to_have_text("A␣cat")
    await expect(box(page)).to_have_value("A cat")


async def test_a_text_that_was_refused_is_asked_for_again_before_it_is_gone_on_with(
    page: Any, models: FakeModels
) -> None:
    models.failure = (503, "The model is still loading.")
    await box(page).fill("A cat")
    await expect(page.get_by_role("alert")).to_have_text("The model is still loading.")
    asked = len(models.requests)
    await page.get_by_role("button", name="Draw a token").click()
    await models.until(requests=asked + 1)
    await expect(page.get_by_role("button", name="Draw a token")).to_be_enabled()
    await expect(page.locator(".piece.new")).to_have_count(0)
    await expect(box(page)).to_have_value("A cat")
    models.failure = None
    await page.evaluate(TURNED, ["dial-temperature", "0"])
    await page.get_by_role("button", name="Draw a token").click()
    await expect(page.locator(".written")).to_have_text("A␣cat␣mat")


async def test_what_no_answer_may_hold_is_neither_named_nor_gone_on_with(url: str, bot: Bot, browser: Any) -> None:
    await put(bot.settings, "safety.words", "mat", WEB)
    async with opened(browser, f"{url}/dial#A dog", reduced_motion="reduce") as page:
        first = page.locator(".bars .bar").first
        await expect(first).to_contain_text("(hidden)")
        await expect(first.get_by_role("button")).to_have_count(0)
        await expect(page.locator(".dial-meaning")).to_contain_text("“(hidden)”")
        await page.evaluate(TURNED, ["dial-temperature", "0"])
        await page.get_by_role("button", name="Draw a token").click()
        await expect(page.get_by_role("alert")).to_have_text(
            "A token was drawn that is hidden here. Draw again, or choose one."
        )
        await page.get_by_role("button", name="␣floor").click()
        await expect(page.locator(".piece.new")).to_have_text("␣floor")


async def test_the_dial_may_be_turned_before_there_are_odds(url: str, models: FakeModels, browser: Any) -> None:
    models.gate.clear()
    # What is no code in an address is the text itself.
    async with opened(browser, f"{url}/dial#Sales rose by 5%") as page:
        await expect(page.get_by_label("The text so far")).to_have_value("Sales rose by 5%")
        await models.until(requests=1)
        await page.evaluate(TURNED, ["dial-temperature", "0"])
        models.gate.set()
        await expect(page.locator(".bars .bar").first).to_contain_text("50 %")


async def test_of_two_dials_each_has_names_for_its_own_knobs(url: str, models: FakeModels, browser: Any) -> None:
    async with opened(browser, f"{url}/dial") as page:
        await page.evaluate(
            """async () => {
                const page = document.querySelector("script[type=module]").src;
                const source = page.replace("pages/dial.js", "shared/dialview.js");
                const { DialView } = await import(source);
                const root = document.createElement("div");
                document.querySelector("main").append(root);
                new DialView(root, { text: "A dog" });
            }"""
        )
        for name in ("The text so far", "Temperature", "top-p"):
            await expect(page.get_by_label(name, exact=True)).to_have_count(2)
        await expect(page.get_by_label("The text so far").last).to_have_value("A dog")
        ids = await page.locator("[id]").evaluate_all("found => found.map(({ id }) => id)")
        assert len(ids) == len(set(ids))
