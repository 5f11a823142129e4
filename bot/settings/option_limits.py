"""The limits and defaults that moderators set for the options of commands.

Every number with limits has three settings, such as ask.temperature.default, .minimum and .maximum. A hidden command,
which only buttons run, follows the settings of the plugin's visible command that has the same option. A temperature
follows temperature.minimum and .maximum as well, in every command; where both limit it, the narrower counts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot.core.i18n import Sentence
from bot.core.text import format_number
from bot.settings.builtin import MAX_TEMPERATURE
from bot.settings.setting import Setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.commands.command import Command
    from bot.commands.option import Option
    from bot.core.messages import Place, User
    from bot.settings.resolver import Settings

TEMPERATURE = "temperature"
"""The prefix of the two settings that limit all temperatures."""
TEMPERATURE_OPTIONS = (TEMPERATURE, "temperatures")


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
        options.append(narrow_option(option, name, settings, place, user))
    return command if tuple(options) == command.options else replace(command, options=tuple(options))


def _find_owner(option: Option, siblings: Sequence[Command]) -> Command | None:
    """Return the visible command that has the same option."""
    visible = (command for command in siblings if not command.hidden)
    return next((command for command in visible if (same := command.option(option.name)) and _is_numeric(same)), None)


def _is_temperature(option: Option) -> bool:
    """Return whether it is the temperature of a language model, rather than that of the weather."""
    limits = option.numbers or option
    if option.name not in TEMPERATURE_OPTIONS or limits.minimum is None or limits.maximum is None:
        return False
    return (
        option.type is float or option.numbers is not None
    ) and 0 <= limits.minimum <= limits.maximum <= MAX_TEMPERATURE


def narrow_option(option: Option, prefix: str, settings: Settings, place: Place, user: User | None = None) -> Option:
    """Return `option` with its limits and its default in `place` for `user`.

    `prefix` is that of its own settings, such as "ask.temperature", if it has any.
    """
    prefixes = [prefix] if settings.knows(f"{prefix}.maximum") else []
    prefixes += [TEMPERATURE] if _is_temperature(option) else []
    limits = option.numbers or option
    if not prefixes or limits.minimum is None or limits.maximum is None:
        return option
    low, low_by, high, high_by = limits.minimum, "", limits.maximum, ""
    for name in prefixes:
        if (least := settings.value(f"{name}.minimum", place, user)) > low:
            low, low_by = least, f"{name}.minimum"
        if (most := settings.value(f"{name}.maximum", place, user)) < high:
            high, high_by = most, f"{name}.maximum"
    if low > high:
        # The upper limit protects the server, so it wins if the two limits exclude each other.
        low, low_by = high, high_by
    default = (
        settings.value(f"{prefix}.default", place, user) if settings.knows(f"{prefix}.default") else option.default
    )
    if option.numbers is not None:
        narrowed = replace(option, numbers=replace(option.numbers, minimum=low, maximum=high))
    else:
        narrowed = replace(option, minimum=low, maximum=high)
    # For a default of None the handler chooses a value, and keeps to the settings itself.
    narrowed = replace(narrowed, minimum_by=low_by, maximum_by=high_by, default=narrowed.clamp(default))
    return option if narrowed == option else narrowed


def find_narrower(setting: Setting, settings: Settings, place: Place) -> Sentence | None:
    """Return a sentence that names the limit of all temperatures if it is narrower in `place` than `setting` is."""
    prefix, _, end = setting.name.rpartition(".")
    shared = f"{TEMPERATURE}.{end}"
    command, _, name = prefix.rpartition(".")
    # The limits of an option are settings with the limits that the option has by itself.
    option = replace(setting.option, name=name)
    if not command or name != TEMPERATURE or not _is_temperature(option) or not settings.knows(shared):
        return None
    own, common = settings.value(setting.name, place), settings.value(shared, place)
    if (own <= common) if end == "maximum" else (own >= common):
        return None
    return Sentence(
        "`{setting}` is {value} here, which is narrower and counts.",
        {"setting": shared, "value": format_number(common)},
    )
