"""The messages that show one answer: written with an interaction's token while it is valid, else in a channel."""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import discord

from bot.core.i18n import Sentence, translate
from bot.core.throttle import Throttle
from bot.platforms.discord.outgoing import render
from bot.platforms.discord.outgoing.render import RenderedMessage
from bot.platforms.discord.outgoing.targets import (
    FAILURES,
    FilesRefused,
    MessageGone,
    NoMoreMessages,
    PermissionLost,
    TokenExpired,
)
from bot.platforms.discord.outgoing.thread import NOT_OPENED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.app import Bot
    from bot.core.messages import Reply
    from bot.platforms.discord.outgoing.targets import MessageTarget
    from bot.platforms.discord.outgoing.thread import Thread

log = logging.getLogger(__name__)

PACE_SECONDS = 1.0
"""The shortest time between two edits that show passing snapshots."""
THINKING = RenderedMessage("")
"""A response that was only announced: Discord shows that the bot is thinking."""

TIME_OVER = "Discord lets me write here for 15 minutes only, so your answer ends here."
TIME_OVER_REPEATABLE = (
    "Discord lets me write here for 15 minutes only, so your answer ends here. “{again}” asks once more."
)
NO_MORE_MESSAGES = Sentence("Discord takes no more messages from me here, so your answer ends here.")
UNLIMITED_MESSAGES = 100
"""The limit for a long answer that cannot become a file: more messages than any answer needs."""


@dataclass(slots=True)
class SentMessage:
    """A message on Discord, and what it shows; `rendered` is None if that is not known."""

    id: int
    rendered: RenderedMessage | None = None


class AnswerView:
    """The messages that show one answer. `show` makes them look like its newest snapshot.

    The answer is written to `target`. One that turns out to be private moves to `private_target`; without that, it
    stays where it is. After `token_seconds`, when the token of `target` expires, `channel_target` takes over; without
    that, the answer has to end then. `direct_target` reaches the asker when nothing else does. `sent_messages` are on
    Discord already, `shows_question` says whether the question is quoted above the answer, and `note` is added to the
    small print of the last snapshot. With `thread`, the answer moves there once it begins; the question stands above.
    """

    def __init__(
        self,
        bot: Bot,
        target: MessageTarget,
        *,
        direct_target: MessageTarget,
        locale: str,
        private_target: MessageTarget | None = None,
        channel_target: MessageTarget | None = None,
        token_seconds: float = math.inf,
        sent_messages: Sequence[SentMessage] = (),
        shows_question: bool = True,
        note: str = "",
        thread: Thread | None = None,
    ) -> None:
        self.row = 0
        self.final = False
        self.locale = locale
        self.throttle = Throttle(PACE_SECONDS)
        self.token_end = asyncio.get_running_loop().time() + token_seconds
        self._bot = bot
        self._target = target
        self._direct_target = direct_target
        self._private_target = private_target
        self._channel_target = channel_target
        self._sent = list(sent_messages)
        self._shows_question = shows_question and thread is None
        self._note = note
        self._thread = thread
        self._max_messages = render.LIMITS.messages
        self._takes_files = True
        self._is_expired = False
        self._is_removed = False
        self._stored_ids: tuple[int, list[str]] = (0, [])
        self._write_lock = asyncio.Lock()

    @property
    def ids(self) -> list[str]:
        """The ids of the messages that show the answer, in order."""
        return [str(sent.id) for sent in self._sent]

    @property
    def ends_with_token(self) -> bool:
        """True if the answer cannot go on once the token expires."""
        return self._channel_target is None and self.token_end < math.inf

    def expire(self) -> None:
        """End the answer with what it has, while that can still be shown."""
        self._is_expired = self._bot.runs.stop(self.row)

    async def show(self, reply: Reply) -> None:
        """Make the messages look like `reply`. Raises MessageGone or PermissionLost where that is impossible.

        A snapshot that is not the last is left out while the channel is busy with another answer.
        """
        if reply.deleted:
            await self.remove()
            return
        async with self._write_lock:
            if self._is_removed:
                return
            if reply.final or not self._sent:
                await self._show(reply)
            elif not (edit_lock := self._target.edit_lock).locked():
                async with edit_lock:
                    await self._show(reply)

    async def give_up(self, sentence: Sentence) -> None:
        """End the answer, make its messages show that where possible, and tell the asker why."""
        async with self._write_lock:
            self.final = True
            with suppress(*FAILURES):
                await self._end_last_message()
        await self.tell(sentence)

    async def _end_last_message(self) -> None:
        """Delete a response that shows nothing yet; else remove the buttons."""
        if not self._sent or (last := self._sent[-1]).rendered is None:
            return
        if last.rendered == THINKING:
            # Before the asker is told: Discord would put the next message in its place, where everybody reads it.
            await self._target.delete(last.id)
        else:
            await self._target.edit(last.id, replace(last.rendered, buttons=()), files=False)

    async def tell(self, sentence: Sentence) -> None:
        """Say something to the asker alone, wherever that is still possible."""
        message = RenderedMessage(sentence.in_language(self.locale))
        for target in filter(None, (self._private_target, self._direct_target)):
            try:
                await target.post(message)
            except FAILURES as error:
                log.info("The asker could not be told that an answer ended: %s", error)
            else:
                return

    async def remove(self) -> None:
        """Delete all messages, as far as they are still there, and show no more."""
        async with self._write_lock:
            self.final = self._is_removed = True
            sent, self._sent = self._sent, []
            for message in sent:
                with suppress(*FAILURES):
                    await self._target.delete(message.id)

    async def _show(self, reply: Reply) -> None:
        self.row = reply.row or self.row
        if reply.private and self._private_target is not None:
            await self._move_to_private(self._private_target)
        if render.is_blank(reply) and self._sent and self._sent[0].rendered == THINKING:
            await self._store_ids()
            return
        has_begun = reply.text or reply.attachments or reply.final
        if has_begun and self._thread is not None and not self._thread.is_open:
            await self._move_to_thread(self._thread, reply.quote)
        reply = self._adapt(reply)
        if self._channel_target is not None and asyncio.get_running_loop().time() > self.token_end:
            await self._move_to_channel(self._channel_target, reply)
        else:
            try:
                await self._write_within_limits(reply)
            except TokenExpired:
                if self._channel_target is None:
                    raise PermissionLost(Sentence(TIME_OVER)) from None
                await self._move_to_channel(self._channel_target, reply)
        self.final = reply.final

    def _adapt(self, reply: Reply) -> Reply:
        """Leave out the question where it stands elsewhere, and add the notes of this view to the last snapshot."""
        if not self._shows_question:
            reply = replace(reply, quote="")
        if not reply.final:
            return reply
        status = reply.status
        if self._is_expired:
            can_repeat = any(button.action == "again" for button in reply.buttons)
            sentence = TIME_OVER_REPEATABLE if can_repeat else TIME_OVER
            status = translate(sentence, self.locale, again=translate("Again", self.locale))
        return replace(reply, status=" ".join(filter(None, (status, self._note))))

    async def _write_within_limits(self, reply: Reply) -> None:
        """Write the reply with as many messages and files as Discord takes, which only an attempt shows."""
        while True:
            max_file_bytes = self._target.max_file_bytes if self._takes_files else 0
            wanted = render.messages(
                reply, locale=self.locale, max_file_bytes=max_file_bytes, max_messages=self._max_messages
            )
            try:
                return await self._write(wanted)
            except FilesRefused as error:
                log.info("An answer is shown without its files: %s", error)
                self._takes_files, self._max_messages = False, UNLIMITED_MESSAGES
            except NoMoreMessages as error:
                if not self._sent:
                    raise PermissionLost(NO_MORE_MESSAGES) from None
                log.info("An answer is limited to %d messages: %s", len(self._sent), error)
                self._max_messages = len(self._sent)

    async def _write(self, wanted: Sequence[RenderedMessage]) -> None:
        """Edit the messages that differ, send those that are missing, and delete those that are too many."""
        for number, message in enumerate(wanted):
            if number == len(self._sent):
                self._sent.append(SentMessage(await self._target.post(message), message))
                continue
            sent = self._sent[number]
            if sent.rendered != message:
                files = sent.rendered is None or sent.rendered.files != message.files
                await self._target.edit(sent.id, message, files=files)
                sent.rendered = message
        surplus = self._sent[len(wanted) :]
        del self._sent[len(wanted) :]
        # Before the deletion, which would otherwise be taken for somebody's wish to end the answer.
        await self._store_ids()
        for sent in surplus:
            with suppress(MessageGone):
                await self._target.delete(sent.id)

    async def _store_ids(self) -> None:
        """Tell the core which messages show the answer, if they have changed."""
        current = self.row, self.ids
        if self.row and current != self._stored_ids:
            await self._bot.messages.set_external_ids(*current)
            self._stored_ids = current

    async def _move_to_channel(self, channel_target: MessageTarget, reply: Reply) -> None:
        """Edit the same messages without the token; where Discord refuses that, send new ones."""
        self._target, self._channel_target = channel_target, None
        self._private_target = self._private_target and self._direct_target
        self.token_end = math.inf
        try:
            await self._write_within_limits(reply)
        except (MessageGone, PermissionLost, discord.Forbidden, discord.NotFound):
            self._sent = []
            await self._write_within_limits(reply)

    async def _move_to_thread(self, thread: Thread, question: str) -> None:
        """Go on in a thread under the question; where it cannot be opened, stay, and say so."""
        if await thread.open(question):
            self._target, self._channel_target, self._sent = thread.target, None, []
            self.token_end = math.inf
        else:
            self._note = NOT_OPENED.in_language(self.locale)
            await self._cancel_thread()

    async def _cancel_thread(self) -> None:
        """Open no thread, and store that."""
        self._thread, self._shows_question = None, True
        await self._bot.messages.move_out_of_thread(self.row)

    async def _move_to_private(self, private_target: MessageTarget) -> None:
        """Delete what everybody can see, and go on where only the asker reads it."""
        public_target, self._target = self._target, private_target
        sent, self._sent = self._sent, []
        self._channel_target = None
        try:
            await self._store_ids()
        finally:
            # What nobody else should read has to go, whether the database knows it or not.
            for message in sent:
                with suppress(*FAILURES):
                    await public_target.delete(message.id)
        self._private_target = None
        if self._thread is not None and self._thread.is_open:
            await self._thread.delete_question()
        elif self._thread is not None:
            await self._cancel_thread()
