from collections.abc import Callable

import pytest
from fakes.core.requests import MODERATOR, ask, last, press, replies
from fakes.model_server.model_api import FakeModels, look_at, png

from bot.app import Bot
from plugins.lab.compare import INSTRUCTIONS

TABLE = """```
                steps  seconds  ms a step
Language model      6     0.50         83
Diffusion           4     1.25        312
GAN                 1     0.10        100
```"""


async def test_three_families_answer_one_prompt(bot: Bot, models: FakeModels) -> None:
    seen = await replies(bot, ask("/compare seed:7 a red apple"))
    reply = seen[-1]
    text, table, lessons = reply.text.split("\n\n")
    assert text == "Paris is the capital of France."
    assert table == TABLE
    assert [line.split()[2] for line in lessons.splitlines()] == ["language", "diffusion", "GAN"]
    assert "6 tokens one after the other" in lessons
    assert "4 times" in lessons
    assert "It cannot read" in lessons
    assert "seed 7" in lessons
    assert [file.filename for file in reply.attachments] == ["diffusion.png", "gan.png"]
    assert [look_at(file.data) for file in reply.attachments] == [look_at(png(7, 384, 384))] * 2
    assert reply.attachments[0].alt == "The diffusion model’s picture of “a red apple”"
    assert [body["min_p"] for body in models.requests if "min_p" in body] == [0.05]
    assert dict(reply.card) == {"seed": "7", "models": "fake-chat, fake-images, fake-faces"}
    by_model = {body["model"]: body for body in models.requests}
    assert by_model["fake-chat"]["messages"][-1]["content"] == by_model["fake-images"]["prompt"] == "a red apple"
    assert by_model["fake-faces"]["prompt"] == ""
    assert {body["seed"] for body in models.requests} == {7}


async def test_in_a_used_room_the_model_is_told_what_a_first_question_is_and_what_to_do(
    bot: Bot, models: FakeModels
) -> None:
    for line in ("/ask seed:1 Who are you?", "/compare seed:2 a green pear", "/compare seed:7 a red apple"):
        assert not (await last(bot, ask(line))).error
    first, *_, compared = [body["messages"] for body in models.requests if body["model"] == "fake-chat"]
    assert [turn["role"] for turn in first] == [turn["role"] for turn in compared] == ["system", "user"]
    assert compared[0]["content"] == f"{first[0]['content']} {INSTRUCTIONS}"
    assert compared[1]["content"] == "a red apple"


async def test_the_families_work_at_the_same_time_and_stop_together(bot: Bot, models: FakeModels) -> None:
    models.gate.clear()
    stopped = False
    async for reply in bot.prepare(ask("/compare a red apple")).start():
        if "Language model: 1 · Diffusion: 1 · GAN: …" in reply.status and not stopped:
            await models.until(running=3)
            stopped = True
            await replies(bot, press("stop", reply.row))
    assert (reply.text, reply.status) == ("Paris", "Stopped.")
    await models.until(dropped=3, running=0)


async def test_a_family_without_a_model_is_named_and_the_others_go_on(bot: Bot, models: FakeModels) -> None:
    del models.listed["fake-images"]
    reply = await last(bot, ask("/compare seed:7 a red apple"))
    assert not reply.error
    assert reply.text.endswith("- Diffusion: There is no model for images.")
    assert "Diffusion  " not in reply.text
    assert [file.filename for file in reply.attachments] == ["gan.png"]
    assert reply.card["models"] == "fake-chat, fake-faces"


async def test_without_any_model_there_is_an_error(bot: Bot, models: FakeModels) -> None:
    models.listed.clear()
    reply = await last(bot, ask("/compare a red apple"))
    assert (reply.text, reply.error) == ("There is no model for chat.", True)


@pytest.mark.parametrize(
    ("end", "word", "steps", "guidance"), [("minimum", "least", 6, 9.5), ("maximum", "most", 3, 1.5)]
)
async def test_the_model_keeps_to_the_limits_of_imagine(
    bot: Bot, models: FakeModels, end: str, word: str, steps: int, guidance: float
) -> None:
    for setting in (f"imagine.steps.{end} {steps}", f"imagine.guidance.{end} {guidance}"):
        assert not (await last(bot, ask(f"/config set {setting}", MODERATOR))).error
    assert f"took some of it away {steps} times" in (await last(bot, ask("/compare a red apple"))).text
    (body,) = (body for body in models.requests if body["model"] == "fake-images")
    assert body[f"{word}_guidance"] == guidance


async def test_without_the_imagine_plugin_the_model_chooses_freely(bot_with: Callable[..., Bot]) -> None:
    async with bot_with("lab") as bot:
        assert "took some of it away 4 times" in (await last(bot, ask("/compare a red apple"))).text
