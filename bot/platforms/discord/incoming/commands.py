"""Our commands as Discord's: typed options, limits, suggestions, translations, and a word when the two differ."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import secrets
from typing import TYPE_CHECKING, Any, Protocol, cast

import aiohttp
import discord
from discord import app_commands
from discord.app_commands import TranslationContextLocation as Location

from bot.core.errors import PluginError
from bot.core.i18n import Sentence, list_languages, translate
from bot.core.messages import Attachment, Channel, Role, User
from bot.core.text import cut
from bot.platforms.discord.convert.requests import person
from bot.platforms.discord.outgoing.targets import ALREADY_ACKNOWLEDGED, UNKNOWN_INTERACTION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bot.commands.command import Command
    from bot.commands.option import Option

    AppCommand = app_commands.Command[Any, ..., Any] | app_commands.Group | app_commands.ContextMenu

log = logging.getLogger(__name__)

CHAT_COMMANDS = 100
MESSAGE_COMMANDS = 5
"""What discord.py allows; Discord itself has room for 15."""
OPTIONS = 25
"""Of a command, and also subcommands of a group, choices of an option, and suggestions."""
NAME = 32
DESCRIPTION = 100
CHOICE = 100
TEXT = 6000
INTEGER = 2**53
COMBINED = 8000
"""Characters of one command: its name, description, options and choices, each in its longest language."""

COMPLETION_SECONDS = 2.5
"""Discord drops suggestions that come after three."""

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
ROOMS = [kind for kind in discord.ChannelType if kind.name not in ("private", "group", "category", "media")]
"""What can be picked as a channel: not what channels are sorted under, nor media, which Discord lets no command ask."""
THREAD = "thread"
"""The option that every command with `threads` has on Discord beside its own."""
THREAD_DESCRIPTION = Sentence("Answer in a thread of its own")

MODERATORS = discord.Permissions(manage_guild=True)


class RunCommand(Protocol):
    """Called for a command with the options that were given: files as Discord's, people and places as ours."""

    async def __call__(self, interaction: discord.Interaction, command: str, options: dict[str, Any], /) -> None: ...


class RunMessageCommand(Protocol):
    """Called for a command that somebody chose in a message's menu."""

    async def __call__(self, interaction: discord.Interaction, command: str, message: discord.Message, /) -> None: ...


class CompleteOption(Protocol):
    """Called for suggestions."""

    async def __call__(
        self, interaction: discord.Interaction, command: str, option: str, typed: str, /
    ) -> Sequence[str]: ...


def build(
    commands: Sequence[Command], *, run: RunCommand, run_on_message: RunMessageCommand, complete: CompleteOption
) -> list[AppCommand]:
    """The commands for a `Tree`, in order; two-word names become groups.

    Raises PluginError with a sentence about the first command that Discord has no room for.
    """
    _check(commands)
    built: list[AppCommand] = []
    groups: dict[str, app_commands.Group] = {}
    for command in commands:
        made = _command(command, run, complete)
        word, _, rest = command.name.partition(" ")
        if not rest:
            built.append(made)
            continue
        if word not in groups:
            groups[word] = _group(word, [other for other in commands if other.name.startswith(f"{word} ")])
            built.append(groups[word])
        groups[word].add_command(made)
    return built + [_menu(command, run_on_message) for command in commands if command.in_messages]


class Tree(app_commands.CommandTree[discord.Client]):
    """Routes interactions to what `build` made, in servers, direct messages and private channels."""

    def __init__(self, client: discord.Client) -> None:
        super().__init__(
            client,
            allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=True),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=True),
        )

    def offer(self, commands: Iterable[AppCommand]) -> None:
        """Route to these from now on, and to no others."""
        self.clear_commands(guild=None, type=None)
        for command in commands:
            self.add_command(command)

    async def interaction_check(self, interaction: discord.Interaction, /) -> bool:
        """Whether the interaction is a command. Suggestions are sent here.

        discord.py would log a trace for each that comes too late, as they do when somebody types quickly.
        """
        if interaction.type is not discord.InteractionType.autocomplete:
            return True
        command, data = interaction.command, cast(dict[str, Any], interaction.data)
        option, typed = _focused(data.get("options", [])) or ("", "")
        completer = command.extras.get(option) if isinstance(command, app_commands.Command) else None
        choices = await completer(interaction, typed) if completer else []
        try:
            await interaction.response.autocomplete(choices)
        except (discord.HTTPException, aiohttp.ClientError) as error:
            log.info("Suggestions for %s came too late: %s", option, error)
        return False

    async def on_error(self, interaction: discord.Interaction, error: app_commands.AppCommandError, /) -> None:
        """Say what went wrong to whoever asked, where that can still be heard, and log it."""
        cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        if isinstance(cause, discord.HTTPException) and cause.code in (UNKNOWN_INTERACTION, ALREADY_ACKNOWLEDGED):
            log.info("An interaction was not acknowledged by this process: %s", cause)
            return
        name = cast(dict[str, Any], interaction.data)["name"]
        if isinstance(error, app_commands.CommandNotFound):
            log.info("Discord still shows “%s”, which is no longer there.", name)
            sentence = Sentence(
                "“{name}” is no longer there. Restart Discord, and it will not show it.", {"name": name}
            )
        elif isinstance(error, app_commands.CommandSignatureMismatch | app_commands.TransformerError):
            log.info("Discord shows “%s” as it was before: %s", name, error)
            sentence = Sentence("“{name}” has changed. Restart Discord to see it as it is now.", {"name": name})
        else:
            number = secrets.token_hex(4)
            log.error("Error %s in “%s”", number, name, exc_info=cause)
            text = "Something went wrong inside the bot (error {id}); its log says more."
            sentence = Sentence(text, {"id": number})
        await _whisper(interaction, sentence.in_language(interaction.locale.value))


class Translations(app_commands.Translator):
    """Descriptions and the labels of message commands in the languages that the bot speaks; names stay as they are."""

    async def translate(
        self, string: app_commands.locale_str, locale: discord.Locale, context: app_commands.TranslationContextTypes
    ) -> str | None:
        """None where there is no translation."""
        is_label = isinstance(context.data, app_commands.ContextMenu)
        if context.location in (Location.command_name, Location.group_name, Location.parameter_name) and not is_label:
            return None
        sentence = string.extras.get("sentence", string.message)
        text = translate(sentence, locale.value)
        return None if text == sentence else cut(text, NAME if is_label else DESCRIPTION)


class Value(app_commands.Transformer):
    """The type of one option, and what was given for it as ours."""

    def __init__(self, option: Option) -> None:
        self._option = option

    @property
    def type(self) -> discord.AppCommandOptionType:
        """Text where something is suggested, since suggestions are texts; the core reads the value from it."""
        untyped = _is_completed(self._option) or (self._option.choices and self._option.type is bool)
        return TYPES[str if untyped else self._option.type]

    @property
    def channel_types(self) -> list[discord.ChannelType]:
        """Heeded for a channel alone."""
        return ROOMS

    @property
    def min_value(self) -> float | None:
        """The least value, or the least number of characters."""
        return self._limit(self._option.minimum, math.ceil)

    @property
    def max_value(self) -> float | None:
        """The greatest value, or number of characters."""
        return self._limit(self._option.maximum, math.floor)

    @property
    def choices(self) -> list[app_commands.Choice[str | int | float]] | None:
        """None where the option has none, or they are suggested instead."""
        if not self._option.choices or _is_completed(self._option):
            return None
        as_text = self.type is discord.AppCommandOptionType.string
        return [
            app_commands.Choice(name=str(choice), value=str(choice) if as_text else choice)
            for choice in self._option.choices
        ]

    async def transform(self, interaction: discord.Interaction, value: Any, /) -> Any:
        """People, channels and roles as ours; the rest as Discord gives it."""
        kind = self._option.type
        if kind is User:
            return person(value, interaction)
        if kind is Channel or kind is Role:
            name = getattr(value, "display_name", None) or getattr(value, "name", value.id)
            # What is set for a channel holds for its threads, too, and nothing is set for one of them.
            number = value.parent_id if isinstance(value, app_commands.AppCommandThread) else value.id
            return kind(str(number), str(name))
        return value

    def _limit(self, bound: float | None, whole: Callable[[float], int]) -> float | None:
        """`bound` where Discord can hold it; the core checks the value in any case."""
        if bound is None or self._option.choices or _is_completed(self._option):
            return None
        if self._option.type is str:
            return min(whole(bound), TEXT)
        if abs(bound) > INTEGER:
            return None
        return whole(bound) if self._option.type is int else bound


def _command(command: Command, run: RunCommand, complete: CompleteOption) -> app_commands.Command[Any, ..., Any]:
    async def call(interaction: discord.Interaction, /, **given: Any) -> None:
        await run(interaction, command.name, {name: value for name, value in given.items() if value is not None})

    parameters = [inspect.Parameter("_", inspect.Parameter.POSITIONAL_ONLY, annotation=discord.Interaction)]
    for option in command.options:
        required = option.required and not command.opens_form
        parameters.append(_parameter(option.name, Value(option), required=required))
    if command.threads:
        parameters.append(_parameter(THREAD, bool, required=False))
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    described = {option.name: _described(option.description or option.name) for option in command.options}
    thread = {THREAD: _described(THREAD_DESCRIPTION.text)} if command.threads else {}
    completers = {
        option.name: _completer(command.name, option.name, complete)
        for option in command.options
        if _is_completed(option)
    }
    callback = app_commands.autocomplete(**completers)(app_commands.describe(**described, **thread)(call))
    made: app_commands.Command[Any, ..., Any] = app_commands.Command(
        name=command.name.rpartition(" ")[2],
        description=_described(command.description),
        callback=callback,
        extras=dict(completers),
    )
    if command.moderator:
        _for_moderators(made)
    return made


def _group(word: str, commands: Sequence[Command]) -> app_commands.Group:
    # Discord wants a description of groups but shows it nowhere.
    children = ", ".join(command.name.partition(" ")[2] for command in commands)
    group = app_commands.Group(name=word, description=cut(f"/{word}: {children}", DESCRIPTION))
    if all(command.moderator for command in commands):
        _for_moderators(group)
    return group


def _menu(command: Command, run_on_message: RunMessageCommand) -> app_commands.ContextMenu:
    async def call(interaction: discord.Interaction, message: discord.Message) -> None:
        await run_on_message(interaction, command.name, message)

    menu = app_commands.ContextMenu(name=command.in_messages, callback=call)
    if command.moderator:
        _for_moderators(menu)
    return menu


def _for_moderators(made: AppCommand) -> None:
    """Shown to moderators alone, and so in servers only: elsewhere there are none."""
    made.default_permissions = MODERATORS
    made.allowed_contexts = app_commands.AppCommandContext(guild=True, dm_channel=False, private_channel=False)
    made.allowed_installs = app_commands.AppInstallationType(guild=True, user=False)


def _parameter(name: str, annotation: Any, *, required: bool) -> inspect.Parameter:
    default = inspect.Parameter.empty if required else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _described(text: str) -> app_commands.locale_str:
    return app_commands.locale_str(cut(text, DESCRIPTION), sentence=text)


def _completer(command: str, option: str, complete: CompleteOption) -> Any:
    async def suggest(interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        try:
            async with asyncio.timeout(COMPLETION_SECONDS):
                found = await complete(interaction, command, option, typed)
        except TimeoutError:
            log.warning("No suggestions for “%s” of /%s within %g seconds.", option, command, COMPLETION_SECONDS)
            return []
        except Exception:
            log.exception("No suggestions for “%s” of /%s", option, command)
            return []
        # What is longer can be typed in full, and cut it would be something else.
        fitting = [text for text in dict.fromkeys(found) if 1 <= len(text) <= CHOICE]
        return [app_commands.Choice(name=text, value=text) for text in fitting[:OPTIONS]]

    return suggest


def _is_completed(option: Option) -> bool:
    """Whether values are suggested while one types: a plugin does it, or the choices are too many or too long."""
    fit = len(option.choices) <= OPTIONS and all(1 <= len(str(choice)) <= CHOICE for choice in option.choices)
    return option.type in (str, int, float) and (option.complete is not None or not fit)


def _focused(options: Iterable[Any]) -> tuple[str, str] | None:
    """The option that somebody types in, and what stands there."""
    for option in options:
        if option.get("focused"):
            return option["name"], str(option.get("value", ""))
        if found := _focused(option.get("options", ())):
            return found
    return None


async def _whisper(interaction: discord.Interaction, text: str) -> None:
    """Say something to the asker alone."""
    try:
        if interaction.response.is_done():
            await interaction.followup.send(text, ephemeral=True)
        else:
            await interaction.response.send_message(text, ephemeral=True)
    except (discord.HTTPException, aiohttp.ClientError) as error:
        log.info("Nobody could be told “%s”: %s", text, error)


def _check(commands: Sequence[Command]) -> None:
    """Raise PluginError for the first command that Discord would refuse."""
    roots: dict[str, list[Command]] = {}
    labels: dict[str, Command] = {}
    for command in commands:
        where = f"Command “{command.name}” of plugin “{command.plugin}”"
        _check_options(command, where)
        siblings = roots.setdefault(command.name.partition(" ")[0], [])
        siblings.append(command)
        if len(roots) > CHAT_COMMANDS:
            raise PluginError(f"{where}: Discord has room for {CHAT_COMMANDS} commands; load fewer plugins.")
        if len(siblings) > OPTIONS:
            raise PluginError(f"{where}: Discord has room for {OPTIONS} commands that begin with the same word.")
        if len(siblings) > 1 and any(" " not in sibling.name for sibling in siblings):
            names = " and ".join(f"/{sibling.name}" for sibling in siblings)
            raise PluginError(f"{where}: Discord cannot have both {names}; rename one.")
        if sum(map(_weight, siblings)) > COMBINED:
            raise PluginError(f"{where}: with all descriptions and choices it is over Discord's {COMBINED} characters.")
        if label := command.in_messages:
            if len(label) > NAME:
                raise PluginError(f"{where}: on a message it may be called by {NAME} characters; “{label}” is longer.")
            if label in labels:
                raise PluginError(f"{where}: on a message /{labels[label].name} is called “{label}” already.")
            labels[label] = command
            if len(labels) > MESSAGE_COMMANDS:
                raise PluginError(f"{where}: Discord has room for {MESSAGE_COMMANDS} commands on messages.")


def _check_options(command: Command, where: str) -> None:
    names = [option.name for option in command.options] + [THREAD] * command.threads
    if len(names) > OPTIONS:
        raise PluginError(f"{where}: Discord has room for {OPTIONS} options; it has {len(names)}.")
    if names.count(THREAD) > 1:
        raise PluginError(f"{where}: with threads=True it gets an option “{THREAD}”, so rename its own.")
    for name in names:
        if len(name) > NAME or name != name.lower():
            raise PluginError(f"{where}: option “{name}” must be up to {NAME} small letters, digits and _.")


def _weight(command: Command) -> int:
    """The characters that Discord counts."""
    texts = [command.description, *(option.description or option.name for option in command.options)]
    texts += [THREAD_DESCRIPTION.text] * command.threads
    names = len(command.name) + sum(len(option.name) for option in command.options) + len(THREAD) * command.threads
    choices = [str(choice) for option in command.options if not _is_completed(option) for choice in option.choices]
    longest = (max(min(len(translate(text, code)), DESCRIPTION) for code in list_languages()) for text in texts)
    return names + sum(longest) + 2 * sum(map(len, choices))
