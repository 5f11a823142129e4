"""What moderators will change in chat: declared by the core and by plugins, each with a type, a default and a sentence.

This is the read side: a setting is what the deployment says in `[settings]`, else what its declaration says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.errors import ConfigError, OptionError, PluginError
from bot.option import KINDS, Option
from bot.scope import Scopes
from bot.text import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bot.message import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One thing that can be set. `name` is "plugin.thing"; `description` is a sentence for moderators."""

    name: str
    type: type
    default: Any
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()

    def convert(self, raw: Any) -> Any:
        """`raw` as this setting's type. Raises OptionError with a sentence."""
        option = Option(
            name=self.name, type=self.type, minimum=self.minimum, maximum=self.maximum, choices=self.choices
        )
        return option.convert(raw)


CORE = (
    Setting(
        name="answers.private",
        type=bool,
        default=False,
        description="Show every answer to the person who asked alone.",
    ),
    Setting(
        name="answers.quote",
        type=bool,
        default=True,
        description="Begin a public answer with the question it answers.",
    ),
    Setting(
        name="answers.spoiler",
        type=bool,
        default=False,
        description="Hide pictures until somebody wants to see them.",
    ),
    Setting(
        name="moderators.users",
        type=str,
        default="",
        description="Who counts as a moderator beside those with the platform's rights: ids with spaces between.",
    ),
)


class Settings:
    """Every declared setting with its value for a place. Reading needs no database and never waits."""

    def __init__(self, overrides: Mapping[str, Any]) -> None:
        self._overrides = dict(overrides)
        self._declared: dict[str, Setting] = {}
        self._values: dict[str, Any] = {}
        self.scopes = Scopes()
        self.declare("", CORE)

    def declare(self, plugin: str, settings: Iterable[Setting]) -> None:
        """Take in a plugin's declarations, in the place of its earlier ones.

        Raises PluginError for a bad one, ConfigError for a bad override of one; nothing has changed then.
        """
        declared: dict[str, Setting] = {}
        values: dict[str, Any] = {}
        for setting in settings:
            if plugin and not setting.name.startswith(f"{plugin}."):
                raise PluginError(f"Setting “{setting.name}” of plugin “{plugin}” must begin with “{plugin}.”.")
            if setting.type not in KINDS or not setting.description:
                raise PluginError(f"Setting “{setting.name}” needs a type that options have, and a description.")
            declared[setting.name] = setting
            raw = self._overrides.get(setting.name, setting.default)
            try:
                values[setting.name] = setting.convert(raw)
            except OptionError as error:
                raise ConfigError(f"[settings]: {error}") from None
        for name in [name for name in self._declared if name.startswith(f"{plugin}.")]:
            del self._declared[name], self._values[name]
        self._declared |= declared
        self._values |= values

    def check(self) -> None:
        """Raise ConfigError if the deployment overrides something that nobody declared."""
        for name in self._overrides:
            if name not in self._declared:
                close = nearest(name, self._declared)
                hint = f" Did you mean “{close}”?" if close else ""
                raise ConfigError(f"[settings]: there is no setting “{name}”.{hint}")

    @property
    def declared(self) -> tuple[Setting, ...]:
        """Every declaration, in the order of loading."""
        return tuple(self._declared.values())

    def at(self, place: Place) -> SettingsHere:
        """The settings as they are in `place`."""
        return SettingsHere(self, place)

    def value(self, name: str, place: Place) -> Any:
        """The value of `name` in `place`. Raises KeyError for one that nobody declared."""
        return self._values[name]


@dataclass(frozen=True, slots=True)
class SettingsHere:
    """The settings of one place: `ctx.settings["ask.system_prompt"]`."""

    _settings: Settings
    _place: Place

    def __getitem__(self, name: str) -> Any:
        return self._settings.value(name, self._place)
