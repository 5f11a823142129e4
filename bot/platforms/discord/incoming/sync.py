"""Registering commands: what Discord has is compared with what we offer, and written only where the two differ."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import discord
from discord.http import Route

from bot.core.errors import BotError
from bot.platforms.discord.incoming.commands import Translations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from bot.config import DiscordSection
    from bot.platforms.discord.incoming.commands import Tree

    Payload = Mapping[str, Any]

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 60.0
"""Discord allows a number of new commands a day; discord.py would wait for the next one."""

COMPARED = frozenset({
    "type", "name", "description", "required", "autocomplete", "choices", "options", "value", "channel_types",
    "min_value", "max_value", "min_length", "max_length", "name_localizations", "description_localizations",
    "nsfw", "contexts", "integration_types", "default_member_permissions",
})  # fmt: skip
"""What we say of a command; the rest of what Discord tells, such as ids and versions, is its own."""
GLOBAL_ONLY = frozenset({"contexts", "integration_types", "dm_permission"})


class SyncError(BotError):
    """Discord could not be asked, or did not take the commands."""


@dataclass(frozen=True, slots=True)
class CommandScope:
    """What is, and what should be registered in one place."""

    guild: int | None
    """The server's id; None is everywhere."""
    wanted: Sequence[Payload]
    present: Sequence[Payload]

    @property
    def differs(self) -> bool:
        """Whether it must be written."""
        keys = COMPARED if self.guild is None else COMPARED - GLOBAL_ONLY
        return _comparable(self.wanted, keys) != _comparable(self.present, keys)

    def __str__(self) -> str:
        return _place(self.guild)


async def synchronise(tree: Tree, section: DiscordSection) -> None:
    """Make Discord show the tree's commands where `section.sync` says, and nowhere else that it names.

    Says in the log what was done. What Discord refuses is a sentence there, too: what it showed before, it shows on.
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
    """Every place that `synchronise` would look at, as it is. Raises SyncError."""
    return [] if section.sync == "off" else [await compare(tree, section, guild) for guild in _guilds(section)]


async def compare(tree: Tree, section: DiscordSection, guild: int | None) -> CommandScope:
    """One place. Raises SyncError."""
    ours = (section.sync == "global") == (guild is None)
    wanted = await _payload(tree, guild) if ours else []
    # Without this parameter, which discord.py never sends, Discord leaves the translations out.
    request = tree.client.http.request(_route("GET", tree, guild), params={"with_localizations": "true"})
    return CommandScope(
        guild, wanted, await _answer(request, f"does not tell which commands are registered {_place(guild)}")
    )


def _place(guild: int | None) -> str:
    return "everywhere" if guild is None else f"in server {guild}"


def _guilds(section: DiscordSection) -> list[int | None]:
    return [None, *dict.fromkeys(section.guilds)]


async def _payload(tree: Tree, guild: int | None) -> Sequence[Payload]:
    translations = Translations()
    commands = [await command.get_translated_payload(tree, translations) for command in tree.get_commands()]
    if guild is None:
        return commands
    return [{key: value for key, value in command.items() if key not in GLOBAL_ONLY} for command in commands]


async def _write(tree: Tree, scope: CommandScope) -> None:
    request = tree.client.http.request(_route("PUT", tree, scope.guild), json=list(scope.wanted))
    await _answer(request, f"did not register the commands {scope}")


def _route(method: str, tree: Tree, guild: int | None) -> Route:
    where = "" if guild is None else "/guilds/{guild_id}"
    return Route(
        method,
        f"/applications/{{application_id}}{where}/commands",
        application_id=tree.client.application_id,
        guild_id=guild,
    )


async def _answer(request: Any, failure: str) -> Any:
    """What Discord answers. Raises SyncError with a sentence that says what it did not do."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await request
    except (TimeoutError, discord.RateLimited):
        reason = "it does not answer, or takes no more of them today; the next start tries again."
    except discord.Forbidden:
        reason = "invite the bot anew with the link that “tempera doctor” prints; it lacks applications.commands there."
    except discord.HTTPException as error:
        reason = f"it answers {' '.join(str(error).split())}."
    except (aiohttp.ClientError, OSError) as error:
        reason = f"it cannot be reached ({error})."
    raise SyncError(f"Discord {failure}: {reason}")


def _comparable(commands: Sequence[Payload], keys: Set[str]) -> dict[tuple[int, str], Any]:
    return {(command["type"], command["name"]): _plain(command, keys) for command in commands}


def _plain(value: Any, keys: Set[str], key: str = "") -> Any:
    """A part of a command without what is the default anyway, written in one way; the order of options stays."""
    if key == "default_member_permissions":
        return int(value)
    if key in ("contexts", "integration_types", "channel_types"):
        return sorted(value)
    if key.endswith("_localizations"):
        return dict(value)
    if isinstance(value, list):
        return [_plain(item, keys) for item in value]
    if isinstance(value, dict):
        return {
            name: _plain(item, keys, name)
            for name, item in value.items()
            if name in keys and not (item is None or item is False or item in ([], {}, ""))
        }
    return value
