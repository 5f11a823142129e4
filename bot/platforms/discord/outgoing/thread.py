"""A thread under a question: opened when its answer begins, and emptied of the question if that is deleted."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import discord

from bot.core.i18n import Sentence
from bot.core.splitting import quote_line
from bot.core.text import cut
from bot.platforms.discord.outgoing.render import NO_TEXT, RenderedMessage
from bot.platforms.discord.outgoing.targets import DISCORD_ERRORS, FAILURES, MessageGone, TokenExpired

if TYPE_CHECKING:
    from bot.platforms.discord.outgoing.targets import ChannelTarget, InteractionTarget

log = logging.getLogger(__name__)

MAX_NAME_CHARACTERS, MAX_QUESTION_CHARACTERS = 100, 1900
NOT_OPENED = Sentence("I could not open a thread here; that needs Create Public Threads and Send Messages in Threads.")


class Thread:
    """A thread that is opened only once there is an answer, so that nobody sees a question that is refused.

    The response `message` becomes the question. It is edited by `interaction_target` or, once the token has expired,
    by `channel_target`. `target` writes in the thread, which has the id of that message.
    """

    def __init__(
        self,
        client: discord.Client,
        channel: discord.TextChannel,
        message: int,
        *,
        interaction_target: InteractionTarget,
        channel_target: ChannelTarget,
        target: ChannelTarget,
        command: str,
    ) -> None:
        self.target = target
        self.is_open = False
        self._client = client
        self._channel = channel
        self._message = message
        self._interaction_target = interaction_target
        self._channel_target = channel_target
        self._command = command

    async def open(self, question: str) -> bool:
        """Show the question, or the command if it has none, and return whether the thread under it is open now.

        Raises MessageGone if the response was deleted.
        """
        text = question or f"/{self._command}"
        try:
            await self._show_question(RenderedMessage(quote_line(text, MAX_QUESTION_CHARACTERS)))
            await self._channel.get_partial_message(self._message).create_thread(name=cut(text, MAX_NAME_CHARACTERS))
            self.is_open = True
        except MessageGone:
            raise
        except FAILURES as error:
            log.warning("A thread could not be opened: %s", error)
        return self.is_open

    async def _show_question(self, question: RenderedMessage) -> None:
        try:
            await self._interaction_target.edit(self._message, question, files=False)
        except TokenExpired:
            await self._channel_target.edit(self._message, question, files=False)

    async def delete_question(self) -> None:
        """Delete the question, and the name that the thread has from it."""
        await delete_question(self._client, self._channel.id, self._message)


async def delete_question(client: discord.Client, channel: int, thread: int) -> bool:
    """Delete the question in `channel` and the name that its thread has from it; False if one of them remains.

    The thread itself remains, since others may have written there and the bot may not delete it without Manage Threads.
    An empty one is closed.
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
                await opened.edit(name=NO_TEXT, archived=not opened.message_count)
    except DISCORD_ERRORS as error:
        log.warning("A question or the name of its thread stays on Discord: %s", error)
        return False
    return True
