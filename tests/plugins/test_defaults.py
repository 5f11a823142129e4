import pytest
from fakes.core.requests import ANN, BEN, ROOM, ask, last, press, speaking

from bot.answers.decision import OpenForm
from bot.app import Bot
from bot.core.messages import Request


async def test_a_default_is_used_if_the_option_is_not_given(bot: Bot) -> None:
    assert (await last(bot, ask("/defaults set ask.temperature value:0,3"))).text == (
        "`ask.temperature` is 0.3 for you from now on."
    )
    assert (await last(bot, ask("/ask hi"))).card["temperature"] == "0.3"
    assert (await last(bot, ask("/ask temperature:1 hi"))).card["temperature"] == "1"
    assert (await last(bot, ask("/ask hi", BEN))).card["temperature"] == "0.7"
    assert (await last(bot, ask("hello"))).card["temperature"] == "0.3"
    german = await last(bot, ask("/defaults set ask.temperature value:1", speaking("de")))
    assert german.text == "`ask.temperature` ist bei dir ab jetzt 1."


async def test_forms_start_with_the_default_and_buttons_keep_the_original_value(bot: Bot) -> None:
    first = await last(bot, ask("/ask hi"))
    await last(bot, ask("/defaults set value:1.5 ask.temperature"))
    decision = bot.prepare(ask("/ask", can_show_forms=True))
    assert isinstance(decision, OpenForm)
    values = {field.name: field.value for field in (await decision.make()).fields}
    assert values["temperature"] == "1.5"
    assert (await last(bot, press("again", first.row))).card["temperature"] == "0.7"


async def test_defaults_are_shown_and_reset(bot: Bot) -> None:
    await last(bot, ask("/defaults set face.count value:4"))
    await last(bot, ask("/defaults set ask.temperature value:0"))
    text = (await last(bot, ask("/defaults show"))).text
    assert "- `face.count`: **4**\n" in text
    assert "- `ask.max_tokens`: 512 (default)\n" in text
    assert "seed" not in text
    await last(bot, ask("/defaults reset face.count"))
    assert "- `face.count`: 1 (default)\n" in (await last(bot, ask("/defaults show"))).text
    await last(bot, ask("/defaults reset"))
    assert "**" not in (await last(bot, ask("/defaults show"))).text


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "/defaults set ask.temprature value:1",
            "There is no option “ask.temprature”. Did you mean “ask.temperature”?",
        ),
        ("/defaults set ask.temperature value:9", "temperature must be a number from 0 to 2; you gave “9”."),
        ("/defaults set ask.seed value:9", "There is no option “ask.seed”. Did you mean “ask.fresh”?"),
        ("/defaults set weather value:9", "There is no option “weather” to set; there are ask.temperature"),
        ("/defaults reset face.count", "You have set no default of your own for face.count."),
    ],
)
async def test_wrong_options_are_refused(bot: Bot, line: str, sentence: str) -> None:
    reply = await last(bot, ask(line))
    assert (reply.error, reply.private) == (True, True)
    assert reply.text.startswith(sentence)


async def test_names_complete(bot: Bot) -> None:
    async def complete(command: str, typed: str) -> list[str]:
        return list(await bot.complete(Request(user=ANN, place=ROOM, command=command), "option", typed))

    assert await complete("defaults set", "ask.t") == ["ask.temperature"]
    assert await complete("defaults reset", "") == []
    await last(bot, ask("/defaults set ask.temperature value:1"))
    assert await complete("defaults reset", "") == ["ask.temperature"]
