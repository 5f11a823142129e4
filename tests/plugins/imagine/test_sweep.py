"""Sweeps of /imagine: the pictures that are drawn, the options that are not used, and malformed sweeps."""

from collections.abc import Callable

import pytest
from fakes.core.requests import ANN, MODERATOR, ROOM, ask, last, pressed
from fakes.model_server.model_api import FakeModels

from bot.answers.decision import OpenForm
from bot.app import Bot
from bot.config import loading as config
from bot.core.messages import Action, Request


async def test_a_sweep_lays_the_values_side_by_side(bot: Bot, models: FakeModels) -> None:
    reply = await last(bot, ask("/imagine seed:7 sweep:guidance=1,3.5,7 a cat"))
    (body,) = models.requests
    assert (body["sweep"], body["n"], body["layout"], body["seed"]) == ({"guidance": [1, 3.5, 7]}, 1, "separate", 7)
    assert reply.text == "The same words and the same seed each time; only the guidance changes."
    assert (reply.card["guidance"], reply.card["seed"], reply.card["steps"]) == ("1, 3.5, 7", "7", "4")
    assert reply.attachments[0].alt == ("3 computer-made pictures of “a cat”, all from seed 7, with guidance 1, 3.5, 7")
    assert [button.label for button in reply.buttons][:4] == ["guidance 1", "guidance 3.5", "guidance 7", "Again"]
    large = await pressed(bot, reply, "guidance 3.5")
    assert (large.card["guidance"], large.card["seed"], models.requests[-1]["n"]) == ("3.5", "7", 1)


INSTEAD = "was not used: the values of the sweep count instead."
ONE_EACH = "was not used: a sweep draws one picture for each of its values."


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("sweep:guidance=0,4,20 guidance:0", [f"guidance:0 {INSTEAD}"]),
        ("sweep:steps=1,3 steps:5 guidance:2", [f"steps:5 {INSTEAD}"]),
        ("sweep:guidance=0,4,20 count:4", [f"count:4 {ONE_EACH}"]),
        ("count:1 sweep:steps=1,3 steps:5", [f"steps:5 {INSTEAD}", f"count:1 {ONE_EACH}"]),
        ("sweep:guidance=0,4,20 count:3 steps:5", []),
    ],
)
async def test_a_sweep_names_the_options_that_it_does_not_use(bot: Bot, line: str, told: list[str]) -> None:
    reply = await last(bot, ask(f"/imagine {line} a cat"))
    assert (reply.error, reply.text.split("\n\n")[1:]) == (False, told)


async def test_unused_options_from_a_menu_or_a_form_are_named_too(bot: Bot) -> None:
    options = {"sweep": "guidance=1,3", "guidance": 0.0, "prompt": "a cat"}
    reply = await last(bot, ask("", command="imagine", options=options))
    assert f"guidance:0 {INSTEAD}" in reply.text
    edited = await pressed(bot, reply, "Edit", prompt="a cat", guidance="2,5", steps="")
    assert f"guidance:2.5 {INSTEAD}" in edited.text


async def test_the_values_of_a_sweep_are_edited(bot: Bot, models: FakeModels) -> None:
    reply = await last(bot, ask("/imagine seed:7 sweep:guidance=0,4,20 a cat"))
    edit = next(button.id for button in reply.buttons if button.label == "Edit")
    decision = bot.prepare(Request(user=ANN, place=ROOM, action=Action(edit)))
    assert isinstance(decision, OpenForm)
    shown = {field.name: field.value for field in (await decision.make()).fields}
    assert (next(iter(shown)), shown["sweep"], len(shown)) == ("prompt", "guidance=0,4,20", 5)
    edited = await pressed(bot, reply, "Edit", prompt="a cat", sweep="guidance=1,5,9")
    assert (edited.error, edited.card["guidance"]) == (False, "1, 5, 9")


async def test_the_classroom_profile_allows_the_sweep_of_the_help(bot_with: Callable[..., Bot]) -> None:
    """The profile allows fewer pictures at once, so that each of thirty pupils gets some."""
    profile = config.load(None, ["classroom"]).settings
    async with bot_with(settings={**profile, "limits.cooldown": 0}) as bot:
        assert "guidance=0,4,20" in bot.registry.find("imagine").option("sweep").description
        assert not (await last(bot, ask("/imagine sweep:guidance=0,4,20 a cat"))).error
        refused = await last(bot, ask("/imagine sweep:guidance=1,2,3,4 a cat"))
        assert refused.text == "A sweep has 2 to 3 different values, like guidance=0,4,20; yours has 4."


@pytest.mark.parametrize(
    ("setting", "sweep", "example"),
    [
        ("count.maximum 2", "guidance=0,4,20", "guidance=0,4"),
        ("steps.maximum 20", "steps=5", "steps=5,15,20"),
        ("guidance.minimum 2", "guidance=1,3", "guidance=2,4,20"),
    ],
)
async def test_the_example_in_an_error_keeps_to_the_limits(bot: Bot, setting: str, sweep: str, example: str) -> None:
    assert not (await last(bot, ask(f"/config set imagine.{setting}", MODERATOR))).error
    refused = await last(bot, ask(f"/imagine sweep:{sweep} a cat"))
    assert (refused.error, f"like {example};" in refused.text) == (True, True), refused.text
    assert not (await last(bot, ask(f"/imagine sweep:{example} a cat"))).error


async def test_unused_defaults_are_not_mentioned(bot: Bot) -> None:
    await last(bot, ask("/defaults set imagine.guidance value:5"))
    await last(bot, ask("/defaults set imagine.count value:2"))
    reply = await last(bot, ask("/imagine sweep:guidance=0,4,20 a cat"))
    assert reply.text == "The same words and the same seed each time; only the guidance changes."


MALFORMED = "sweep is guidance, steps or references with 2 to 8 values, like guidance=0,4,20 or steps=5,15,30;"
GUIDANCE = "In a sweep, guidance takes numbers from 0 to 30, like guidance=0,4,20;"
STEPS = "In a sweep, steps takes whole numbers from 1 to 150, like steps=5,15,30;"


@pytest.mark.parametrize(
    ("sweep", "sentence"),
    [
        ("size=1,2", f"{MALFORMED} you gave “size=1,2”."),
        ("1,3,7", f"{MALFORMED} you gave “1,3,7”."),
        ("guidance=1,1.0000001", "A sweep has 2 to 8 different values, like guidance=0,4,20; yours has 1."),
        ("steps=1,2,3,4,5,6,7,8,9", "A sweep has 2 to 8 different values, like steps=5,15,30; yours has 9."),
        ("guidance=1,31", f"{GUIDANCE} “31” is none of them."),
        ("guidance=1,nan", f"{GUIDANCE} “nan” is none of them."),
        ("steps=1,2.5", f"{STEPS} “2.5” is none of them."),
    ],
)
async def test_malformed_sweeps_are_refused(bot: Bot, models: FakeModels, sweep: str, sentence: str) -> None:
    reply = await last(bot, ask(f"/imagine sweep:{sweep} a cat"))
    assert (reply.text, reply.error, reply.private) == (sentence, True, True)
    assert models.requests == []
