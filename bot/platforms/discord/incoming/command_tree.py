"""Routes Discord's commands and requests for suggestions to the functions that answer them."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import discord
from discord import app_commands
from discord.app_commands import TranslationContextLocation as Location

from bot.core.i18n import Sentence, known_language, translate
from bot.core.text import cut
from bot.platforms.discord.incoming.command_limits import MAX_DESCRIPTION, MAX_NAME, localize_names
from bot.platforms.discord.outgoing.render import RenderedMessage
from bot.platforms.discord.outgoing.targets import ALREADY_ACKNOWLEDGED, UNKNOWN_INTERACTION, send_privately

if TYPE_CHECKING:
    from collections.abc import Iterable

AppCommand = app_commands.Command[Any, ..., Any] | app_commands.Group | app_commands.ContextMenu

log = logging.getLogger(__name__)


class Tree(app_commands.CommandTree[discord.Client]):
    """Routes commands in servers, direct messages and private channels."""

    def __init__(self, client: discord.Client) -> None:
        super().__init__(
            client,
            allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=True),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=True),
        )

    def replace_commands(self, commands: Iterable[AppCommand]) -> None:
        """Route these commands from now on, and no others."""
        self.clear_commands(guild=None, type=None)
        for command in commands:
            self.add_command(command)

    async def interaction_check(self, interaction: discord.Interaction, /) -> bool:
        """Return whether the interaction is a command; suggestions are sent here.

        discord.py would log a traceback for all that come too late, as they do when somebody types quickly.
        """
        if interaction.type is not discord.InteractionType.autocomplete:
            return True
        command, data = interaction.command, cast(dict[str, Any], interaction.data)
        option, typed = _focused_option(data.get("options", [])) or ("", "")
        completer = command.extras.get(option) if isinstance(command, app_commands.Command) else None
        choices = await completer(interaction, typed) if completer else []
        try:
            await interaction.response.autocomplete(choices)
        except (discord.HTTPException, aiohttp.ClientError) as error:
            log.info("Suggestions for %s came too late: %s", option, error)
        return False

    async def on_error(self, interaction: discord.Interaction, error: app_commands.AppCommandError, /) -> None:
        """Log an error, and tell the asker if that is still possible."""
        cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        if isinstance(cause, discord.HTTPException) and cause.code in (UNKNOWN_INTERACTION, ALREADY_ACKNOWLEDGED):
            log.info("An interaction was not acknowledged by this process: %s", cause)
            return
        name = cast(dict[str, Any], interaction.data)["name"]
        if isinstance(error, app_commands.CommandNotFound):
            log.info("Discord still shows “%s”, which no longer exists.", name)
            sentence = Sentence(
                "“{name}” is no longer there. Restart Discord, and it will not show it.", {"name": name}
            )
        elif isinstance(error, app_commands.CommandSignatureMismatch | app_commands.TransformerError):
            log.info("Discord shows an old version of “%s”: %s", name, error)
            sentence = Sentence("“{name}” has changed. Restart Discord to see it as it is now.", {"name": name})
        else:
            number = secrets.token_hex(4)
            log.error("Error %s in “%s”", number, name, exc_info=cause)
            sentence = Sentence("Something went wrong inside the bot (error {id}); its log says more.", {"id": number})
        text = sentence.in_language(interaction.locale.value)
        try:
            await send_privately(interaction, RenderedMessage(text))
        except (discord.HTTPException, aiohttp.ClientError) as failure:
            log.info("The asker could not be told “%s”: %s", text, failure)


class Translations(app_commands.Translator):
    """Translates what Discord shows of commands, except their names: these are the same in all languages."""

    async def translate(
        self, string: app_commands.locale_str, locale: discord.Locale, context: app_commands.TranslationContextTypes
    ) -> str | None:
        """Return the translation; None if there is none."""
        is_label = isinstance(context.data, app_commands.ContextMenu)
        is_name = context.location in (Location.command_name, Location.group_name) and not is_label
        # discord.py asks for every language that Discord has, most of which read English.
        if is_name or known_language(locale.value) == "en":
            return None
        if context.location is Location.parameter_name:
            names = [one.display_name for one in context.data.command.parameters]
            name = localize_names(names, locale.value)[string.message]
            return None if name == string.message else name
        sentence = string.extras.get("sentence", string.message)
        text = translate(sentence, locale.value)
        return None if text == sentence else cut(text, MAX_NAME if is_label else MAX_DESCRIPTION)


def _focused_option(options: Iterable[Any]) -> tuple[str, str] | None:
    """Return the name and the text of the option in which somebody types."""
    for option in options:
        if option.get("focused"):
            return option["name"], str(option.get("value", ""))
        if found := _focused_option(option.get("options", ())):
            return found
    return None
