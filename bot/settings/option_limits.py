"""What moderators make of a command's options: narrower limits, and other defaults.

Every number with limits has three settings, such as ask.temperature.default, .minimum and .maximum. What only buttons
run has those of the plugin's command that has the same option.
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


def _name(command: Command, option: Option) -> str:
    return f"{command.name.replace(' ', '-')}.{option.name}"


def _is_numeric(option: Option) -> bool:
    has_limits = option.minimum is not None and option.maximum is not None
    return option.type in (int, float) and has_limits and not option.choices and option.name != "seed"


def derived(commands: Sequence[Command]) -> list[Setting]:
    """The settings that the options of a plugin's commands lead to."""
    found = []
    for command in commands:
        for option in command.options:
            if _is_numeric(option) and not command.hidden and not command.moderator:
                found += _settings(command, option)
    return found


def _settings(command: Command, option: Option) -> list[Setting]:
    values = {"command": command.name, "option": option.name}
    common: dict[str, Any] = {"type": option.type, "minimum": option.minimum, "maximum": option.maximum}
    default = Setting(
        name=f"{_name(command, option)}.default",
        default=option.default,
        description=Sentence("What {option} of /{command} is when nobody says.", values),
        **common,
    )
    minimum = Setting(
        name=f"{_name(command, option)}.minimum",
        default=option.minimum,
        description=Sentence("The least that {option} of /{command} may be.", values),
        among=min,
        **common,
    )
    maximum = Setting(
        name=f"{_name(command, option)}.maximum",
        default=option.maximum,
        description=Sentence("The most that {option} of /{command} may be.", values),
        among=max,
        **common,
    )
    return [minimum, maximum] if option.required else [default, minimum, maximum]


def narrowed(
    command: Command, siblings: Sequence[Command], settings: Settings, place: Place, user: User | None = None
) -> Command:
    """`command` as it is in `place` for `user`; `siblings` are the other commands of its plugin."""
    options = []
    for option in command.options:
        owner = command if not command.hidden else _like(option, siblings)
        name = "" if owner is None or not _is_numeric(option) else _name(owner, option)
        options.append(_narrowed(option, name, settings, place, user) if settings.knows(f"{name}.maximum") else option)
    return command if tuple(options) == command.options else replace(command, options=tuple(options))


def _like(option: Option, siblings: Sequence[Command]) -> Command | None:
    """The command that people type with the same option."""
    found = (command for command in siblings if not command.hidden)
    return next((command for command in found if (like := command.option(option.name)) and _is_numeric(like)), None)


def _narrowed(option: Option, name: str, settings: Settings, place: Place, user: User | None) -> Option:
    if option.minimum is None or option.maximum is None:
        return option
    low = max(option.minimum, settings.value(f"{name}.minimum", place, user))
    high = min(option.maximum, settings.value(f"{name}.maximum", place, user))
    # The upper limit guards something, so that it counts where the two exclude each other.
    low = min(low, high)
    default = settings.value(f"{name}.default", place, user) if settings.knows(f"{name}.default") else option.default
    # Who chooses where it is None keeps to the settings: only there it is known whether that would be less or more.
    default = None if default is None else min(max(default, low), high)
    is_narrower = (low, high) != (option.minimum, option.maximum)
    if not is_narrower and default == option.default:
        return option
    return replace(option, minimum=low, maximum=high, default=default, is_moderated=is_narrower)
