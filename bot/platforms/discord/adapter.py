"""Discord as the core uses it: people and channels found, messages posted and deleted."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING

import aiohttp
import discord

from bot.core.adapters import ShownMessage
from bot.core.errors import BotError, CannotPost
from bot.core.i18n import Sentence
from bot.core.messages import Place, User
from bot.platforms.capabilities import DISCORD
from bot.platforms.discord.convert.requests import PLATFORM, member
from bot.platforms.discord.outgoing.targets import NO_PINGS, MessageGone

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bot.platforms.discord.outgoing.answers import DiscordAnswers

log = logging.getLogger(__name__)

LINK = re.compile(
    r"<?https://(?:\w+\.)?discord(?:app)?\.com/channels/(?P<server>[0-9]{1,20}|@me)/"
    r"(?P<channel>[0-9]{1,20})/(?P<message>[0-9]{1,20})/?>?"
)
ID = re.compile(r"[0-9]{1,20}")
NO_CHANNEL = Sentence("there is no such channel in this server, or I cannot see it.")
NO_RIGHTS = Sentence("I may not write there; I need the permissions View Channel and Send Messages.")
OUT_OF_REACH = Sentence("Discord cannot be reached right now.")


class DiscordAdapter:
    """Finds, posts and deletes in the servers that the bot is in."""

    capabilities = DISCORD

    def __init__(self, answers: DiscordAnswers, client: discord.Client) -> None:
        self._answers = answers
        self._client = client

    async def find_user(self, name: str, place: Place) -> User | None:
        """Return a member by their id, or, without roles, somebody who is not in the server."""
        guild = self._client.get_guild(int(place.server)) if place.server else None
        if guild is None or not ID.fullmatch(name):
            return None
        try:
            return member(await guild.fetch_member(int(name)))
        except discord.NotFound:
            return await self._stranger(int(name))
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            log.warning("Discord did not say who somebody is: %s", error)
            return None

    async def _stranger(self, number: int) -> User | None:
        try:
            found = await self._client.fetch_user(number)
        except (discord.HTTPException, aiohttp.ClientError, OSError):
            return None
        return User(str(found.id), found.display_name, roles=None)

    async def find_channels(self, name: str, place: Place) -> Sequence[str]:
        """Return channels of a server in any capitalisation, but no categories; for a thread, its channel."""
        guild = self._client.get_guild(int(place.server)) if place.server.isdecimal() else None
        if DISCORD.is_id(name):
            known = guild and guild.get_channel_or_thread(int(name))
            if isinstance(known, discord.CategoryChannel):
                return []
            return [str(known.parent_id) if isinstance(known, discord.Thread) else name]
        there = [] if guild is None else guild.channels
        wanted = (one for one in there if not isinstance(one, discord.CategoryChannel))
        return [str(one.id) for one in wanted if one.name.casefold() == name.casefold()]

    def parse_link(self, link: str, place: Place) -> ShownMessage | None:
        """Read the link that Discord's menu copies."""
        if (match := LINK.fullmatch(link.strip())) is None:
            return None
        server = "" if match["server"] == "@me" else match["server"]
        return ShownMessage(Place(PLATFORM, match["channel"], server), match["message"])

    async def delete_messages(self, shown: ShownMessage, externals: Sequence[str]) -> bool:
        """Delete messages, also of answers under way, and the question above a thread of its own.

        A message that is not stored is deleted only if it is the bot's, and in the server that its place names.
        """
        is_gone, place = await self._delete(shown, externals), shown.place
        if shown.is_last and not await self._answers.withdraw(place.channel, place.thread, shown.question):
            return False
        return is_gone

    async def _delete(self, shown: ShownMessage, externals: Sequence[str]) -> bool:
        channel = int(shown.place.thread or shown.place.channel)
        if shown.row:
            await self._answers.delete(channel, (), self._answers.showing(shown.row))
        try:
            # Of a link, Discord itself looks at the channel alone.
            if not shown.row and not await self._is_in(channel, shown.place.server):
                return False
            room = self._client.get_partial_messageable(channel)
            for external in externals:
                if not shown.row and (await room.fetch_message(int(external))).author != self._client.user:
                    return False
                # An answer under way takes its messages away itself, and anybody else may have done so before.
                with suppress(MessageGone):
                    await self._answers.room(channel, None).delete(int(external))
        except discord.NotFound:
            return bool(shown.row)
        except (discord.HTTPException, discord.InvalidData, aiohttp.ClientError, OSError, BotError) as error:
            log.warning("A message stays on Discord: %s", error)
            return False
        return True

    async def _is_in(self, channel: int, server: str) -> bool:
        """Return whether a channel or a thread is in a server, or a direct message where `server` is ""."""
        guild = self._client.get_guild(int(server)) if server else None
        if guild is not None and guild.get_channel_or_thread(channel) is not None:
            return True
        found = await self._client.fetch_channel(channel)
        return server == ("" if isinstance(found, discord.abc.PrivateChannel) else str(found.guild.id))

    async def forget_user(self, user_id: str, gone: Collection[int]) -> None:
        """Do nothing: Discord itself stores and shows what was written there."""

    def locale(self, server: str) -> str:
        """Return the language that a server has on Discord."""
        guild = self._client.get_guild(int(server))
        return "en" if guild is None else guild.preferred_locale.value

    async def post(self, server: str, channel: str, text: str) -> None:
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
            log.warning("Discord did not take a message: %s", error)
            raise CannotPost(OUT_OF_REACH) from error
