"""The core's adapter to Discord: finds users and channels, posts and deletes messages."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING

import discord

from bot.core.adapters import ShownMessage
from bot.core.errors import CannotPost
from bot.core.i18n import Sentence
from bot.core.messages import Place, User
from bot.platforms.capabilities import DISCORD
from bot.platforms.discord.convert.requests import PLATFORM, server_member
from bot.platforms.discord.outgoing.targets import DISCORD_ERRORS, FAILURES, NO_PINGS, MessageGone

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
NO_PERMISSION = Sentence("I may not write there; I need the permissions View Channel and Send Messages.")
UNREACHABLE = Sentence("Discord cannot be reached right now.")


class DiscordAdapter:
    """Finds, posts and deletes in the servers that the bot is a member of."""

    capabilities = DISCORD

    def __init__(self, answers: DiscordAnswers, client: discord.Client) -> None:
        self._answers = answers
        self._client = client

    async def find_user(self, name: str, place: Place) -> User | None:
        """Return a user by their id; the roles of somebody who is not in the server are unknown."""
        guild = self._client.get_guild(int(place.server)) if place.server else None
        if guild is None or not ID.fullmatch(name):
            return None
        try:
            return server_member(await guild.fetch_member(int(name)))
        except discord.NotFound:
            return await self._find_non_member(int(name))
        except DISCORD_ERRORS as error:
            log.warning("A member of a server could not be looked up on Discord: %s", error)
            return None

    async def _find_non_member(self, number: int) -> User | None:
        try:
            user = await self._client.fetch_user(number)
        except DISCORD_ERRORS:
            return None
        return User(str(user.id), user.display_name, roles=None)

    async def find_channels(self, name: str, place: Place) -> Sequence[str]:
        """Return the ids of channels by name, in any capitalisation, or by id; categories are left out.

        A thread stands for its channel.
        """
        guild = self._client.get_guild(int(place.server)) if place.server.isdecimal() else None
        if DISCORD.is_id(name):
            known = guild and guild.get_channel_or_thread(int(name))
            if isinstance(known, discord.CategoryChannel):
                return []
            return [str(known.parent_id) if isinstance(known, discord.Thread) else name]
        channels = [] if guild is None else guild.channels
        return [
            str(channel.id)
            for channel in channels
            if not isinstance(channel, discord.CategoryChannel) and channel.name.casefold() == name.casefold()
        ]

    def parse_link(self, link: str, place: Place) -> ShownMessage | None:
        """Read the link that Discord's menu copies."""
        if (match := LINK.fullmatch(link.strip())) is None:
            return None
        server = "" if match["server"] == "@me" else match["server"]
        return ShownMessage(Place(PLATFORM, match["channel"], server), match["message"])

    async def delete_messages(self, shown: ShownMessage, externals: Sequence[str]) -> bool:
        """Delete messages, also of running answers, and the question above their thread.

        A message that is not stored is deleted only if it is the bot's, and in the server that its place names.
        """
        is_gone, place = await self._delete(shown, externals), shown.place
        if shown.is_last and not await self._answers.delete_question(place.channel, place.thread, shown.question):
            return False
        return is_gone

    async def _delete(self, shown: ShownMessage, externals: Sequence[str]) -> bool:
        channel = int(shown.place.thread or shown.place.channel)
        if shown.row:
            await self._answers.delete_messages(channel, (), self._answers.active_views(shown.row))
        try:
            # A link names a server, which Discord itself does not compare.
            if not shown.row and not await self._is_in(channel, shown.place.server):
                return False
            messageable = self._client.get_partial_messageable(channel)
            for external in externals:
                if not shown.row and (await messageable.fetch_message(int(external))).author != self._client.user:
                    return False
                # The view of a running answer has deleted its messages by now, or somebody else has.
                with suppress(MessageGone):
                    await self._answers.channel_target(channel, None).delete(int(external))
        except discord.NotFound:
            return bool(shown.row)
        except (discord.InvalidData, *FAILURES) as error:
            log.warning("A message stays on Discord: %s", error)
            return False
        return True

    async def _is_in(self, channel: int, server: str) -> bool:
        """Return whether a channel or a thread is in a server, or a direct message where `server` is ""."""
        guild = self._client.get_guild(int(server)) if server else None
        if guild is not None and guild.get_channel_or_thread(channel) is not None:
            return True
        fetched = await self._client.fetch_channel(channel)
        return server == ("" if isinstance(fetched, discord.abc.PrivateChannel) else str(fetched.guild.id))

    async def _fetch_of_server(self, channel: int, server: str) -> object:
        """Return a channel or a thread from Discord; None if it is not in this server."""
        fetched = await self._client.fetch_channel(channel)
        is_there = isinstance(fetched, (discord.abc.GuildChannel, discord.Thread)) and str(fetched.guild.id) == server
        return fetched if is_there else None

    async def forget_user(self, user_id: str, gone: Collection[int]) -> None:
        """Do nothing: Discord itself stores and shows what was written there."""

    async def locale(self, server: str) -> str:
        """Return the language of a server."""
        guild = self._client.get_guild(int(server))
        if guild is None:
            # It may be on a shard that another process serves.
            try:
                guild = await self._client.fetch_guild(int(server), with_counts=False)
            except DISCORD_ERRORS:
                return "en"
        return guild.preferred_locale.value

    async def post(self, server: str, channel: str, text: str) -> None:
        """Post in a channel or a thread of that server, and of no other. Raises CannotPost."""
        guild = self._client.get_guild(int(server))
        try:
            if guild is None:
                # The server may be on a shard that another process serves.
                target = await self._fetch_of_server(int(channel), server)
            else:
                target = guild.get_channel_or_thread(int(channel))
            if not isinstance(target, discord.abc.Messageable):
                raise CannotPost(NO_CHANNEL)
            await target.send(text, allowed_mentions=NO_PINGS, suppress_embeds=True)
        except discord.NotFound as error:
            raise CannotPost(NO_CHANNEL) from error
        except discord.Forbidden as error:
            raise CannotPost(NO_PERMISSION) from error
        except DISCORD_ERRORS as error:
            log.warning("Discord did not take a message: %s", error)
            raise CannotPost(UNREACHABLE) from error
