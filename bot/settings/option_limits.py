"""The limits and defaults that moderators set for the options of commands.

Every number with limits has three settings, such as ask.temperature.default, .minimum and .maximum. A hidden command,
which only buttons run, follows the settings of the plugin's visible command that has the same option.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot.core.i18n import Sentence
from bot.settings.setting import Setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.commands.command import Command
    from bot.commands.option import Option
    from bot.core.messages import Place, User
    from bot.settings.resolver import Settings


def _setting_prefix(command: Command, option: Option) -> str:
    return f"{command.name.replace(' ', '-')}.{option.name}"


def _is_numeric(option: Option) -> bool:
    has_limits = option.minimum is not None and option.maximum is not None
    return option.type in (int, float) and has_limits and not option.choices and option.name != "seed"


def derive_settings(commands: Sequence[Command]) -> list[Setting]:
    """Return the settings for the numeric options of a plugin's commands."""
    settings = []
    for command in commands:
        for option in command.options:
            if _is_numeric(option) and not command.hidden and not command.moderator:
                settings += _option_settings(command, option)
    return settings


def _option_settings(command: Command, option: Option) -> list[Setting]:
    values = {"command": command.name, "option": option.name}
    common: dict[str, Any] = {"type": option.type, "minimum": option.minimum, "maximum": option.maximum}
    default = Setting(
        name=f"{_setting_prefix(command, option)}.default",
        default=option.default,
        description=Sentence("What {option} of /{command} is when nobody says.", values),
        **common,
    )
    minimum = Setting(
        name=f"{_setting_prefix(command, option)}.minimum",
        default=option.minimum,
        description=Sentence("The least that {option} of /{command} may be.", values),
        among=min,
        **common,
    )
    maximum = Setting(
        name=f"{_setting_prefix(command, option)}.maximum",
        default=option.maximum,
        description=Sentence("The most that {option} of /{command} may be.", values),
        among=max,
        **common,
    )
    return [minimum, maximum] if option.required else [default, minimum, maximum]


def narrow(
    command: Command, siblings: Sequence[Command], settings: Settings, place: Place, user: User | None = None
) -> Command:
    """Return `command` with the limits and defaults that apply in `place` to `user`.

    `siblings` are the commands of its plugin.
    """
    options = []
    for option in command.options:
        owner = command if not command.hidden else _find_owner(option, siblings)
        name = "" if owner is None or not _is_numeric(option) else _setting_prefix(owner, option)
        options.append(
            _narrow_option(option, name, settings, place, user) if settings.knows(f"{name}.maximum") else option
        )
    return command if tuple(options) == command.options else replace(command, options=tuple(options))


def _find_owner(option: Option, siblings: Sequence[Command]) -> Command | None:
    """Return the visible command that has the same option."""
    visible = (command for command in siblings if not command.hidden)
    return next((command for command in visible if (same := command.option(option.name)) and _is_numeric(same)), None)


def _narrow_option(option: Option, name: str, settings: Settings, place: Place, user: User | None) -> Option:
    if option.minimum is None or option.maximum is None:
        return option
    low = max(option.minimum, settings.value(f"{name}.minimum", place, user))
    high = min(option.maximum, settings.value(f"{name}.maximum", place, user))
    # The upper limit protects the server, so it wins if the two limits exclude each other.
    low = min(low, high)
    default = settings.value(f"{name}.default", place, user) if settings.knows(f"{name}.default") else option.default
    # For a default of None the handler chooses a value, and keeps to the settings itself.
    default = None if default is None else min(max(default, low), high)
    is_narrower = (low, high) != (option.minimum, option.maximum)
    if not is_narrower and default == option.default:
        return option
    return replace(option, minimum=low, maximum=high, default=default, is_moderated=is_narrower)
