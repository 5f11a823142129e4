"""What a model chooses itself is shown before its first use, as far as the model server tells."""

from typing import Any

import pytest
from fakes.core.requests import ANN
from fakes.core.settings import WEB, put
from fakes.model_server.model_api import FakeModels

from bot.app import Bot
from bot.platforms.web.chat.model_defaults import ModelDefaults
from bot.platforms.web.chat.room import room_place

ROOM = room_place("general")


def found(bot: Bot, defaults: ModelDefaults) -> dict[str, dict[str, float]]:
    """Return what is known of the commands that somebody may use, by command."""
    known = {command.name: defaults.find(command, ROOM) for command in bot.admission.commands_for(ANN, ROOM)}
    return {name: values for name, values in known.items() if values}


async def test_the_values_are_those_of_the_model_and_within_the_limits_of_the_room(
    bot: Bot, models: FakeModels
) -> None:
    changes: list[None] = []
    defaults = ModelDefaults(bot, lambda: changes.append(None))
    assert found(bot, defaults) == {}
    models.told_of["fake-images"] = {"defaults": {"steps": 30, "guidance": 4.5, "count": 2}}
    await defaults.refresh()
    assert found(bot, defaults) == {"imagine": {"steps": 30, "guidance": 4.5}}
    await defaults.refresh()
    assert len(changes) == 1
    await put(bot.settings, "imagine.steps.maximum", "20", WEB)
    assert found(bot, defaults)["imagine"]["steps"] == 20
    # While the server is away, what it told before holds.
    await models.__aexit__()
    await defaults.refresh()
    assert found(bot, defaults)["imagine"]["guidance"] == 4.5


@pytest.mark.parametrize("told", ["thirty", [30], {"steps": "thirty", "guidance": float("inf")}])
async def test_what_is_no_number_is_left_out(bot: Bot, models: FakeModels, told: Any) -> None:
    models.told_of["fake-images"] = {"defaults": told}
    defaults = ModelDefaults(bot, lambda: None)
    await defaults.refresh()
    assert found(bot, defaults) == {}
