"""The answers that are being shown on Discord, and the stored ones whose messages are edited or deleted later."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import discord

from bot.core.errors import BotError, DatabaseUnavailable
from bot.platforms.answer_tasks import FAILED, AnswerTasks
from bot.platforms.discord.convert.requests import PLATFORM
from bot.platforms.discord.outgoing.answer_view import AnswerView, SentMessage
from bot.platforms.discord.outgoing.targets import (
    DEFAULT_MAX_FILE_BYTES,
    DISCORD_ERRORS,
    FAILURES,
    ChannelTarget,
    DirectTarget,
    InteractionTarget,
    MessageGone,
    PermissionLost,
)
from bot.platforms.discord.outgoing.thread import delete_question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bot.app import Bot
    from bot.core.latest import Stream
    from bot.core.messages import Reply, Request
    from bot.core.throttle import Throttle
    from bot.storage.database import MessageRow

log = logging.getLogger(__name__)

TOKEN_SECONDS = 14 * 60.0
"""How long the token of an interaction is used; it is valid for a minute longer."""
TOO_MANY_REQUESTS, QUIET_SECONDS = 429, 60.0
"""The status by which Discord's proxy refuses all that an address sends, and how long only ends are shown after it.

discord.py waits by itself where Discord names a time.
"""


class DiscordAnswers(AnswerTasks[AnswerView]):
    """Shows the bot's replies on Discord. Close it before the client that it writes with."""

    refusals = (BotError, discord.HTTPException)
    settle_seconds = 1.0

    def __init__(self, bot: Bot, client: discord.Client, token_seconds: float = TOKEN_SECONDS) -> None:
        super().__init__(bot, PLATFORM)
        self.token_seconds = token_seconds
        self._client = client
        self._edit_locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._quiet_until = 0.0
        """When passing snapshots are shown again, after Discord has refused everything."""

    def direct_target(self, user: int) -> DirectTarget:
        """Return the direct messages with a user."""
        return DirectTarget(self._client, user)

    def channel_target(self, channel: int, guild: int | None, *, reply_to: int = 0) -> ChannelTarget:
        """Return a channel, thread or direct message; discord.py need not know it."""
        known = None if guild is None else self._client.get_guild(guild)
        return ChannelTarget(
            self._client.get_partial_messageable(channel, guild_id=guild),
            max_file_bytes=DEFAULT_MAX_FILE_BYTES if known is None else known.filesize_limit,
            reply_to=reply_to,
            edit_lock=self._edit_locks.setdefault(channel, asyncio.Lock()),
        )

    def _interaction_target(self, row: MessageRow) -> InteractionTarget | None:
        """Return the target that a stored answer was written to with a token; None if that is no longer valid."""
        token = row.resume.get("token")
        if not token or time.time() > row.resume["until"] or self._client.application_id is None:
            return None
        webhook = discord.Webhook.partial(self._client.application_id, token, client=self._client)
        # With this type, discord.py allows messages that only the asker sees.
        webhook.type = discord.WebhookType.application
        return InteractionTarget(webhook, max_file_bytes=DEFAULT_MAX_FILE_BYTES, private=row.private)

    async def follow(
        self, view: AnswerView, replies: Stream[Reply], change: Callable[[Reply], Reply] | None = None
    ) -> None:
        """Show `replies` until they end, each changed by `change`. Raises nothing but its own cancellation."""
        timer = asyncio.get_running_loop().call_at(view.token_end, view.expire) if view.ends_with_token else None
        try:
            await super().follow(view, replies, change)
        finally:
            if timer is not None:
                timer.cancel()

    def _throttle(self, view: AnswerView) -> Throttle:
        return view.throttle

    async def _show_once(self, view: AnswerView, reply: Reply) -> None:
        if not reply.final and time.monotonic() < self._quiet_until:
            return
        try:
            await view.show(reply)
            if self._one_was_deleted(view.ids):
                raise MessageGone
        except discord.HTTPException as error:
            if error.status == TOO_MANY_REQUESTS:
                self._quiet_until = time.monotonic() + QUIET_SECONDS
            raise
        finally:
            # The interval begins here: an edit that waited for Discord's rate limit must not be followed at once.
            view.throttle.record_snapshot()

    def _is_temporary(self, error: Exception) -> bool:
        if isinstance(error, discord.HTTPException):
            return error.status >= 500 or error.status == TOO_MANY_REQUESTS
        return isinstance(error, DISCORD_ERRORS)

    async def _end_after(self, view: AnswerView, error: Exception) -> None:
        match error:
            case MessageGone():
                log.info("An answer ends, as its message was deleted.")
                await self.bot.stored.delete_shown(PLATFORM, view.ids)
                await view.remove()
            case PermissionLost() | DatabaseUnavailable():
                await view.give_up(error.sentence)
            case _:
                log.exception("An answer could not be shown", exc_info=error)
                await view.give_up(FAILED)

    async def _show_stored(self, view: AnswerView, row: MessageRow) -> None:
        try:
            await view.show(await self.bot.stored.snapshot(row, view.locale))
        except DatabaseUnavailable:
            raise
        except FAILURES as error:
            log.warning("An interrupted answer still looks as if it went on: %s", error)

    async def _find_view(self, row: MessageRow) -> AnswerView | None:
        resume = row.resume
        sent = await self.bot.messages.get_external_ids(row.id) or list(filter(None, [resume.get("message")]))
        if (parent := resume.get("parent")) and (not row.thread or resume["channel"] in sent):
            # No thread was opened: it would have the id of the message that shows the answer.
            await self.bot.messages.move_out_of_thread(row.id)
            resume = resume | {"channel": parent, "quoted": True}
        common: dict[str, Any] = {
            "direct_target": self.direct_target(int(row.author)),
            "locale": resume["locale"],
            "shows_question": resume["quoted"],
            "sent_messages": [SentMessage(int(message)) for message in sent],
        }
        if resume.get("token"):
            target = self._interaction_target(row)
            return AnswerView(self.bot, target, **common) if target is not None and sent else None
        guild = int(resume["guild"]) if resume["guild"] else None
        channel = self.channel_target(int(resume["channel"]), guild, reply_to=int(resume.get("question", 0)))
        return AnswerView(self.bot, channel, **common)

    def active_views(self, row: int) -> list[AnswerView]:
        """Return the views that show an answer at this moment."""
        return [view for view in self._views if view.row == row]

    async def handle_deleted_messages(self, channel: int, messages: Sequence[int]) -> None:
        """End and delete the answers of which somebody deleted messages."""
        deleted = set(map(str, messages))
        self.note_deletion(deleted)
        views = [view for view in self._views if deleted & set(view.ids)]
        remaining = await self.bot.stored.delete_shown(PLATFORM, sorted(deleted))
        if views:
            await self.delete_messages(channel, (), views)
            # The messages that were being written meanwhile are stored by now.
            remaining += await self.bot.stored.delete_shown(PLATFORM, sorted(deleted))
        await self.delete_messages(channel, remaining)

    async def delete_messages(self, channel: int, messages: Sequence[str], views: Iterable[AnswerView] = ()) -> None:
        """Delete messages of the bot in a channel, and all of `views`, as far as Discord permits it."""
        for view in views:
            await view.remove()
        for message in messages:
            with suppress(*FAILURES):
                await self.channel_target(channel, None).delete(int(message))

    async def delete_with_token(self, row: MessageRow, messages: Sequence[str]) -> bool:
        """Delete messages of an answer with the token that they were written with; False if one remains."""
        if (target := self._interaction_target(row)) is None:
            return False
        for message in messages:
            try:
                await target.delete(int(message))
            except MessageGone:
                continue
            except FAILURES as error:
                log.info("A message stays on Discord: %s", error)
                return False
        return True

    async def delete_question(self, channel: str, thread: str, question: str) -> bool:
        """Delete a question that is no longer stored, if `thread` was opened under it; False if it remains."""
        if not thread or question != thread:
            return True
        return await delete_question(self._client, int(channel), int(thread))


def resume_data(request: Request, *, channel: int, shows_question: bool, **more: Any) -> dict[str, Any]:
    """Return what is stored with an answer so that its messages are found again after a restart.

    `more`: `message` is the interaction's response, `parent` the channel of a thread that is opened under it,
    `question` the message that the answer replies to, `token` the only means to write there, and `until` the end of its
    validity, in seconds since the epoch.
    """
    where = {"channel": str(channel), "guild": request.place.server, "locale": request.user.locale}
    return {**request.resume, **where, "quoted": shows_question, **more}
