"""A thread under a question: opened when its answer begins to be told, and taken back with the question."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import aiohttp
import discord

from bot.core.i18n import Sentence
from bot.core.splitting import quote_line
from bot.core.text import cut
from bot.platforms.discord.outgoing.render import NOTHING, RenderedMessage
from bot.platforms.discord.outgoing.targets import FAILURES, MessageGone, TokenExpired

if TYPE_CHECKING:
    from bot.platforms.discord.outgoing.targets import ChannelTarget, InteractionTarget

log = logging.getLogger(__name__)

NAME, QUESTION = 100, 1900
NOT_OPENED = Sentence("I could not open a thread here; that needs Create Public Threads and Send Messages in Threads.")


class Thread:
    """One that is not opened before there is an answer, so that nobody sees a question that is refused.

    The response `message` becomes the question, written with `hook` or, once the token is over, in the channel `above`;
    `room` is the thread, which has its number.
    """

    def __init__(
        self,
        client: discord.Client,
        channel: discord.TextChannel,
        message: int,
        *,
        hook: InteractionTarget,
        above: ChannelTarget,
        room: ChannelTarget,
        command: str,
    ) -> None:
        self.room = room
        self.is_open = False
        self._client = client
        self._channel = channel
        self._message = message
        self._hook = hook
        self._above = above
        self._command = command

    async def open(self, question: str) -> bool:
        """Show the question, or the command where there is none to show; whether the thread under it is open now.

        Raises Gone if the response was deleted.
        """
        asked = question or f"/{self._command}"
        try:
            await self._show(RenderedMessage(quote_line(asked, QUESTION)))
            await self._channel.get_partial_message(self._message).create_thread(name=cut(asked, NAME))
            self.is_open = True
        except MessageGone:
            raise
        except FAILURES as error:
            log.warning("A thread could not be opened: %s", error)
        return self.is_open

    async def _show(self, question: RenderedMessage) -> None:
        try:
            await self._hook.edit(self._message, question, files=False)
        except TokenExpired:
            await self._above.edit(self._message, question, files=False)

    async def withdraw(self) -> None:
        """Take back the question, and the name that the thread has from it."""
        await withdraw(self._client, self._channel.id, self._message)


async def withdraw(client: discord.Client, channel: int, thread: int) -> bool:
    """Take back the question in `channel` and the name that its thread has from it; False if one of them stays.

    The thread itself stays, for others may have talked there, and the bot may not delete it without Manage Threads;
    an empty one is closed.
    """
    try:
        with suppress(discord.NotFound):
            await client.get_partial_messageable(channel).get_partial_message(thread).delete()
        with suppress(discord.NotFound):
            opened = await client.fetch_channel(thread)
            if isinstance(opened, discord.Thread):
                if opened.archived:
                    # A closed thread cannot be renamed.
                    await opened.edit(archived=False)
                await opened.edit(name=NOTHING, archived=not opened.message_count)
    except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
        log.warning("A question or the name of its thread stays on Discord: %s", error)
        return False
    return True
