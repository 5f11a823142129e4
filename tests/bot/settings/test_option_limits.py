from collections.abc import AsyncIterator
from typing import Any

import pytest
from fakes.core.requests import ANN, ROOM

from bot import Context, Plugin, Range, Reply, command
from bot.commands.command import Command
from bot.core.errors import OptionError
from bot.core.messages import User
from bot.settings.option_limits import derive_settings, narrow
from bot.settings.resolver import Settings


class Toys(Plugin):
    name = "toys"

    @command()
    async def throw(
        self,
        ctx: Context,
        sides: Range[int, 2, 100],
        speed: Range[float, 0, 10] = 5,
        steps: Range[int, 1, 50] | None = None,
        seed: Range[int, 0, 9] | None = None,
        free: int = 3,
    ) -> AsyncIterator[Reply]:
        """Throw."""
        yield Reply()

    @command("throw-again", hidden=True)
    async def again(
        self, ctx: Context, speed: Range[float, 0, 10] = 5, turn: Range[int, 0, 3] = 0
    ) -> AsyncIterator[Reply]:
        """Throw once more."""
        yield Reply()


COMMANDS = Toys().commands()
THROW, AGAIN = COMMANDS


def set_to(command: Command = THROW, user: User = ANN, **values: Any) -> Command:
    settings = Settings({f"throw.{name.replace('_', '.')}": value for name, value in values.items()})
    settings.declare("toys", [], derive_settings(COMMANDS))
    settings.check()
    return narrow(command, COMMANDS, settings, ROOM, user)


def test_every_number_with_limits_can_be_limited_further() -> None:
    assert [setting.name for setting in derive_settings(COMMANDS)] == [
        "throw.sides.minimum",
        "throw.sides.maximum",
        *(f"throw.speed.{part}" for part in ("default", "minimum", "maximum")),
        *(f"throw.steps.{part}" for part in ("default", "minimum", "maximum")),
    ]
    assert derive_settings(COMMANDS)[2].about("en") == "What speed of /throw is when nobody says."
    assert derive_settings(COMMANDS)[1].about("de") == "Wie groß sides von /throw höchstens sein darf."


def test_a_command_without_limits_set_stays_the_same_object() -> None:
    assert set_to() is THROW


@pytest.mark.parametrize(
    ("values", "bounds"),
    [
        ({"speed_maximum": 4}, (0, 4, 4)),
        ({"speed_minimum": 6}, (6, 10, 6)),
        ({"speed_default": 7}, (0, 10, 7)),
        ({"speed_minimum": 1, "speed_maximum": 3, "speed_default": 2}, (1, 3, 2)),
        ({"speed_maximum": 3, "speed_default": 9}, (0, 3, 3)),
        # Where they exclude each other the upper one counts: it is the one that guards something.
        ({"speed_minimum": 8, "speed_maximum": 3}, (3, 3, 3)),
    ],
)
def test_limits_and_defaults_fit_together(values: dict[str, float], bounds: tuple[float, float, float]) -> None:
    option = set_to(**values).option("speed")
    assert option is not None
    assert (option.minimum, option.maximum, option.default) == bounds


def test_a_value_beyond_a_limit_is_refused_as_set_by_moderators() -> None:
    with pytest.raises(OptionError) as caught:
        set_to(speed_maximum=4).bind({"sides": 6, "speed": 5})
    assert str(caught.value) == (
        "speed must be a number from 0 to 4, as moderators have set it here with `throw.speed.maximum`; you gave “5”."
    )
    assert set_to(speed_maximum=4).bind({"sides": 6})["speed"] == 4
    with pytest.raises(OptionError, match="sides must be a whole number from 2 to 6, as moderators"):
        set_to(sides_maximum=6).bind({"sides": 7})


def test_a_default_of_none_stays_none() -> None:
    assert set_to().bind({"sides": 6})["steps"] is None
    assert set_to(steps_maximum=10).bind({"sides": 6})["steps"] is None
    with pytest.raises(OptionError, match="steps must be a whole number from 1 to 10, as moderators"):
        set_to(steps_maximum=10).bind({"sides": 6, "steps": 11})
    assert set_to(steps_maximum=10, steps_default=4).bind({"sides": 6})["steps"] == 4
    assert set_to(steps_minimum=2).bind({"sides": 6})["steps"] is None


def test_a_hidden_command_has_the_limits_of_the_visible_one() -> None:
    with pytest.raises(OptionError, match="speed must be a number from 0 to 4"):
        set_to(AGAIN, speed_maximum=4).bind({"speed": 5})
    assert set_to(AGAIN, speed_maximum=4).option("turn") is AGAIN.option("turn")
