"""/status: the models that there are, and their queues."""

import pytest
from fakes.core.requests import ask, last
from fakes.model_server.model_api import FakeModels

from bot.app import Bot
from bot.inference.client import ModelClient


async def test_models_are_shown_with_their_queues_and_states(bot: Bot, models: FakeModels) -> None:
    models.listed = {"small-chat": "chat", "painter": "images"}
    models.queues = {"small-chat": (2, 3, 41.7), "painter": (0, 0, None)}
    models.told_of = {"painter": {"ready": False}}
    reply = await last(bot, ask("/status"))
    assert reply.private
    assert reply.text.splitlines() == [
        "- Text: small-chat (2 running, 3 waiting; 42 tokens a second)",
        "- Pictures: painter (not ready: loading)",
    ]


async def test_a_model_of_a_remote_server_is_said_to_be_there(
    bot: Bot, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.listed = {"small-chat": "chat", "large@hosted": "chat"}
    monkeypatch.setattr(ModelClient, "remote_names", ("hosted",))
    assert (await last(bot, ask("/status"))).text.splitlines() == [
        "- Text: small-chat (ready)",
        "- Text: large@hosted (remote; ready)",
    ]


async def test_the_models_to_choose_between_are_said_to_fit_the_machine_or_what_they_need(
    bot: Bot, models: FakeModels
) -> None:
    models.listed = {"emoji": "images"}
    lacks = [("memory", 12, 8), ("card", 16, 0), ("card", 16, 8)]
    keys = ("part", "needed_gb", "present_gb")
    models.alternatives = [
        {"model": "emoji", "chosen": True},
        {"model": "photo", "chosen": False},
        *({"model": "large", "chosen": False, "lacks": dict(zip(keys, lack, strict=True))} for lack in lacks),
    ]
    assert (await last(bot, ask("/status"))).text.splitlines() == [
        "- Pictures: emoji (ready)",
        "",
        "Whoever runs the bot can choose between these with `tempera-models choose`:",
        "- emoji is chosen, and fits the machine of the model server.",
        "- photo fits the machine of the model server.",
        "- large needs 12 GB of memory, and the model server has 8 GB.",
        "- large needs a graphics card with 16 GB, and the model server has none.",
        "- large needs a graphics card with 16 GB, and that of the model server has 8 GB.",
    ]


async def test_a_server_that_is_away_is_one_sentence(bot: Bot, models: FakeModels) -> None:
    models.listed = {}
    assert (await last(bot, ask("/status"))).text == "There are no models."
