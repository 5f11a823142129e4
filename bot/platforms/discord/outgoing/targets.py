"""How messages are written: with an interaction's token, into a channel, or to one user directly."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import discord

from bot.core.errors import BotError
from bot.core.i18n import Sentence
from bot.platforms.discord.outgoing import render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot.platforms.discord.outgoing.render import RenderedMessage

    Place = discord.PartialMessageable | discord.DMChannel

log = logging.getLogger(__name__)

SMALL = discord.utils.DEFAULT_FILE_SIZE_LIMIT_BYTES
"""What a server without boosts takes."""
NO_PINGS = discord.AllowedMentions.none()
FAILURES = (BotError, discord.HTTPException, aiohttp.ClientError, OSError)
"""What keeps a message from being written: Discord's refusals, whatever they mean, and that it cannot be reached."""

UNKNOWN_CHANNEL, UNKNOWN_GUILD, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK = 10003, 10004, 10008, 10015
UNKNOWN_INTERACTION, ALREADY_ACKNOWLEDGED = 10062, 40060
MISSING_ACCESS, CANNOT_DM, MISSING_PERMISSIONS, INVALID_TOKEN, ARCHIVED = 50001, 50007, 50013, 50027, 50083
NO_COMMON_SERVER, NO_HISTORY, THREAD_LOCKED, NO_MORE_FOLLOW_UPS = 50278, 160002, 160005, 40094
"""What Discord's error codes mean, as its documentation numbers them."""

PLACE_GONE = Sentence("The place where you asked is gone, so your answer ends here.")
SHUT_OUT = Sentence("I may not write where you asked any more, so your answer ends here.")
CLOSED = Sentence("The thread was closed, so your answer ends here.")
NOT_DIRECTLY = Sentence("You take no direct messages from me. Use a slash command, and you alone see the answer.")
REASONS = {
    UNKNOWN_CHANNEL: PLACE_GONE,
    UNKNOWN_GUILD: PLACE_GONE,
    MISSING_ACCESS: SHUT_OUT,
    MISSING_PERMISSIONS: SHUT_OUT,
    ARCHIVED: CLOSED,
    THREAD_LOCKED: CLOSED,
    CANNOT_DM: NOT_DIRECTLY,
    NO_COMMON_SERVER: NOT_DIRECTLY,
}


class MessageGone(BotError):
    """A message that shows an answer was deleted by somebody else."""


class TokenExpired(BotError):
    """The interaction's token is no longer valid."""


class ThreadFull(BotError):
    """The interaction takes no more messages than there are."""


class NoFiles(BotError):
    """A message was refused that may be taken without its files."""


class PermissionLost(BotError):
    """An answer can no longer be shown where it was; `sentence` says why."""

    def __init__(self, sentence: Sentence) -> None:
        self.sentence = sentence
        super().__init__(sentence.in_language("en"))


@contextmanager
def _told_apart(*, files: bool = False) -> Iterator[None]:
    """Raise what Discord's refusals mean for an answer. `files` says whether some were to be sent."""
    try:
        yield
    except discord.HTTPException as error:
        if error.code == UNKNOWN_MESSAGE:
            raise MessageGone(str(error)) from None
        if error.code == NO_MORE_FOLLOW_UPS:
            raise ThreadFull(str(error)) from None
        if error.code == MISSING_PERMISSIONS and files:
            raise NoFiles(str(error)) from None
        if error.code in (UNKNOWN_WEBHOOK, INVALID_TOKEN):
            raise TokenExpired(str(error)) from None
        if error.code in REASONS:
            log.info("An answer ends, as Discord refuses it: %s", error)
            raise PermissionLost(REASONS[error.code]) from None
        raise


class MessageTarget(Protocol):
    """One way to write messages. Its methods raise Gone, TokenOver or Lost, for what Discord's refusal means."""

    bytes_each: int
    """The largest file it takes."""
    turn: asyncio.Lock
    """Held while a passing snapshot is written, since the messages of a channel share one of Discord's limits: with one
    of them under way at a time, the last ones, which do not ask, need not queue behind many."""

    async def post(self, message: RenderedMessage) -> int:
        """Send one more message; its id. May raise Full or NoFiles."""

    async def edit(self, message_id: int, message: RenderedMessage, *, files: bool) -> None:
        """Make a message look like this; its files stay as they are unless `files`. May raise NoFiles."""

    async def delete(self, message_id: int) -> None:
        """Delete a message."""


class InteractionTarget:
    """The messages of one interaction, written with its token: that needs no permission, but ends."""

    def __init__(self, webhook: discord.Webhook, *, bytes_each: int, private: bool = False) -> None:
        self.bytes_each = bytes_each
        self.turn = asyncio.Lock()
        self._webhook = webhook
        self._private = private

    async def post(self, message: RenderedMessage) -> int:
        """Send a follow-up."""
        view = render.view(message.buttons)
        with _told_apart(files=bool(message.files)):
            sent = await self._webhook.send(
                message.content,
                files=render.files(message.files),
                view=discord.utils.MISSING if view is None else view,
                ephemeral=self._private,
                allowed_mentions=NO_PINGS,
                wait=True,
            )
        return sent.id

    async def edit(self, message_id: int, message: RenderedMessage, *, files: bool) -> None:
        """Edit the response or a follow-up."""
        with _told_apart(files=files and bool(message.files)):
            await self._webhook.edit_message(
                message_id,
                content=message.content,
                attachments=render.files(message.files) if files else discord.utils.MISSING,
                view=render.view(message.buttons),
                allowed_mentions=NO_PINGS,
            )

    async def delete(self, message_id: int) -> None:
        """Delete the response or a follow-up."""
        with _told_apart():
            await self._webhook.delete_message(message_id)


class ChannelTarget:
    """Ordinary messages in a channel or a thread; the first one replies to `reply_to`."""

    def __init__(
        self, channel: Place | None, *, bytes_each: int = SMALL, reply_to: int = 0, turn: asyncio.Lock | None = None
    ) -> None:
        self.bytes_each = bytes_each
        self.turn = turn or asyncio.Lock()
        self._channel = channel
        self._reply_to = reply_to

    async def _place(self) -> Place:
        if self._channel is None:
            raise RuntimeError("This room has no channel.")
        return self._channel

    async def post(self, message: RenderedMessage) -> int:
        """Send a message. That what it replies to was deleted, or may not be read, does not keep it from being sent."""
        with _told_apart(files=bool(message.files)):
            try:
                sent = await self._send(message)
            except discord.Forbidden as error:
                if error.code != NO_HISTORY:
                    raise
                self._reply_to = 0
                sent = await self._send(message)
        self._reply_to = 0
        return sent.id

    async def _send(self, message: RenderedMessage) -> discord.Message:
        channel = await self._place()
        more: dict[str, Any] = {}
        if view := render.view(message.buttons):
            more["view"] = view
        if self._reply_to:
            more["reference"] = discord.MessageReference(
                message_id=self._reply_to, channel_id=channel.id, fail_if_not_exists=False
            )
        return await channel.send(message.content, files=render.files(message.files), allowed_mentions=NO_PINGS, **more)

    async def edit(self, message_id: int, message: RenderedMessage, *, files: bool) -> None:
        """Edit a message."""
        with _told_apart(files=files and bool(message.files)):
            channel = await self._place()
            await channel.get_partial_message(message_id).edit(
                content=message.content,
                attachments=render.files(message.files) if files else discord.utils.MISSING,
                view=render.view(message.buttons),
                allowed_mentions=NO_PINGS,
            )

    async def delete(self, message_id: int) -> None:
        """Delete a message."""
        with _told_apart():
            channel = await self._place()
            await channel.get_partial_message(message_id).delete()


class DirectTarget(ChannelTarget):
    """The direct messages with one user; they are opened when the first one is written."""

    def __init__(self, client: discord.Client, user: int) -> None:
        super().__init__(None)
        self._client = client
        self._user = discord.Object(user)

    async def _place(self) -> Place:
        if self._channel is None:
            self._channel = await self._client.create_dm(self._user)
        return self._channel
