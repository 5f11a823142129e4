from collections.abc import Callable
from itertools import pairwise

import pytest
from fakes.core.requests import ask, last, press, replies
from fakes.model_server.broken_api import crooked, plainly
from fakes.model_server.model_api import FakeModels

from bot import Column, Reply
from bot.app import Bot
from plugins.lab.dial import TEMPERATURES

TEXT = "Paris is the capital of France."
MEASURED = "*Entropy 0.72 bits a token; 3 of 6 tokens were not the most probable one.*"


def only_grows(seen: list[Reply]) -> bool:
    return all(after.text.startswith(before.text) for before, after in pairwise(seen))


async def test_three_answers_with_their_measurements_and_an_explanation(bot: Bot, models: FakeModels) -> None:
    seen = await replies(bot, ask("/dial seed:7 max_tokens:9 Where?"))
    sections = [f"**Temperature {temperature}**\n{TEXT}\n\n{MEASURED}" for temperature in ("0", "0.7", "1.5")]
    *shown, lesson = seen[-1].text.rsplit("\n\n", 1)
    assert shown == ["\n\n".join(sections)]
    assert lesson.startswith("The same model, the same prompt, the same seed: the temperature alone decides")
    assert only_grows(seen)
    assert dict(seen[-1].card) == {
        "model": "fake-chat",
        "temperatures": "0, 0.7, 1.5",
        "min_p": "0.05",
        "seed": "7",
        "seconds": "0.5",
    }
    assert sorted(body["temperature"] for body in models.requests) == [0, 0.7, 1.5]
    for body in models.requests:
        assert (body["seed"], body["max_tokens"], body["top_logprobs"], body["user"]) == (7, 9, 1, "ann")
        assert body["min_p"] == 0.05
        assert body["messages"] == [{"role": "user", "content": "Where?"}]


async def test_all_answers_grow_at_the_same_time(bot: Bot, models: FakeModels) -> None:
    models.gate.clear()
    models.before_gate = 3
    seen = []
    async for reply in bot.prepare(ask("/dial temperatures:0,1 Where?")).start():
        seen.append(reply)
        if reply.status == "1: 3 tokens":
            await models.until(running=2)
            assert reply.columns == (
                Column("**Temperature 0**\nParis is the"),
                Column("**Temperature 1**\nParis is the"),
            )
            assert reply.text == reply.columns[0].text
            models.gate.set()
    assert (seen[-1].final, seen[-1].columns) == (True, ())
    assert only_grows(seen)
    assert models.gate.is_set()


async def test_stop_ends_all_answers_and_keeps_their_text(bot: Bot, models: FakeModels) -> None:
    models.gate.clear()
    async for reply in bot.prepare(ask("/dial Where?")).start():
        if not reply.final and [column.text.endswith("Paris") for column in reply.columns] == [True] * 3:
            await models.until(running=3)
            await replies(bot, press("stop", reply.row))
    said = "\n\n".join(f"**Temperature {temperature}**\nParis" for temperature in ("0", "0.7", "1.5"))
    assert (reply.text, reply.status, reply.columns) == (said, "Stopped.", ())
    await models.until(dropped=3, running=0)


async def test_the_failure_of_one_does_not_lose_the_others(bot: Bot, models: FakeModels) -> None:
    models.failure = (500, "It broke.")
    models.failing = lambda body: body["temperature"] == 0.7
    reply = await last(bot, ask("/dial Where?"))
    assert not reply.error
    assert "**Temperature 0.7**\nIt broke.\n\n**Temperature 1.5**" in reply.text
    assert reply.text.count(MEASURED) == 2


async def test_if_all_fail_the_error_is_shown_once(bot: Bot, models: FakeModels) -> None:
    models.failure = (500, "It broke.")
    reply = await last(bot, ask("/dial Where?"))
    assert (reply.text.count("It broke."), reply.error) == (1, True)


async def test_text_is_kept_if_all_answers_break_off(bot_with: Callable[..., Bot]) -> None:
    stream = b'data: {"choices": [{"delta": {"content": "Once"}}]}\n\ndata: {"error": {"message": "It broke."}}\n\n'
    async with crooked(plainly(stream)) as url, bot_with("lab", url=url) as broken:
        reply = await last(broken, ask("/dial temperatures:0,1 hi"))
    assert reply.text.startswith("**Temperature 0**\nOnce\n\nIt broke.\n\n**Temperature 1**\nOnce\n\nIt broke.")
    assert dict(reply.card)["seconds"] == "0.0"


async def test_a_single_temperature_asks_for_another(bot: Bot) -> None:
    reply = await last(bot, ask("/dial temperatures:1 Where?"))
    assert reply.text.endswith("Ask with two temperatures or more to see what the temperature does.")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0, 0.7, 1.5", [0, 0.7, 1.5]),
        ("0 .5 2", [0, 0.5, 2]),
        ("0,7; 1,5", [0.7, 1.5]),
        ("1,1,1", [1]),
        (" 0.1,0.2,0.3,0.4,0.5, ", [0.1, 0.2, 0.3, 0.4, 0.5]),
    ],
)
def test_temperatures_are_parsed_as_people_write_them(text: str, values: list[float]) -> None:
    assert TEMPERATURES.parse(text) == values


@pytest.mark.parametrize(("text", "shown"), [("-0", "0"), ("0.33333331, 0.33333332", "0.333333"), ("1e-9", "1e-09")])
def test_a_temperature_is_rounded_to_what_is_shown(text: str, shown: str) -> None:
    (value,) = TEMPERATURES.parse(text)
    assert f"{value:g}" == shown
    assert float(shown) == value


@pytest.mark.parametrize("text", ["hot", "0, 2.1", "-0.1", "nan", ",", "0,1,2,.1,.2,.3"])
async def test_other_temperatures_are_refused_before_anything_runs(bot: Bot, models: FakeModels, text: str) -> None:
    sentence = f"temperatures must be one to 5 different numbers from 0 to 2; you gave “{text}”."
    refused = await last(bot, ask(f'/dial temperatures:"{text}" hi'))
    assert (refused.text, refused.row, models.requests) == (sentence, 0, [])
