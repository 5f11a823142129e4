"""Registers commands: compares those that Discord has with the bot's, and writes them only if they differ."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import discord
from discord.http import Route

from bot.core.errors import BotError
from bot.platforms.discord.incoming.command_tree import Translations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from bot.config.sections import DiscordSection
    from bot.platforms.discord.incoming.command_tree import Tree

    Payload = Mapping[str, Any]

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 60.0
"""Once the day's number of new commands is used up, discord.py would wait until the next day."""

COMPARED_KEYS = frozenset({
    "type", "name", "description", "required", "autocomplete", "choices", "options", "value", "channel_types",
    "min_value", "max_value", "min_length", "max_length", "name_localizations", "description_localizations",
    "nsfw", "contexts", "integration_types", "default_member_permissions",
})  # fmt: skip
"""The fields that the bot sets; Discord adds others, such as ids and versions."""
GLOBAL_KEYS = frozenset({"contexts", "integration_types", "dm_permission"})


class SyncError(BotError):
    """Discord could not be reached, or refused the commands."""


@dataclass(frozen=True, slots=True)
class CommandScope:
    """The registered and the wanted commands of one server, or of all places."""

    guild: int | None
    """The server's id; None for commands that are registered everywhere."""
    wanted: Sequence[Payload]
    present: Sequence[Payload]

    @property
    def differs(self) -> bool:
        """True if the commands have to be registered anew."""
        keys = COMPARED_KEYS if self.guild is None else COMPARED_KEYS - GLOBAL_KEYS
        return _comparable(self.wanted, keys) != _comparable(self.present, keys)

    def __str__(self) -> str:
        return _place_name(self.guild)


async def synchronise(tree: Tree, section: DiscordSection) -> None:
    """Register the tree's commands where `section.sync` says, and remove them from the other configured places.

    Logs what is done, and what Discord refuses; it goes on to show the earlier commands then.
    """
    if section.sync == "off":
        log.info("Commands are not registered: discord.sync is “off”.")
        return
    for guild in _guilds(section):
        try:
            scope = await compare(tree, section, guild)
            if scope.differs:
                await _write(tree, scope)
                log.info("Discord: %d commands are now registered %s.", len(scope.wanted), scope)
            else:
                log.info("Discord: the %d commands registered %s are the right ones.", len(scope.wanted), scope)
        except SyncError as error:
            log.warning("%s", error)


async def compare_all(tree: Tree, section: DiscordSection) -> list[CommandScope]:
    """Return the present state of every place that `synchronise` writes to. Raises SyncError."""
    return [] if section.sync == "off" else [await compare(tree, section, guild) for guild in _guilds(section)]


async def compare(tree: Tree, section: DiscordSection, guild: int | None) -> CommandScope:
    """Compare the commands of one place. Raises SyncError."""
    is_wanted = (section.sync == "global") == (guild is None)
    wanted = await _payload(tree, guild) if is_wanted else []
    # Without this parameter, which discord.py never sends, Discord leaves the translations out.
    request = tree.client.http.request(_route("GET", tree, guild), params={"with_localizations": "true"})
    return CommandScope(
        guild, wanted, await _send(request, f"does not tell which commands are registered {_place_name(guild)}")
    )


def _place_name(guild: int | None) -> str:
    return "everywhere" if guild is None else f"in server {guild}"


def _guilds(section: DiscordSection) -> list[int | None]:
    return [None, *dict.fromkeys(section.guilds)]


async def _payload(tree: Tree, guild: int | None) -> Sequence[Payload]:
    translations = Translations()
    commands = [await command.get_translated_payload(tree, translations) for command in tree.get_commands()]
    if guild is None:
        return commands
    return [{key: value for key, value in command.items() if key not in GLOBAL_KEYS} for command in commands]


async def _write(tree: Tree, scope: CommandScope) -> None:
    request = tree.client.http.request(_route("PUT", tree, scope.guild), json=list(scope.wanted))
    await _send(request, f"did not register the commands {scope}")


def _route(method: str, tree: Tree, guild: int | None) -> Route:
    where = "" if guild is None else "/guilds/{guild_id}"
    return Route(
        method,
        f"/applications/{{application_id}}{where}/commands",
        application_id=tree.client.application_id,
        guild_id=guild,
    )


async def _send(request: Any, failure: str) -> Any:
    """Return Discord's response. Raises SyncError with a sentence that begins with `failure`."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await request
    except (TimeoutError, discord.RateLimited):
        reason = "it does not answer, or takes no more of them today; the next start tries again."
    except discord.Forbidden:
        reason = (
            "invite the bot again with the link that “tempera doctor” prints; it lacks applications.commands there."
        )
    except discord.HTTPException as error:
        reason = f"it answers {' '.join(str(error).split())}."
    except (aiohttp.ClientError, OSError) as error:
        reason = f"it cannot be reached ({error})."
    raise SyncError(f"Discord {failure}: {reason}")


def _comparable(commands: Sequence[Payload], keys: Set[str]) -> dict[tuple[int, str], Any]:
    return {(command["type"], command["name"]): _normalized(command, keys) for command in commands}


def _normalized(value: Any, keys: Set[str], key: str = "") -> Any:
    """Return part of a command in one notation and without default values; the order of options stays."""
    if key == "default_member_permissions":
        return int(value)
    if key in ("contexts", "integration_types", "channel_types"):
        return sorted(value)
    if key.endswith("_localizations"):
        return dict(value)
    if isinstance(value, list):
        return [_normalized(item, keys) for item in value]
    if isinstance(value, dict):
        return {
            name: _normalized(item, keys, name)
            for name, item in value.items()
            if name in keys and not (item is None or item is False or item in ([], {}, ""))
        }
    return value
