"""The platform Discord: connects, connects again after failures, and ends."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import aiohttp
import discord

from bot.platforms.discord.adapter import DiscordAdapter
from bot.platforms.discord.client import Client
from bot.platforms.discord.library import configure
from bot.platforms.discord.outgoing.answers import TOKEN_SECONDS

if TYPE_CHECKING:
    from bot.app import Bot
    from bot.config.sections import DiscordSection

log = logging.getLogger(__name__)

RETRY_SECONDS, MAX_RETRY_SECONDS = 2.0, 120.0
TOKEN_REFUSED, INVALID_SHARD, TOO_FEW_SHARDS = 4004, 4010, 4011
"""Close codes of the gateway."""


class DiscordPlatform:
    """Runs the bot on Discord. The bot must be entered before it runs.

    `token_seconds` is how long an interaction's token is used.
    """

    name = "discord"

    def __init__(self, bot: Bot, section: DiscordSection, *, token_seconds: float = TOKEN_SECONDS) -> None:
        self._bot = bot
        self._section = section
        self._token_seconds = token_seconds

    async def run(self) -> None:
        """Serve until cancelled, or until Discord refuses the bot for good, which is logged.

        Raises PluginError if a command exceeds a limit of Discord.
        """
        configure(self._section)
        pause = RETRY_SECONDS
        while True:
            try:
                await self._connect()
                reason = "the connection was closed"
            except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
                if refusal := _permanent_refusal(error, self._section):
                    break
                reason = str(error)
            log.warning("Discord cannot be reached (%s); trying again in %g seconds.", reason, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_RETRY_SECONDS)
        log.error("%s", refusal)

    async def _connect(self) -> None:
        client = Client(self._bot, self._section, self._token_seconds)
        restoring = self._bot.abandoned.restored_by(self.name, client.restore)
        async with client:
            with self._bot.adapters.registered(self.name, DiscordAdapter(client.answers, client)), restoring:
                await client.start(self._section.token.get_secret_value())


def _permanent_refusal(error: Exception, section: DiscordSection) -> str:
    """Return why Discord refuses the bot until somebody changes its settings; "" if another attempt may succeed."""
    if isinstance(error, discord.LoginFailure):
        return "Discord refuses the token. Set a valid one in TEMPERA_DISCORD__TOKEN."
    if isinstance(error, discord.PrivilegedIntentsRequired):
        return (
            "Discord refuses the intent Message Content. Switch it on in the developer portal (Bot, Privileged Gateway "
            "Intents), or set TEMPERA_DISCORD__MESSAGE_CONTENT=false."
        )
    if isinstance(error, discord.ConnectionClosed):
        if error.code == TOKEN_REFUSED:
            return "Discord no longer takes the token. Set a new one in TEMPERA_DISCORD__TOKEN."
        if error.code in (INVALID_SHARD, TOO_FEW_SHARDS):
            if section.shard_plan is None:
                # The bot has grown; Discord recommends more to the next client.
                return ""
            return "Discord wants more shards than TEMPERA_DISCORD__SHARDS has. Raise the number behind its “/”."
        return f"Discord closed the connection for good (code {error.code})."
    return ""
