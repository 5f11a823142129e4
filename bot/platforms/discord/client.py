"""discord.py's client: hands each event to the part of the bot that handles it."""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import discord
import yarl
from discord.gateway import DiscordWebSocket

from bot.core import metrics
from bot.core.background import repeat
from bot.core.errors import DatabaseUnavailable
from bot.platforms.discord.convert.requests import PLATFORM
from bot.platforms.discord.incoming.command_tree import Tree
from bot.platforms.discord.incoming.commands import build
from bot.platforms.discord.incoming.interactions import Interactions
from bot.platforms.discord.incoming.messages import MessageListener
from bot.platforms.discord.incoming.sync import synchronise
from bot.platforms.discord.outgoing.answers import TOKEN_SECONDS, DiscordAnswers
from bot.platforms.discord.outgoing.targets import NO_PINGS
from bot.platforms.discord.shards import (
    HANDOVER_SECONDS,
    IDENTIFY_SECONDS,
    ROUND_SECONDS,
    SessionStarts,
    ShardLeases,
)

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
                bot.registry.commands,
                run=self._interactions.run,
                run_on_message=self._interactions.run_on_message,
                complete=self._interactions.complete,
                direct_messages=bot.direct_messages,
            )
        )
        self._was_ready = False
        self._bot = bot
        self._log_channel = bot.log_channel
        self._log_channel_tasks: AsyncExitStack | None = None
        self._plan = section.shard_plan
        self._starts: SessionStarts | None = None
        self._leases: ShardLeases | None = None
        self._served: dict[int, float] = {}
        """The shards that were connected, each with the moment at which this process leaves it."""
        self._missing: set[int] = set()
        """The shards of its range that another process has."""
        self._sharing: asyncio.Task[None] | None = None

    async def launch_shards(self) -> None:
        """Connect to the configured address, or else to the one that Discord names, also when it connects again."""
        if self.is_closed():
            return
        if self.shard_count is None:
            count, url, limits = await self.http.get_bot_gateway()
            DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(self._section.gateway_url or url)
            self.shard_count = count if self._plan is None else self._plan.count
            if self._plan is not None:
                self._starts = SessionStarts(self._bot, limits["max_concurrency"])
        if self._plan is None:
            await super().launch_shards()
        elif self._sharing is None:
            self._connection.shard_count = self.shard_count
            self._leases = ShardLeases(self._bot, self._plan)
            self._sharing = asyncio.create_task(repeat(self._share_shards, ROUND_SECONDS, at_once=True), name="shards")

    async def _share_shards(self) -> None:
        """Connect the shards that fell to this process, and leave those that another process serves by now."""
        if self._leases is None:
            return
        # Others may take some while sessions begin, of which Discord allows a number a day.
        while (shard := await self._renew_shards(self._leases)) is not None:
            log.info("Discord: this process takes shard %d of %d", shard, self._leases.plan.count)
            self._served[shard] = math.inf
            await self.launch_shard(DiscordWebSocket.DEFAULT_GATEWAY, shard)

    async def _renew_shards(self, leases: ShardLeases) -> int | None:
        """Leave the shards that are no longer of this process; return one that is and is not connected, if any is."""
        (mine, begun_elsewhere), plan = await leases.renew(self._served), leases.plan
        if (missing := set(plan.ids or ()).difference(mine)) != self._missing:
            self._missing = missing
            if missing:
                log.info(
                    "Discord: another process has the shards %s, which this one takes when it ends", sorted(missing)
                )
        self._connection.shard_ids = list(mine)
        now = asyncio.get_running_loop().time()
        self._served |= {shard: math.inf for shard in mine if shard in self._served}
        for shard in self._served.keys() & begun_elsewhere:
            self._served[shard] = min(self._served[shard], now + HANDOVER_SECONDS)
            if self._served[shard] <= now:
                await self._leave_shard(shard)
        return next((shard for shard in mine if shard not in self._served), None)

    async def _leave_shard(self, shard: int) -> None:
        """Leave a shard to another process; what is known of its servers is no longer kept up to date here."""
        known = self.get_shard(shard)
        if known is None or known.is_closed():
            # discord.py connects it again just now; the next round leaves it.
            return
        log.info("Discord: another process has shard %d", shard)
        await known.disconnect()
        del self._served[shard]
        for guild in [one for one in self.guilds if one.shard_id == shard]:
            self._connection._remove_guild(guild)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Wait until a session may begin: with shards in several processes, all of them take turns."""
        if self._starts is None or shard_id is None:
            await super().before_identify_hook(shard_id, initial=initial)
            return
        try:
            await self._starts.wait_for(shard_id)
        except DatabaseUnavailable:
            await asyncio.sleep(IDENTIFY_SECONDS)

    async def close(self) -> None:
        """End the answers while their messages can still be edited, then the connections."""
        if self._sharing is not None:
            self._sharing.cancel()
            await asyncio.gather(self._sharing, return_exceptions=True)
        if self._log_channel_tasks is not None:
            await self._log_channel_tasks.aclose()
        await self.answers.close()
        await super().close()
        if self._leases is not None:
            with suppress(DatabaseUnavailable):
                await self._leases.give_up()

    async def restore(self) -> None:
        """Show that answers which a dead process left unfinished were cut short, once this client can write."""
        if self.user is not None:
            await self.answers.start_restoring()

    async def on_connect(self) -> None:
        """Register the commands and restore unfinished answers, at the first connection."""
        metrics.CONNECTIONS.labels(PLATFORM).inc()
        if not self._was_ready:
            self._was_ready = True
            log.info("Discord: connected as %s", self.user)
            await self.restore()
            self.answers.start(synchronise(self._tree, self._section), "discord commands")

    async def on_shard_ready(self, shard: int) -> None:
        """Begin to post moderators' notes once the channels of servers are known, at the first connection."""
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
            parse(data)
        except Exception as error:
            log.warning("Discord sent a %s that is not understood and left out: %s", event, type(error).__name__)
            log.debug("Why it is left out", exc_info=error)

    return parse_known
