"""discord.py's client: hands each event to the part of the bot that handles it."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import discord
import yarl
from discord.gateway import DiscordWebSocket

from bot.core import metrics
from bot.platforms.discord.convert.requests import PLATFORM
from bot.platforms.discord.incoming.command_tree import Tree
from bot.platforms.discord.incoming.commands import build
from bot.platforms.discord.incoming.interactions import Interactions
from bot.platforms.discord.incoming.messages import MessageListener
from bot.platforms.discord.incoming.payload_check import check_event
from bot.platforms.discord.incoming.sync import synchronise
from bot.platforms.discord.outgoing.answers import TOKEN_SECONDS, DiscordAnswers
from bot.platforms.discord.outgoing.targets import NO_PINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bot.app import Bot
    from bot.config.sections import DiscordSection

log = logging.getLogger(__name__)


class Client(discord.AutoShardedClient):
    """Receives the events of Discord. Raises PluginError if a command exceeds a limit of Discord.

    discord.py caches no messages and no views: the bot's database has all that is needed later.
    """

    def __init__(self, bot: Bot, section: DiscordSection, token_seconds: float = TOKEN_SECONDS) -> None:
        intents = discord.Intents(
            guilds=True, guild_messages=True, dm_messages=True, message_content=section.message_content
        )
        super().__init__(intents=intents, allowed_mentions=NO_PINGS, max_messages=None)
        parsers = self._connection.parsers
        # Without READY nothing would work, so its error shall end the connection.
        parsers.update({event: _without_errors(event, parse) for event, parse in parsers.items() if event != "READY"})
        self.answers = DiscordAnswers(bot, self, token_seconds)
        self._section = section
        self._interactions = Interactions(self.answers)
        self._messages = MessageListener(self.answers, self, reads_all=section.message_content)
        self._tree = Tree(self)
        self._tree.replace_commands(
            build(
                bot.commands,
                run=self._interactions.run,
                run_on_message=self._interactions.run_on_message,
                complete=self._interactions.complete,
                direct_messages=bot.direct_messages,
            )
        )
        self._was_ready = False
        self._log_channel = bot.log_channel
        self._log_channel_tasks: AsyncExitStack | None = None

    async def launch_shards(self) -> None:
        """Connect to the configured address, or else to the one that Discord names, also when it connects again."""
        if self.shard_count is None and not self.is_closed():
            self.shard_count, url, _ = await self.http.get_bot_gateway()
            DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(self._section.gateway_url or url)
        await super().launch_shards()

    async def close(self) -> None:
        """End the answers while their messages can still be edited, then the connections."""
        if self._log_channel_tasks is not None:
            await self._log_channel_tasks.aclose()
        await self.answers.close()
        await super().close()

    async def on_connect(self) -> None:
        """Register the commands and restore unfinished answers, at the first connection."""
        metrics.CONNECTIONS.labels(PLATFORM).inc()
        if not self._was_ready:
            self._was_ready = True
            log.info("Discord: connected as %s", self.user)
            self.answers.start(self.answers.restore(), "discord restore")
            self.answers.start(synchronise(self._tree, self._section), "discord commands")

    async def on_ready(self) -> None:
        """Begin to post moderators' notes once the channels of the servers are known, at the first connection."""
        if self._log_channel_tasks is None and not self.is_closed():
            self._log_channel_tasks = AsyncExitStack()
            await self._log_channel_tasks.enter_async_context(self._log_channel.post_entries(PLATFORM))

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        """Answer buttons and forms; commands come through the tree."""
        data: Any = interaction.data
        if interaction.type is discord.InteractionType.component:
            self._interactions.press_button(interaction, data["custom_id"])
        elif interaction.type is discord.InteractionType.modal_submit:
            self._interactions.submit_form(interaction, data["custom_id"])

    async def on_message(self, message: discord.Message) -> None:
        """Answer a message."""
        self._messages.handle(message)

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        """End the answer that a deleted message showed, no matter who deleted it."""
        self._end_deleted(event.channel_id, [event.message_id])

    async def on_raw_bulk_message_delete(self, event: discord.RawBulkMessageDeleteEvent) -> None:
        """End the answers that deleted messages showed."""
        self._end_deleted(event.channel_id, sorted(event.message_ids))

    def _end_deleted(self, channel: int, messages: Sequence[int]) -> None:
        self.answers.start(self.answers.handle_deleted_messages(channel, messages), "discord deletion")

    async def on_guild_join(self, guild: discord.Guild) -> None:
        """Greet a server to which the bot was added."""
        self.answers.start(self._messages.greet(guild), "discord welcome")

    async def on_guild_available(self, guild: discord.Guild) -> None:
        """Greet a server to which the bot was added before it was connected."""
        self.answers.start(self._messages.greet(guild), "discord welcome")


def _without_errors(event: str, parse: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return a parser of discord.py's that logs what it does not understand, such as something new in Discord.

    Its error would end the connection, and somebody who sends the new thing would end the bot for everybody.
    """

    def parse_known(data: Any) -> None:
        try:
            check_event(event, data)
            parse(data)
        except Exception as error:
            log.warning("Discord sent a %s that is not understood and left out: %s", event, type(error).__name__)
            log.debug("Why it is left out", exc_info=error)

    return parse_known
