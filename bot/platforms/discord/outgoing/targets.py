"""How messages are written: with an interaction's token, into a channel, or to one user directly."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import discord
from discord.http import handle_message_parameters
from discord.webhook.async_ import async_context

from bot.core.errors import BotError
from bot.core.i18n import Sentence
from bot.platforms.discord.outgoing import render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot.platforms.discord.outgoing.render import RenderedMessage

    Place = discord.PartialMessageable | discord.DMChannel

log = logging.getLogger(__name__)

DEFAULT_MAX_FILE_BYTES = discord.utils.DEFAULT_FILE_SIZE_LIMIT_BYTES
"""The largest file in a server without boosts."""
NO_PINGS = discord.AllowedMentions.none()
NO_EMBEDS = discord.MessageFlags(suppress_embeds=True)
"""No previews of linked pages: what a model or a stranger links must not be shown as if the bot recommended it."""
DISCORD_ERRORS = (discord.HTTPException, aiohttp.ClientError, OSError)
"""Discord refuses a request or cannot be reached."""
FAILURES = (BotError, *DISCORD_ERRORS)
"""A message could not be written, whether or not this module gives the reason a type of its own."""

UNKNOWN_CHANNEL, UNKNOWN_GUILD, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK = 10003, 10004, 10008, 10015
UNKNOWN_INTERACTION, ALREADY_ACKNOWLEDGED = 10062, 40060
MISSING_ACCESS, CANNOT_DM, MISSING_PERMISSIONS, INVALID_TOKEN, ARCHIVED = 50001, 50007, 50013, 50027, 50083
NO_COMMON_SERVER, NO_HISTORY, THREAD_LOCKED, NO_MORE_FOLLOW_UPS = 50278, 160002, 160005, 40094
"""Error codes, as Discord's documentation numbers them."""

PLACE_GONE = Sentence("The place where you asked is gone, so your answer ends here.")
NO_ACCESS = Sentence("I may not write where you asked any more, so your answer ends here.")
THREAD_CLOSED = Sentence("The thread was closed, so your answer ends here.")
DIRECT_MESSAGES_CLOSED = Sentence(
    "You take no direct messages from me. Use a slash command, and you alone see the answer."
)
SENTENCES = {
    UNKNOWN_CHANNEL: PLACE_GONE,
    UNKNOWN_GUILD: PLACE_GONE,
    MISSING_ACCESS: NO_ACCESS,
    MISSING_PERMISSIONS: NO_ACCESS,
    ARCHIVED: THREAD_CLOSED,
    THREAD_LOCKED: THREAD_CLOSED,
    CANNOT_DM: DIRECT_MESSAGES_CLOSED,
    NO_COMMON_SERVER: DIRECT_MESSAGES_CLOSED,
}


class MessageGone(BotError):
    """Somebody else deleted a message that shows an answer."""


class TokenExpired(BotError):
    """The interaction's token is no longer valid."""


class NoMoreMessages(BotError):
    """The interaction takes no further messages."""


class FilesRefused(BotError):
    """Discord refused a message that it may take without its files."""


class PermissionLost(BotError):
    """An answer can no longer be shown where it was; `sentence` says why."""

    def __init__(self, sentence: Sentence) -> None:
        self.sentence = sentence
        super().__init__(sentence.in_language("en"))


@contextmanager
def _typed_errors(*, files: bool = False) -> Iterator[None]:
    """Turn Discord's refusals into this module's errors. `files` says whether files were to be sent."""
    try:
        yield
    except discord.HTTPException as error:
        if error.code == UNKNOWN_MESSAGE:
            raise MessageGone(str(error)) from None
        if error.code == NO_MORE_FOLLOW_UPS:
            raise NoMoreMessages(str(error)) from None
        if error.code == MISSING_PERMISSIONS and files:
            raise FilesRefused(str(error)) from None
        if error.code in (UNKNOWN_WEBHOOK, INVALID_TOKEN):
            raise TokenExpired(str(error)) from None
        if error.code in SENTENCES:
            log.info("An answer ends, as Discord refuses it: %s", error)
            raise PermissionLost(SENTENCES[error.code]) from None
        raise


class MessageTarget(Protocol):
    """A place to write messages to. Its methods raise MessageGone, TokenExpired or PermissionLost."""

    max_file_bytes: int
    edit_lock: asyncio.Lock
    """Held while a passing snapshot is written. The messages of a channel share one rate limit; with one passing
    snapshot at a time, final ones, which do not take this lock, need not queue behind many."""

    async def post(self, message: RenderedMessage) -> int:
        """Send a message and return its id. May raise NoMoreMessages or FilesRefused."""

    async def edit(self, message_id: int, message: RenderedMessage, *, files: bool) -> None:
        """Make a message look like `message`; its files change only with `files`. May raise FilesRefused."""

    async def delete(self, message_id: int) -> None:
        """Delete a message."""


class InteractionTarget:
    """The messages of one interaction, written with its token, which needs no permission but expires."""

    def __init__(self, webhook: discord.Webhook, *, max_file_bytes: int, private: bool = False) -> None:
        self.max_file_bytes = max_file_bytes
        self.edit_lock = asyncio.Lock()
        self._webhook = webhook
        self._private = private

    async def post(self, message: RenderedMessage) -> int:
        """Send a follow-up."""
        view = render.button_view(message.buttons)
        with _typed_errors(files=bool(message.files)):
            sent = await self._webhook.send(
                message.content,
                files=render.files(message.files),
                view=discord.utils.MISSING if view is None else view,
                ephemeral=self._private,
                allowed_mentions=NO_PINGS,
                suppress_embeds=True,
                wait=True,
            )
        return sent.id

    async def edit(self, message_id: int, message: RenderedMessage, *, files: bool) -> None:
        """Edit the response or a follow-up."""
        with _typed_errors(files=files and bool(message.files)):
            await self._edit_without_embeds(message_id, **_edited_fields(message, files=files))

    async def _edit_without_embeds(self, message_id: int, **fields: Any) -> None:
        # Webhook.edit_message takes no flags, and the response to an interaction begins without them.
        webhook = self._webhook
        with handle_message_parameters(flags=NO_EMBEDS, **fields) as body:
            await async_context.get().edit_webhook_message(
                webhook.id,
                webhook.token or "",
                message_id,
                session=webhook.session,
                proxy=webhook.proxy,
                proxy_auth=webhook.proxy_auth,
                payload=body.payload,
                multipart=body.multipart,
                files=body.files,
            )

    async def delete(self, message_id: int) -> None:
        """Delete the response or a follow-up."""
        with _typed_errors():
            await self._webhook.delete_message(message_id)


class ChannelTarget:
    """Ordinary messages in a channel or a thread; the first one replies to `reply_to`."""

    def __init__(
        self,
        channel: Place | None,
        *,
        max_file_bytes: int = DEFAULT_MAX_FILE_BYTES,
        reply_to: int = 0,
        edit_lock: asyncio.Lock | None = None,
    ) -> None:
        self.max_file_bytes = max_file_bytes
        self.edit_lock = edit_lock or asyncio.Lock()
        self._channel = channel
        self._reply_to = reply_to

    async def _open_channel(self) -> Place:
        if self._channel is None:
            raise RuntimeError("This target has no channel.")
        return self._channel

    async def post(self, message: RenderedMessage) -> int:
        """Send a message, as a reply if the bot may still read what it replies to."""
        with _typed_errors(files=bool(message.files)):
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
        channel = await self._open_channel()
        options: dict[str, Any] = {}
        if view := render.button_view(message.buttons):
            options["view"] = view
        if self._reply_to:
            options["reference"] = discord.MessageReference(
                message_id=self._reply_to, channel_id=channel.id, fail_if_not_exists=False
            )
        files = render.files(message.files)
        return await channel.send(
            message.content, files=files, allowed_mentions=NO_PINGS, suppress_embeds=True, **options
        )

    async def edit(self, message_id: int, message: RenderedMessage, *, files: bool) -> None:
        """Edit a message."""
        with _typed_errors(files=files and bool(message.files)):
            channel = await self._open_channel()
            await channel.get_partial_message(message_id).edit(**_edited_fields(message, files=files))

    async def delete(self, message_id: int) -> None:
        """Delete a message."""
        with _typed_errors():
            channel = await self._open_channel()
            await channel.get_partial_message(message_id).delete()


class DirectTarget(ChannelTarget):
    """The direct messages with one user, opened when the first one is written."""

    def __init__(self, client: discord.Client, user: int) -> None:
        super().__init__(None)
        self._client = client
        self._user = discord.Object(user)

    async def _open_channel(self) -> Place:
        if self._channel is None:
            self._channel = await self._client.create_dm(self._user)
        return self._channel


def _edited_fields(message: RenderedMessage, *, files: bool) -> dict[str, Any]:
    """Return the arguments of discord.py's methods that edit a message."""
    return {
        "content": message.content,
        "attachments": render.files(message.files) if files else discord.utils.MISSING,
        "view": render.button_view(message.buttons),
        "allowed_mentions": NO_PINGS,
    }


async def send_privately(interaction: discord.Interaction, message: RenderedMessage) -> None:
    """Send a message without buttons that the user of an interaction alone sees."""
    send = interaction.followup.send if interaction.response.is_done() else interaction.response.send_message
    files = render.files(message.files) or discord.utils.MISSING
    await send(message.content, files=files, ephemeral=True, allowed_mentions=NO_PINGS, suppress_embeds=True)
