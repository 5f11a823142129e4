"""The dial, and the tokens of an answer, in a real Chromium."""

import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fakes.model_server.model_api import START, FakeModels
from fakes.model_server.other_server import OtherServer
from fakes.platforms.browser import MARKS, choose, opened, say
from fakes.platforms.discord_bot import bot_with_plugins
from playwright.async_api import expect

from bot.config.sections import WebSection
from bot.platforms.web import WebPlatform

pytestmark = MARKS


async def shares(page: Any) -> list[str]:
    return await page.locator(".bars .share").all_inner_texts()


async def test_the_dial_is_turned_drawn_from_and_gone_on_with(url: str, models: FakeModels, browser: Any) -> None:
    async with opened(browser, f"{url}/dial") as page:
        bars = page.locator(".bars .bar")
        await expect(bars.first).to_contain_text("50 %")
        assert (await shares(page))[:3] == ["50 %", "25 %", "12.5 %"]
        asked = len(models.requests)
        dial = page.get_by_label("Temperature")
        await dial.press("ArrowLeft")
        await expect(page.locator(".dial-value")).to_have_text("0.5")
        assert (await shares(page))[:3] == ["75 %", "18.8 %", "4.7 %"]
        await dial.press("ArrowLeft")
        assert (await shares(page))[:2] == ["100 %", "0 %"]
        await expect(page.locator(".dial-facts")).to_have_text("Uncertainty: 0 bits. Nothing is left to chance.")
        assert len(models.requests) == asked

        await page.get_by_role("button", name="Draw a token").click()
        await expect(page.locator(".piece.new")).to_have_count(1)
        assert models.requests[-1]["prompt"][-1] == 0
        await page.get_by_role("button", name="␣floor").click()
        await expect(page.locator(".piece.new")).to_have_count(2)
        await expect(page.get_by_label("The text so far")).to_have_value(re.compile(" mat floor$"))
        await page.get_by_role("button", name="Take it back").click()
        await expect(page.locator(".piece.new")).to_have_count(1)
        await expect(page.get_by_label("The text so far")).to_have_value(re.compile(" mat$"))


async def test_what_the_temperature_does_is_said_and_written(url: str, models: FakeModels, browser: Any) -> None:
    async with opened(browser, f"{url}/dial#The cat sat on the", expected="422") as page:
        meaning = page.locator(".dial-meaning")
        await expect(meaning).to_have_text("At 1, the model’s own odds: of 100 draws, “mat” gets 50.")
        gauge = await page.locator(".gauge").bounding_box()
        x, y = gauge["x"], gauge["y"] + gauge["height"]
        await page.mouse.move(x + gauge["width"] / 2, y - 40)
        await page.mouse.down()
        await page.mouse.move(x + gauge["width"] - 5, y - 5)
        await expect(meaning).to_have_text("Hotter takes risks: of 100 draws, “mat” gets only 30 instead of 50.")
        hot = await page.locator(".fill").first.evaluate("one => getComputedStyle(one).backgroundColor")
        await page.mouse.move(x + 30, y - 45)
        await expect(meaning).to_have_text("Colder plays safe: of 100 draws, “mat” gets 75 instead of 50.")
        assert await page.locator(".fill").first.evaluate("one => getComputedStyle(one).backgroundColor") != hot
        await page.mouse.move(x + 5, y - 3)
        await page.mouse.up()
        await expect(meaning).to_have_text("At 0 the favourite always wins: “mat”, every time.")
        await expect(page.locator(".dial-value")).to_have_text("0")

        await page.get_by_role("button", name="Write on").click()
        tries = page.get_by_role("list", name="What was written").get_by_role("listitem")
        await expect(tries).to_have_text(["0The cat sat on the" + " mat" * 12])
        await expect(page.locator(".piece.new.heated")).to_have_count(12)
        await page.get_by_role("button", name="Begin again").click()
        await expect(page.locator(".piece.new")).to_have_count(0)
        await expect(page.get_by_label("The text so far")).to_have_value("The cat sat on the")
        await expect(page.get_by_role("button", name="Take it back")).to_be_disabled()
        models.failure = (503, "The model is still loading.")
        await page.get_by_role("button", name="Write on").click()
        await expect(page.get_by_role("alert")).to_have_text("The model is still loading.")
        await expect(tries).to_have_count(1)


async def test_bars_are_seen_in_a_readers_own_colours(url: str, models: FakeModels, browser: Any) -> None:
    async with opened(browser, f"{url}/dial", forced_colors="active") as page:
        await expect(page.locator(".bars .bar").first).to_contain_text("50 %")
        colour = "one => getComputedStyle(one).backgroundColor"
        ground = await page.locator("body").evaluate(colour)
        for part in (".bars .fill", ".bars .ghost", ".needle"):
            assert await page.locator(part).first.evaluate(colour) != ground


async def test_top_p_cuts_what_is_improbable(url: str, models: FakeModels, browser: Any) -> None:
    async with opened(browser, f"{url}/dial#A dog") as page:
        await expect(page.get_by_label("The text so far")).to_have_value("A dog")
        await expect(page.locator(".bars .bar").first).to_contain_text("50 %")
        await page.get_by_label("top-p").fill("0.7")
        assert (await shares(page))[:4] == ["66.7 %", "33.3 %", "0 %", "0 %"]
        await page.get_by_label("top-p").fill("0.3")
        assert (await shares(page))[0] == "100 %"
        # The sentence about the temperature leaves top-p out.
        said = "At 1, the model’s own odds: of 100 draws, “mat” gets 50."
        await expect(page.locator(".dial-meaning")).to_have_text(said)
        await page.get_by_label("The text so far").fill(" ")
        await expect(page.get_by_role("alert")).to_have_text("Type a few words to go on with.")


TURNED = """([label, value]) => {
  const knob = document.getElementById(label);
  knob.value = value;
  knob.dispatchEvent(new Event("input"));
}"""


async def test_a_cut_that_the_server_is_asked_for_is_that_of_its_own_temperature(
    url: str, models: FakeModels, browser: Any
) -> None:
    models.candidates = 3
    async with opened(browser, f"{url}/dial#A dog") as page:
        await page.clock.install()
        await page.reload()
        await expect(page.locator(".bars .bar").first).to_contain_text("50 %")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.post_data or ""))
        # Both in one breath, before the server is asked: what is left at 0.5 the page knows by itself.
        await page.evaluate(f"() => [['dial-top-p', '0.9'], ['dial-temperature', '1']].forEach({TURNED})")
        await expect(page.locator(".dial-value")).to_have_text("0.5")
        await page.clock.fast_forward(60_000)
        await expect(page.locator(".dial-value")).to_have_text("0.5")
        assert [body for body in asked if "top_p" in body] == []
        await page.evaluate(TURNED, ["dial-temperature", "2"])
        await expect(page.locator(".bars .share").first).to_have_text("53.3 %")
    assert [body["temperature"] for body in models.requests if body["top_p"] < 1] == [1]


async def test_an_answer_that_comes_while_somebody_types_leaves_their_text_to_be_asked_for(
    url: str, models: FakeModels, browser: Any
) -> None:
    models.candidates = 3
    async with opened(browser, f"{url}/dial#A dog") as page:
        await expect(page.locator(".bars .bar").first).to_contain_text("50 %")
        await page.evaluate(TURNED, ["dial-top-p", "0.9"])
        await expect(page.locator(".bars .share").first).to_have_text("53.3 %")
        models.gate.clear()
        asked = len(models.requests)
        await page.get_by_label("The text so far").fill("A cat")
        await models.until(requests=asked + 1)
        await page.get_by_label("The text so far").fill("A cow")
        models.gate.set()
        await expect(page.locator(".written")).to_have_text("A␣cow")


async def test_a_token_that_a_model_puts_before_every_text_is_no_part_of_it(
    url: str, models: FakeModels, browser: Any
) -> None:
    models.opening = "<|begin|>"
    async with opened(browser, f"{url}/dial#The cat") as page:
        await expect(page.locator(".written")).to_have_text("The␣cat")
        await page.get_by_role("button", name="␣floor").click()
        await expect(page.locator(".written")).to_have_text("The␣cat␣floor")
        await expect(page.get_by_label("The text so far")).to_have_value("The cat floor")
    assert models.requests[-1]["prompt"][0] == START


async def test_tokens_are_coloured_and_one_of_them_forks_the_answer(url: str, models: FakeModels, browser: Any) -> None:
    async with opened(browser, url) as page:
        await say(page, "/ask What is the capital of France?")
        await choose(page, "Show how surprising each word was")
        tokens = page.locator(".tokens .token")
        await expect(tokens).to_have_count(6)
        await expect(tokens.first).to_be_focused()
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("Enter")
        await expect(page.locator(".runners")).to_contain_text("had a probability of 25 %: a surprise of 2 bits.")
        await expect(page.locator(".choices .share").first).to_have_text("50 %")
        await page.get_by_role("button", name="Go on from here with “ so”").click()
        forked = page.locator(".exchange").nth(1)
        await expect(forked.locator(".markdown")).to_contain_text("Paris so")
        await expect(forked.locator(".markdown mark")).to_have_text("so")
        await expect(forked.locator(".origin")).to_contain_text("chose “so” instead of “is”")
        await expect(forked.locator(".question")).to_be_hidden()
        await choose(forked, "Show how surprising each word was")
        await expect(forked.locator(".token.forked")).to_have_text(" so")
        await forked.get_by_role("button", name="Back to the text").click()
        await page.get_by_role("button", name="Back to the text").press("Enter")
        await expect(page.locator(".exchange").first.locator(".markdown")).to_be_visible()
        await expect(page.get_by_role("button", name="More actions").first).to_be_focused()
    assert models.requests[-1]["continue_final_message"]


async def test_a_token_that_was_hardly_possible_is_the_more_surprising(
    url: str, models: FakeModels, browser: Any
) -> None:
    models.answer, models.unlikely = ("Paris", " banana"), {" banana": 2.0**-40}
    async with opened(browser, url) as page:
        await say(page, "/ask temperature:1 min_p:0.4 What is the capital of France?")
        await choose(page, "Show how surprising each word was")
        await page.locator(".tokens .token").nth(1).click()
        await expect(page.locator(".runners")).to_contain_text("had a probability of < 0.1 %: a surprise of 40 bits.")
        await expect(page.locator(".choices .share")).to_have_text(
            ["50 %", "25 %", "12.5 % · left out by min_p", "6.2 % · left out by min_p"]
        )


async def test_answers_at_several_temperatures_stand_side_by_side_while_they_are_written_and_after(
    laboratory: str, models: FakeModels, browser: Any
) -> None:
    models.answer = ("**It** begins here. ", "It goes on. ", "It ends.")
    models.gate.clear()
    models.before_gate = 2
    async with opened(browser, laboratory) as page:
        await say(page, "/dial Why?")
        columns, below = page.locator(".exchange .column"), page.locator(".exchange .compared > :not(.column)")
        half = [f"Temperature {one}It begins here. It goes on." for one in ("0", "0.7", "1.5")]
        for told, growing in ((half, 3), ([f"{one} It ends." for one in half], 0)):
            for _ in range(2):
                await expect(columns).to_contain_text(told)
                await expect(columns.and_(page.locator(".growing"))).to_have_count(growing)
                await expect(page.locator(".exchange .status")).to_be_empty()
                boxes = [await column.bounding_box() for column in await columns.all()]
                assert len({box["y"] for box in boxes}) == 1
                assert boxes[0]["x"] + boxes[0]["width"] < boxes[1]["x"]
                colours = await columns.evaluate_all("all => all.map((one) => getComputedStyle(one).borderTopColor)")
                assert len(set(colours)) == 3
                await page.reload()
            models.gate.set()
        await expect(below).to_contain_text("The same model, the same prompt, the same seed")
        await page.set_viewport_size({"width": 360, "height": 740})
        await expect(columns).to_have_count(3)
        boxes = [await column.bounding_box() for column in await columns.all()]
        assert len({box["x"] for box in boxes}) == 1
        models.gate.clear()
        await page.get_by_role("button", name="Again").click()
        again = page.locator(".exchange").last.locator(".column")
        await expect(again).to_have_text(half)
        await expect(columns).to_have_count(6)
        await page.get_by_role("button", name="Stop").click()
        await expect(page.locator(".exchange .status").last).to_have_text("Stopped.")
        await expect(again).to_have_text(half)
        await expect(below).to_have_count(1)


@asynccontextmanager
async def chatting(models: FakeModels, folder: Path, browser: Any, **about: Any) -> AsyncIterator[Any]:
    """The chat of a bot with the lab and these settings."""
    bot = bot_with_plugins(models, folder, ("ask", "lab"), **about)
    async with bot, WebPlatform(bot, WebSection(port=0)).serve() as url, opened(browser, url, expected="422") as page:
        yield page


async def test_odds_in_the_chat_become_a_dial_and_the_focus_goes_there_and_back(
    models: FakeModels, tmp_path: Path, browser: Any
) -> None:
    # Where the question is not quoted, the text is that of the line.
    async with chatting(models, tmp_path, browser, settings={"answers.quote": False}) as page:
        for place, (line, text, degree) in enumerate(
            (
                ("/odds temperature:0.5 The cat sat on the", "The cat sat on the", "0.5"),
                ("/odds temperature:0 The cat sat on the", "The cat sat on the", "0"),
                ("/odds temperature:0,5 The cat sat on the", "The cat sat on the", "0.5"),
                ("/dial temperatures:0,1 Describe the sea", "Describe the sea", ""),
            )
        ):
            await say(page, line)
            exchange = page.locator(".exchange").nth(place)
            tool, picture = exchange.get_by_role("button", name="Turn the dial"), exchange.locator(".picture")
            await tool.press("Enter")
            await expect(exchange.get_by_label("Temperature", exact=True)).to_be_focused()
            await expect(exchange.get_by_label("The text so far")).to_have_value(text)
            await expect(exchange.locator(".bar").first).to_contain_text("%")
            await expect(picture).to_be_hidden()
            if degree:
                await expect(exchange.locator(".dial-value")).to_have_text(degree)
            await exchange.get_by_role("button", name="Back to the text").press("Enter")
            await expect(tool).to_be_focused()
            await expect(picture).to_have_count(1 if degree else 0)
        await say(page, "/odds temperature:1 top_p:0.7 One\n```\ntwo")
        await page.locator(".exchange").nth(4).get_by_role("button", name="␣floor").click()
        exchange = page.locator(".exchange").nth(5)
        await exchange.get_by_role("button", name="Turn the dial").click()
        await expect(page.get_by_label("The text so far")).to_have_value("One\n```\ntwo floor")
        await expect(page.locator("output[for^=dial-top-p]")).to_have_text("0.7")
        assert (await shares(page))[:3] == ["66.7 %", "33.3 %", "0 %"]


async def test_a_press_is_one_use_however_many_tokens_it_writes(
    models: FakeModels, tmp_path: Path, browser: Any
) -> None:
    limited = {"limits.user.hour": 2, "safety.level": "standard"}
    async with chatting(models, tmp_path, browser, settings=limited) as page:
        await page.get_by_role("link", name="The temperature dial").click()
        await expect(page.locator(".bars .bar").first).to_contain_text("50 %")
        await page.evaluate(TURNED, ["dial-temperature", "0"])
        await page.get_by_role("button", name="Write on").click()
        await expect(page.locator(".piece.new")).to_have_count(12)
        await page.get_by_role("button", name="Take it back").click()
        await expect(page.locator(".piece.new")).to_have_count(11)
        await page.get_by_role("button", name="␣floor").click()
        await expect(page.locator(".piece.new")).to_have_count(12)
        await page.get_by_role("button", name="Draw a token").click()
        await expect(page.locator(".dial .error")).to_have_text(
            re.compile("^The limit here is 2 per hour for each person, and yours is used up.")
        )
        await expect(page.locator(".piece.new")).to_have_count(12)


@asynccontextmanager
async def dial_with(
    models: FakeModels | OtherServer, folder: Path, browser: Any, settings: dict[str, Any]
) -> AsyncIterator[Any]:
    bot = bot_with_plugins(models, folder, ("ask", "lab"), settings=settings)
    async with (
        bot,
        WebPlatform(bot, WebSection(port=0)).serve() as url,
        opened(browser, f"{url}/dial#A dog") as page,
    ):
        yield page


async def test_a_server_by_others_gives_the_odds_that_it_tells_and_the_text_goes_on(
    tmp_path: Path, browser: Any
) -> None:
    async with OtherServer() as other:
        other.completion = {
            "choices": [{"logprobs": {"top_logprobs": [{" ran": math.log(0.6), " sat": math.log(0.2)}]}}]
        }
        async with dial_with(other, tmp_path, browser, {"safety.level": "off"}) as page:
            told = "tiny tells only its 2 most probable tokens; the odds are among these."
            await expect(page.locator(".dial-facts")).to_have_text(told)
            assert await page.locator(".bars .bar:visible .share").all_inner_texts() == ["75 %", "25 %"]
            await expect(page.get_by_role("button", name="Take it back")).to_be_hidden()
            await page.get_by_role("button", name="␣sat").click()
            await expect(page.get_by_label("The text so far")).to_have_value("A dog sat")
            await page.get_by_label("Temperature").press("Home")
            await page.get_by_role("button", name="Draw a token").click()
            await expect(page.get_by_label("The text so far")).to_have_value("A dog sat ran")


async def test_the_dial_turns_as_far_as_moderators_let_it(models: FakeModels, tmp_path: Path, browser: Any) -> None:
    limits = {"odds.temperature.minimum": 0.3, "odds.temperature.maximum": 0.8, "odds.top_p.maximum": 0.7}
    async with dial_with(models, tmp_path, browser, limits) as page:
        value = page.locator(".dial-value")
        await expect(value).to_have_text("0.5")
        # At 0.5 each token is a quarter as probable as the one before it.
        await expect(page.locator(".bars > li").nth(3)).to_have_text("/ask leaves out what follows (min_p 0.05)")
        # At 0.5 the first token has 75 % by itself, so that top-p leaves it alone.
        await expect(page.locator(".bars .share").first).to_have_text("100 %")
        await page.get_by_label("top-p").press("End")
        await expect(page.locator("output[for=dial-top-p]")).to_have_text("0.7")
        for key in ("Home", "End"):
            await page.get_by_label("Temperature").press(key)
            await expect(value).to_have_text("0.5")
        gauge = await page.locator(".gauge").bounding_box()
        await page.mouse.move(gauge["x"] + gauge["width"] - 5, gauge["y"] + gauge["height"] - 5)
        await page.mouse.down()
        await page.mouse.up()
        await expect(value).to_have_text("0.5")


async def test_the_least_top_p_leaves_the_favourite(models: FakeModels, tmp_path: Path, browser: Any) -> None:
    async with dial_with(models, tmp_path, browser, {"odds.top_p.maximum": 0}) as page:
        await expect(page.locator("output[for=dial-top-p]")).to_have_text("0")
        assert (await shares(page))[:2] == ["100 %", "0 %"]
        await page.get_by_role("button", name="Draw a token").click()
        await expect(page.locator(".piece.new")).to_have_text("␣mat")
