"""Builds Discord's commands from the bot's: typed options, choices and suggestions."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
from typing import TYPE_CHECKING, Any, Protocol

import discord
from discord import app_commands

from bot.commands.command import argument_name
from bot.core.messages import Attachment, Channel, Role, User
from bot.core.text import cut
from bot.platforms.discord.convert.requests import mentioned_user
from bot.platforms.discord.incoming.command_limits import (
    MAX_CHOICE,
    MAX_DESCRIPTION,
    MAX_INTEGER,
    MAX_OPTIONS,
    MAX_TEXT,
    THREAD,
    THREAD_DESCRIPTION,
    check_commands,
    has_suggestions,
)
from bot.settings.plugin_switches import PINNED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bot.commands.command import Command
    from bot.commands.option import Option
    from bot.platforms.discord.incoming.command_tree import AppCommand

log = logging.getLogger(__name__)

COMPLETION_SECONDS = 2.5
"""Discord drops suggestions that come after three seconds."""

TYPES = {
    str: discord.AppCommandOptionType.string,
    int: discord.AppCommandOptionType.integer,
    float: discord.AppCommandOptionType.number,
    bool: discord.AppCommandOptionType.boolean,
    Attachment: discord.AppCommandOptionType.attachment,
    User: discord.AppCommandOptionType.user,
    Channel: discord.AppCommandOptionType.channel,
    Role: discord.AppCommandOptionType.role,
}
CHANNEL_TYPES = [kind for kind in discord.ChannelType if kind.name not in ("private", "group", "category", "media")]
"""The types that a channel option takes: no categories, and no media channels, which Discord forbids there."""
MODERATORS = discord.Permissions(manage_guild=True)
SERVERS_ONLY = app_commands.AppCommandContext(guild=True, dm_channel=False, private_channel=False)


class RunCommand(Protocol):
    """Answers a command; files in `options` are discord.py's, users, channels and roles are the bot's."""

    async def __call__(self, interaction: discord.Interaction, command: str, options: dict[str, Any], /) -> None: ...


class RunMessageCommand(Protocol):
    """Answers a command that was chosen in the menu of a message."""

    async def __call__(self, interaction: discord.Interaction, command: str, message: discord.Message, /) -> None: ...


class CompleteOption(Protocol):
    """Returns suggestions for an option as typed so far."""

    async def __call__(
        self, interaction: discord.Interaction, command: str, option: str, typed: str, /
    ) -> Sequence[str]: ...


def build(
    commands: Sequence[Command],
    *,
    run: RunCommand,
    run_on_message: RunMessageCommand,
    complete: CompleteOption,
    direct_messages: bool = True,
) -> list[AppCommand]:
    """Return the commands for a `Tree`, in order; names of two words become groups.

    Without `direct_messages` these show only the commands that nobody is ever kept from. Raises PluginError for the
    first command that exceeds a limit of Discord.
    """
    check_commands(commands)
    built: list[AppCommand] = []
    groups: dict[str, app_commands.Group] = {}
    for command in commands:
        chat_command = _chat_command(command, run, complete)
        word, _, rest = command.name.partition(" ")
        if not rest:
            built.append(chat_command)
            continue
        if word not in groups:
            groups[word] = _command_group(word, [other for other in commands if other.name.startswith(f"{word} ")])
            built.append(groups[word])
        groups[word].add_command(chat_command)
    built += [_message_command(command, run_on_message) for command in commands if command.in_messages]
    if not direct_messages:
        pinned = {command.name.partition(" ")[0] for command in commands if command.plugin in PINNED}
        for app_command in built:
            if app_command.name not in pinned:
                app_command.allowed_contexts = SERVERS_ONLY
    return built


class OptionTransformer(app_commands.Transformer):
    """The type and limits of one option, and the conversion of its values into the bot's."""

    def __init__(self, option: Option) -> None:
        self._option = option

    @property
    def type(self) -> discord.AppCommandOptionType:
        """Text for an option with suggestions, since these are texts; the core parses the value."""
        untyped = has_suggestions(self._option) or (self._option.choices and self._option.type is bool)
        return TYPES[str if untyped else self._option.type]

    @property
    def channel_types(self) -> list[discord.ChannelType]:
        """The types that a channel option takes."""
        return CHANNEL_TYPES

    @property
    def min_value(self) -> float | None:
        """The smallest value or number of characters; None if unlimited."""
        return self._limit(self._option.minimum, math.ceil)

    @property
    def max_value(self) -> float | None:
        """The largest value or number of characters; None if unlimited."""
        return self._limit(self._option.maximum, math.floor)

    @property
    def choices(self) -> list[app_commands.Choice[str | int | float]] | None:
        """The fixed choices; None if there are none or they are suggested instead."""
        if not self._option.choices or has_suggestions(self._option):
            return None
        as_text = self.type is discord.AppCommandOptionType.string
        return [
            app_commands.Choice(name=str(choice), value=str(choice) if as_text else choice)
            for choice in self._option.choices
        ]

    async def transform(self, interaction: discord.Interaction, value: Any, /) -> Any:
        """Convert users, channels and roles into the bot's; leave other values as they are."""
        kind = self._option.type
        if kind is User:
            return mentioned_user(value, interaction)
        if kind is Channel or kind is Role:
            name = getattr(value, "display_name", None) or getattr(value, "name", value.id)
            # A thread stands for its channel: settings of a channel hold in its threads, which have none of their own.
            number = value.parent_id if isinstance(value, app_commands.AppCommandThread) else value.id
            return kind(str(number), str(name))
        return value

    def _limit(self, bound: float | None, round_bound: Callable[[float], int]) -> float | None:
        """Return `bound` as Discord can check it; None if it cannot. The core checks every value in any case."""
        if bound is None or self._option.choices or has_suggestions(self._option):
            return None
        if self._option.type is str:
            return min(round_bound(bound), MAX_TEXT)
        if abs(bound) > MAX_INTEGER:
            return None
        return round_bound(bound) if self._option.type is int else bound


def _chat_command(command: Command, run: RunCommand, complete: CompleteOption) -> app_commands.Command[Any, ..., Any]:
    options = {argument_name(option.name): option for option in command.options}
    renamed = {argument: option.name for argument, option in options.items() if argument != option.name}

    async def call(interaction: discord.Interaction, /, **values: Any) -> None:
        given = {renamed.get(name, name): value for name, value in values.items() if value is not None}
        await run(interaction, command.name, given)

    parameters = [inspect.Parameter("_", inspect.Parameter.POSITIONAL_ONLY, annotation=discord.Interaction)]
    for argument, option in options.items():
        required = option.required and not command.opens_form
        parameters.append(_parameter(argument, OptionTransformer(option), required=required))
    if command.threads:
        parameters.append(_parameter(THREAD, bool, required=False))
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    described = {argument: _translatable(option.description or option.name) for argument, option in options.items()}
    thread = {THREAD: _translatable(THREAD_DESCRIPTION.text)} if command.threads else {}
    completers = {
        argument: _suggestion_callback(command.name, option.name, complete)
        for argument, option in options.items()
        if has_suggestions(option)
    }
    callback = app_commands.autocomplete(**completers)(app_commands.describe(**described, **thread)(call))
    if renamed:
        callback = app_commands.rename(**renamed)(callback)
    built: app_commands.Command[Any, ..., Any] = app_commands.Command(
        name=command.name.rpartition(" ")[2],
        description=_translatable(command.description),
        callback=callback,
        extras=dict(completers),
    )
    if command.moderator:
        _restrict_to_moderators(built)
    return built


def _command_group(word: str, commands: Sequence[Command]) -> app_commands.Group:
    # Discord requires a description of each group but shows it nowhere.
    children = ", ".join(command.name.partition(" ")[2] for command in commands)
    group = app_commands.Group(name=word, description=cut(f"/{word}: {children}", MAX_DESCRIPTION))
    if all(command.moderator for command in commands):
        _restrict_to_moderators(group)
    return group


def _message_command(command: Command, run_on_message: RunMessageCommand) -> app_commands.ContextMenu:
    async def call(interaction: discord.Interaction, message: discord.Message) -> None:
        await run_on_message(interaction, command.name, message)

    menu = app_commands.ContextMenu(name=command.in_messages, callback=call)
    if command.moderator:
        _restrict_to_moderators(menu)
    return menu


def _restrict_to_moderators(command: AppCommand) -> None:
    """Show a command to moderators alone, and so in servers only, since other places have none."""
    command.default_permissions = MODERATORS
    command.allowed_contexts = SERVERS_ONLY
    command.allowed_installs = app_commands.AppInstallationType(guild=True, user=False)


def _parameter(name: str, annotation: Any, *, required: bool) -> inspect.Parameter:
    default = inspect.Parameter.empty if required else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _translatable(text: str) -> app_commands.locale_str:
    return app_commands.locale_str(cut(text, MAX_DESCRIPTION), sentence=text)


def _suggestion_callback(command: str, option: str, complete: CompleteOption) -> Any:
    async def suggest(interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        try:
            async with asyncio.timeout(COMPLETION_SECONDS):
                suggestions = await complete(interaction, command, option, typed)
        except TimeoutError:
            log.warning("No suggestions for “%s” of /%s within %g seconds.", option, command, COMPLETION_SECONDS)
            return []
        except Exception:
            log.exception("No suggestions for “%s” of /%s", option, command)
            return []
        # Longer values are left out, as a part of one would be another value; they can be typed in full.
        fitting = [text for text in dict.fromkeys(suggestions) if 1 <= len(text) <= MAX_CHOICE]
        return [app_commands.Choice(name=text, value=text) for text in fitting[:MAX_OPTIONS]]

    return suggest
