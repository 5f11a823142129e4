"""What the bot says on Discord without being asked: the lines of a log channel."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import aiohttp
import discord

from bot.core.i18n import Sentence
from bot.moderation.log_channel import CannotPost
from bot.platforms.discord.outgoing.targets import NO_PINGS

if TYPE_CHECKING:
    from discord import Client

log = logging.getLogger(__name__)

NO_CHANNEL = Sentence("there is no such channel in this server, or I cannot see it.")
NO_RIGHTS = Sentence("I may not write there; I need the permissions View Channel and Send Messages.")
OUT_OF_REACH = Sentence("Discord cannot be reached right now.")


class DiscordVoice:
    """Speaks in channels of the servers that the bot is in."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def locale(self, server: str) -> str:
        """The language that a server has on Discord."""
        guild = self._client.get_guild(int(server))
        return "en" if guild is None else guild.preferred_locale.value

    async def say(self, server: str, channel: str, text: str) -> None:
        """Post in a channel or a thread of that server, and of no other. Raises CannotPost."""
        guild = self._client.get_guild(int(server))
        place = None if guild is None else guild.get_channel_or_thread(int(channel))
        if not isinstance(place, discord.abc.Messageable):
            raise CannotPost(NO_CHANNEL)
        try:
            await place.send(text, allowed_mentions=NO_PINGS, suppress_embeds=True)
        except discord.NotFound as error:
            raise CannotPost(NO_CHANNEL) from error
        except discord.Forbidden as error:
            raise CannotPost(NO_RIGHTS) from error
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            log.warning("Discord did not take a line of the log channel: %s", error)
            raise CannotPost(OUT_OF_REACH) from error
