"""What models take for options that nobody names, such as the steps of a picture. Pages show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.core.errors import UserError
from bot.inference.models import choose_model, find_name, read_defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bot.app import Bot
    from bot.commands.command import Command
    from bot.core.messages import Place

LEARN_SECONDS = 15.0
"""How often the model server is asked: a model that is still loading tells nothing yet."""


class ModelDefaults:
    """The defaults of the models that commands use, as the model server told them last."""

    def __init__(self, bot: Bot, changed: Callable[[], None]) -> None:
        """`changed` is called when they have changed."""
        self._bot = bot
        self._changed = changed
        self._listed: dict[str, dict[str, Mapping[str, Any]]] = {}
        """What the server says about each model, by task and name."""

    async def refresh(self) -> None:
        """Ask the model server; while it does not answer, what it told before holds."""
        if not (tasks := {task for command in self._bot.registry.commands if (task := self._task_of(command))}):
            return
        try:
            listed = await self._bot.models.listed(*tasks)
        except UserError:
            return
        if listed != self._listed:
            self._listed = listed
            self._changed()

    def find(self, command: Command, place: Place) -> dict[str, float]:
        """Return the number of each option that the model of a command chooses itself in a place, as far as known."""
        if not (listed := self._listed.get(self._task_of(command), {})):
            return {}
        wanted = self._bot.settings.value(_model_setting(command), place)
        if wanted and not find_name(listed, wanted) and self._bot.settings.reaches_remote(place):
            # Remote models are asked for only where somebody asks them something.
            return {}
        told = read_defaults(listed[choose_model(listed, (wanted,)).name])
        open_options = (option for option in command.options if option.default is None and option.name in told)
        return {option.name: option.clamp(told[option.name]) for option in open_options}

    def _task_of(self, command: Command) -> str:
        """Return the task of the model that a setting chooses for a command; "" if none does."""
        settings, name = self._bot.settings, _model_setting(command)
        return settings.find(name).task if settings.knows(name) else ""


def _model_setting(command: Command) -> str:
    return f"{command.name}.model"
