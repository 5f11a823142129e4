"""discord.py's client: events in, tasks out."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import discord
import yarl
from discord.gateway import DiscordWebSocket

from bot.platforms.discord.convert.requests import PLATFORM
from bot.platforms.discord.incoming.commands import Tree, build
from bot.platforms.discord.incoming.interactions import Interactions
from bot.platforms.discord.incoming.messages import MessageListener
from bot.platforms.discord.incoming.sync import synchronise
from bot.platforms.discord.outgoing.answers import TOKEN_SECONDS, DiscordAnswers
from bot.platforms.discord.outgoing.targets import NO_PINGS

if TYPE_CHECKING:
    from bot.app import Bot
    from bot.config import DiscordSection

log = logging.getLogger(__name__)


class Client(discord.AutoShardedClient):
    """Hears what concerns the bot. Raises PluginError where Discord has no room for a command.

    discord.py keeps no messages and no views for it: all that is needed later is in the database.
    """

    def __init__(self, bot: Bot, section: DiscordSection, token_seconds: float = TOKEN_SECONDS) -> None:
        intents = discord.Intents(
            guilds=True, guild_messages=True, dm_messages=True, message_content=section.message_content
        )
        super().__init__(intents=intents, allowed_mentions=NO_PINGS, max_messages=None)
        self.answers = DiscordAnswers(bot, self, token_seconds)
        self._section = section
        self._interactions = Interactions(self.answers)
        self._conversation = MessageListener(self.answers, self, reads_all=section.message_content)
        self._tree = Tree(self)
        self._tree.offer(
            build(
                bot.commands,
                run=self._interactions.run,
                run_on_message=self._interactions.run_on_message,
                complete=self._interactions.complete,
            )
        )
        self._was_ready = False
        self._log_channel = bot.log_channel
        self._following: AsyncExitStack | None = None

    async def launch_shards(self) -> None:
        """Connect where the configuration says, else where Discord says; each time, and not only at first."""
        if self.shard_count is None and not self.is_closed():
            self.shard_count, url, _ = await self.http.get_bot_gateway()
            DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(self._section.gateway_url or url)
        await super().launch_shards()

    async def close(self) -> None:
        """End the answers while they can still say so, then the connections."""
        if self._following is not None:
            await self._following.aclose()
        await self.answers.close()
        await super().close()

    async def on_connect(self) -> None:
        """Once Discord knows us: register the commands, and come back to what was left unfinished."""
        if not self._was_ready:
            self._was_ready = True
            log.info("Discord: connected as %s", self.user)
            self.answers.start(self.answers.restore(), "discord restore")
            self.answers.start(synchronise(self._tree, self._section), "discord commands")

    async def on_ready(self) -> None:
        """Once the servers and their channels are known, again after each new connection: what is noted can be told."""
        if self._following is None and not self.is_closed():
            self._following = AsyncExitStack()
            await self._following.enter_async_context(self._log_channel.post_entries(PLATFORM))

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        """Buttons and forms; commands come through the tree."""
        data: Any = interaction.data
        if interaction.type is discord.InteractionType.component:
            self._interactions.pressed(interaction, data["custom_id"])
        elif interaction.type is discord.InteractionType.modal_submit:
            self._interactions.submitted(interaction, data["custom_id"])

    async def on_message(self, message: discord.Message) -> None:
        """Something was said."""
        self._conversation.heard(message)

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        """A message was deleted, by us or by others."""
        self.answers.start(self.answers.removed(event.channel_id, [event.message_id]), "discord deletion")

    async def on_raw_bulk_message_delete(self, event: discord.RawBulkMessageDeleteEvent) -> None:
        """Many messages were deleted at once."""
        self.answers.start(self.answers.removed(event.channel_id, sorted(event.message_ids)), "discord deletion")

    async def on_guild_join(self, guild: discord.Guild) -> None:
        """The bot came to a server."""
        self.answers.start(self._conversation.greet(guild), "discord welcome")

    async def on_guild_available(self, guild: discord.Guild) -> None:
        """A server is there, to which the bot may have come while it was not running, or was just starting."""
        self.answers.start(self._conversation.greet(guild), "discord welcome")
