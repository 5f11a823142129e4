"""Discord's limits for commands, checked before any command is registered. Lengths are in characters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bot.core.errors import PluginError
from bot.core.i18n import Sentence, list_languages, shown_name, translate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.commands.command import Command
    from bot.commands.option import Option

MAX_CHAT_COMMANDS = 100
MAX_MESSAGE_COMMANDS = 5
"""The limit of discord.py; that of Discord is 15."""
MAX_OPTIONS = 25
"""Options of a command; the same limit holds for subcommands of a group, choices of an option, and suggestions."""
MAX_NAME = 32
MAX_DESCRIPTION = 100
MAX_CHOICE = 100
MAX_TEXT = 6000
MAX_INTEGER = 2**53 - 1
MAX_COMBINED = 8000
"""Length of a command's name, description, options and choices together, each in its longest language."""
THREAD = "thread"
"""The option that every command with `threads` has on Discord in addition to its own."""
THREAD_DESCRIPTION = Sentence("Answer in a thread of its own")
NAME_SIGNS = re.compile(r"[\w-]{1,32}")


def has_suggestions(option: Option) -> bool:
    """Return whether values are suggested while somebody types.

    Either a plugin suggests them, or the option has too many or too long choices.
    """
    fit = len(option.choices) <= MAX_OPTIONS and all(1 <= len(str(choice)) <= MAX_CHOICE for choice in option.choices)
    return option.type in (str, int, float) and (option.complete is not None or not fit)


def localize_names(names: Sequence[str], locale: str) -> dict[str, str]:
    """Return the names of a command's options as Discord shows them, by name: small letters and no spaces.

    They stay as they are where Discord would refuse a translated one, and where two would read alike.
    """
    shown = {name: shown_name(name, locale).lower().replace(" ", "_") for name in names}
    fit = all(NAME_SIGNS.fullmatch(name) for name in shown.values()) and len(set(shown.values())) == len(shown)
    return shown if fit else {name: name for name in names}


def check_commands(commands: Sequence[Command]) -> None:
    """Raise PluginError for the first command that exceeds a limit of Discord."""
    roots: dict[str, list[Command]] = {}
    labels: dict[str, Command] = {}
    for command in commands:
        prefix = f"Command “{command.name}” of plugin “{command.plugin}”"
        _check_options(command, prefix)
        siblings = roots.setdefault(command.name.partition(" ")[0], [])
        siblings.append(command)
        if len(roots) > MAX_CHAT_COMMANDS:
            raise PluginError(f"{prefix}: Discord has room for {MAX_CHAT_COMMANDS} commands; load fewer plugins.")
        if len(siblings) > MAX_OPTIONS:
            raise PluginError(f"{prefix}: Discord has room for {MAX_OPTIONS} commands that begin with the same word.")
        if len(siblings) > 1 and any(" " not in sibling.name for sibling in siblings):
            names = " and ".join(f"/{sibling.name}" for sibling in siblings)
            raise PluginError(f"{prefix}: Discord cannot have both {names}; rename one.")
        if sum(map(_count_characters, siblings)) > MAX_COMBINED:
            raise PluginError(
                f"{prefix}: with all descriptions and choices it is over Discord's {MAX_COMBINED} characters."
            )
        if label := command.in_messages:
            if len(label) > MAX_NAME:
                raise PluginError(
                    f"{prefix}: on a message it may be called by {MAX_NAME} characters; “{label}” is longer."
                )
            if label in labels:
                raise PluginError(f"{prefix}: on a message /{labels[label].name} is called “{label}” already.")
            labels[label] = command
            if len(labels) > MAX_MESSAGE_COMMANDS:
                raise PluginError(f"{prefix}: Discord has room for {MAX_MESSAGE_COMMANDS} commands on messages.")


def _check_options(command: Command, prefix: str) -> None:
    names = [option.name for option in command.options] + [THREAD] * command.threads
    if len(names) > MAX_OPTIONS:
        raise PluginError(f"{prefix}: Discord has room for {MAX_OPTIONS} options; it has {len(names)}.")
    if names.count(THREAD) > 1:
        raise PluginError(f"{prefix}: with threads=True it gets an option “{THREAD}”, so rename its own.")
    for name in names:
        if len(name) > MAX_NAME or name != name.lower():
            raise PluginError(f"{prefix}: option “{name}” must be up to {MAX_NAME} small letters, digits and _.")


def _count_characters(command: Command) -> int:
    """Return the number of characters that Discord counts for a command."""
    names = [option.name for option in command.options] + [THREAD] * command.threads
    choices = [str(choice) for option in command.options if not has_suggestions(option) for choice in option.choices]
    texts = [command.description, *(option.description or option.name for option in command.options), *choices]
    texts += [THREAD_DESCRIPTION.text] * command.threads
    localized = [localize_names(names, code) for code in list_languages()]
    # The value of a choice counts beside its name, which is translated.
    count = len(command.name) + sum(map(len, choices))
    count += sum(max(len(known[name]) for known in localized) for name in names)
    return count + sum(
        max(min(len(translate(text, code)), MAX_DESCRIPTION) for code in list_languages()) for text in texts
    )
