"""Where an answer that all may read is shown: messages in a thread, which grow as streams or are edited."""

from __future__ import annotations

import logging
import math
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bot.core.i18n import Sentence, translate
from bot.platforms.slack.api import budgets
from bot.platforms.slack.api.api import (
    ChannelClosed,
    MessageGone,
    NotInChannel,
    SlackError,
    StreamEnded,
    TokenInvalid,
    Unreachable,
    is_file,
)
from bot.platforms.slack.api.message_format import (
    LIMITS,
    Rendered,
    SlackMessage,
    body_of,
    buttons,
    neutral,
    picture,
    rendered,
    settled,
    small_print,
)
from bot.platforms.slack.outgoing.previews import Previews
from bot.platforms.slack.outgoing.stream import Stream, break_at, seam

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.app import Bot
    from bot.core.messages import Attachment, Reply
    from bot.platforms.slack.api.api import SlackApi
    from bot.platforms.slack.convert.requests import AnswerPlace
    from bot.platforms.slack.outgoing.view import AnswerView

log = logging.getLogger(__name__)

PACE_SECONDS = 1.0
"""An answer changes no more often than this."""
STOP_SECONDS = 5.0
"""After how long the asker is given a Stop, where there is a stream or a status: neither has room for buttons."""
NOT_SHARED = "Slack did not take the file."


@dataclass(slots=True)
class SentMessage:
    """A message that was written, and how it looks; None if nobody knows exactly."""

    ts: str
    message: SlackMessage | None = None


class ThreadView:
    """The messages of one answer in a thread.

    `aside` is for what turns out to be for the asker alone, and `instead` shows everything where it turns out that
    the bot is not in the channel. `shown` are messages that are there already, and the files in them.
    """

    def __init__(
        self,
        web: SlackApi,
        bot: Bot,
        where: AnswerPlace,
        team: str,
        *,
        aside: AnswerView,
        instead: AnswerView | None = None,
        shown: Sequence[str] = (),
    ) -> None:
        self.row = 0
        self.final = False
        self.where = where
        self._web = web
        self._bot = bot
        self._team = team
        self._aside = aside
        self._instead = instead
        self._is_elsewhere = False
        self._shown = [SentMessage(ts) for ts in shown if not is_file(ts)]
        self._leaving: list[str] = []
        self._files: list[str] = []
        self._previews = Previews(web, where.channel, filter(is_file, shown))
        self._stream: Stream | None = None
        self._streamed = ""
        self._is_unsure = False
        self._opening = ""
        self._may_stream = bool(where.thread) and not shown
        self._status = ""
        self._begun = time.monotonic()
        self._written = -math.inf
        self._offered = False
        self._told: list[str] = []

    @property
    def ids(self) -> list[str]:
        """The messages that show the answer, in order, and their files."""
        return [*(shown.ts for shown in self._shown), *self._previews.files, *self._files]

    def allowance(self) -> float:
        """Seconds until a snapshot that is not the last can be shown; 0 for at once."""
        return max(0.0, self._written + PACE_SECONDS - time.monotonic(), self._delay())

    def _delay(self) -> float:
        if self._stream is not None:
            return self._web.budgets.of(budgets.APPEND).delay(final=False)
        if self._streamed:
            return self._start_delay()
        return min(self._start_delay(), self._edit_delay()) if self._can_stream else self._edit_delay()

    @property
    def _can_stream(self) -> bool:
        return self._may_stream and budgets.START not in self._web.missing

    def _start_delay(self) -> float:
        return self._web.budgets.of(budgets.START).delay(final=False)

    def _edit_delay(self) -> float:
        edit = self._web.budgets.of(budgets.UPDATE).delay(final=False)
        return edit if self._shown else max(edit, self._web.budgets.turns(self.where.channel).delay())

    async def show(self, reply: Reply) -> None:
        """Make the messages look like `reply`. Raises SlackError where they cannot."""
        self.row = reply.row or self.row
        reply = reply if self.where.quoted else replace(reply, quote="")
        try:
            if self._is_elsewhere and self._instead is not None:
                await self._instead.show(reply)
            else:
                await self._show(reply)
        except (NotInChannel, ChannelClosed) as error:
            await self._previews.drop()
            if isinstance(error, ChannelClosed) or self._instead is None or self._is_elsewhere or self._shown:
                raise
            self._is_elsewhere = True
            await self._instead.show(reply)
        self.final = reply.final

    async def _show(self, reply: Reply) -> None:
        if reply.deleted:
            await self.remove()
        elif reply.private and not self.where.is_direct:
            if reply.final:
                await self._step_aside(reply)
        elif reply.final:
            await self._finish(rendered(reply, locale=self.where.locale))
        else:
            await self._show_growing(replace(reply, attachments=()), reply.attachments)

    async def _show_growing(self, reply: Reply, pictures: Sequence[Attachment]) -> None:
        if reply.text.strip():
            await self._grow(reply)
        elif not (pictures and await self._preview(reply, pictures[-1])):
            await self._say_status(reply)
        if self._stream is not None or not self._shown:
            await self._offer_stop(reply)

    async def tell(self, sentence: Sentence) -> None:
        """Say something to the asker alone; what keeps it from being heard is logged."""
        await self._aside.tell(sentence)

    # While it grows

    async def _say_status(self, reply: Reply) -> None:
        """Slack shows under a thread what a bot does there; where it cannot, a message does."""
        if not reply.status or reply.status == self._status:
            return
        if self.where.thread and budgets.STATUS not in self._web.missing:
            await self._set_status(reply.status)
        if budgets.STATUS in self._web.missing and not self._previews.files and not self._edit_delay():
            await self._make(rendered(reply, locale=self.where.locale).messages)

    async def _preview(self, reply: Reply, newest: Attachment) -> bool:
        """Show a picture that takes shape, with its step below it; whether that was done.

        It is a message of its own, since in one that is edited people are not shown a file that they did not see yet.
        """
        if not self._previews.are_due(newest) or not (file := await self._previews.bring(newest)):
            return False
        await self._note_ids()
        before = self._shown
        [told, *_] = rendered(reply, locale=self.where.locale).messages
        message = replace(told, below=(picture(file, newest.alt), *told.below))
        if await self._previews.can_stand(file):
            try:
                ts = await self._web.post(self.where.channel, message, self.where.thread)
            except (NotInChannel, MessageGone, ChannelClosed, TokenInvalid):
                raise
            except SlackError as error:
                self._previews.refused(error)
            else:
                self._shown = [SentMessage(ts, message)]
                self._written = time.monotonic()
        is_new = self._shown is not before
        await self._withdraw(before if is_new else ())
        return is_new

    async def _set_status(self, text: str) -> None:
        if self._web.budgets.of(budgets.STATUS).delay(final=False):
            return
        try:
            await self._web.status(self.where.channel, self.where.thread, text)
        except TokenInvalid:
            raise
        except SlackError as error:
            log.debug("No status is shown: %s", error)
        else:
            self._status = text
            self._written = time.monotonic()

    async def _grow(self, reply: Reply) -> None:
        body = neutral(settled(body_of(reply)))
        if self._stream is not None:
            await self._append(self._stream, body)
        elif self._streamed:
            if body.startswith(self._streamed) and not self._start_delay():
                await self._begin(body[len(self._streamed) :])
        elif self._can_stream and not self._start_delay():
            if body.strip() and not await self._begin(body):
                await self._make(rendered(reply, locale=self.where.locale).messages)
        elif not self._edit_delay():
            self._may_stream = False
            await self._make(rendered(reply, locale=self.where.locale).messages)

    async def _begin(self, piece: str) -> bool:
        """Begin a stream, or the next one; False where none can be had."""
        if not piece.strip():
            return True
        piece = piece[: break_at(piece, LIMITS.characters - len(self._opening))]
        try:
            self._stream = await Stream.begin(self._web, self.where, self._team, self._opening + piece)
        except (NotInChannel, MessageGone, ChannelClosed, TokenInvalid, Unreachable):
            raise
        except SlackError as error:
            log.info("An answer does not stream: %s", error)
            self._may_stream = False
            return False
        # A message that told the status has done its work.
        told = [] if self._streamed else self._shown
        self._shown = [*(self._shown if self._streamed else ()), SentMessage(self._stream.ts)]
        self._streamed += piece
        self._written = time.monotonic()
        await self._withdraw(told)
        return True

    async def _append(self, stream: Stream, body: str) -> None:
        if not body.startswith(self._streamed):
            # What was said differently cannot be taken back in a stream; the last snapshot edits it all.
            return
        piece = body[len(self._streamed) :]
        try:
            if stream.is_old or len(piece) > stream.room:
                await self._roll_over(stream, piece)
            elif piece:
                await stream.grow(piece)
                self._streamed += piece
                self._written = time.monotonic()
        except StreamEnded as error:
            self._stream = None
            log.info("Slack ended a stream: %s", error)
            if error.code == "stopped_by_user":
                self._bot.stop(self.row)
        except Unreachable:
            # Slack may have taken the piece, which then comes twice until the last snapshot edits it all.
            self._is_unsure = True
            raise

    async def _roll_over(self, stream: Stream, piece: str) -> None:
        """End a stream that is old or full, and go on in the next."""
        end = break_at(piece, stream.room)
        closing, opening = seam(self._streamed + piece[:end])
        await stream.end(piece[:end] + closing)
        self._stream, self._opening = None, opening
        self._streamed += piece[:end]
        if not self._start_delay():
            await self._begin(piece[end:])

    async def _offer_stop(self, reply: Reply) -> None:
        if self._offered or time.monotonic() - self._begun < STOP_SECONDS:
            return
        if self._web.budgets.of(budgets.WHISPER).delay(final=False):
            # The answer itself must not wait for this.
            return
        self._offered = True
        text = translate("This takes a while. You can stop it here.", self.where.locale)
        with suppress(SlackError):
            offer = SlackMessage(below=(*small_print([text]), *buttons(reply.buttons)), fallback=text)
            # In a thread where nothing was said yet, nobody would see it.
            thread = self.where.thread if self._shown else self.where.aside
            await self._web.whisper(self.where.channel, self.where.user, offer, thread)

    # The last snapshot

    async def _finish(self, shown: Rendered) -> None:
        if self._stream is not None:
            await self._end_stream(self._stream, shown)
        if not shown.files:
            await self._make(shown.messages)
            return
        tail = shown.tail
        if not self._files:
            if shown.messages:
                await self._make(shown.messages)
            try:
                self._files = await self._web.share(self.where.channel, shown.files, self.where.thread)
                self._files[:0] = await self._web.shared(self.where.channel, self._files[0])
            except (NotInChannel, TokenInvalid):
                raise
            except SlackError as error:
                log.warning("A file could not be shared: %s", error)
                said = small_print([translate(NOT_SHARED, self.where.locale)])
                tail = SlackMessage(below=(*said, *(tail.below if tail else ())), fallback=NOT_SHARED)
            # What told the status, or the last preview, would stand above the files.
            await self._make(shown.messages)
        await self._make([*shown.messages, *([tail] if tail else [])])

    async def _end_stream(self, stream: Stream, shown: Rendered) -> None:
        """Close the stream, if need be with the rest and the buttons, so that no edit is needed."""
        first = shown.messages[0] if shown.messages else SlackMessage()
        is_one = len(shown.messages) == len(self._shown) == 1
        exact = is_one and not self._is_unsure and first.markdown.startswith(self._streamed)
        with suppress(StreamEnded, MessageGone):
            if exact:
                await stream.end(first.markdown[len(self._streamed) :], first.below)
                self._shown[0].message = first
            else:
                await stream.end()
        self._stream = None

    async def _make(self, wanted: Sequence[SlackMessage]) -> None:
        """Make the messages look like these: edit, post and delete."""
        for number, message in enumerate(wanted):
            if number == len(self._shown):
                # Delete, under the last of them, has to find those above it.
                await self._note_ids()
                ts = await self._web.post(self.where.channel, message, self.where.thread)
                self._shown.append(SentMessage(ts, message))
                continue
            shown = self._shown[number]
            if shown.message != message:
                await self._web.update(self.where.channel, shown.ts, message)
                shown.message = message
        self._written = time.monotonic()
        surplus = self._shown[len(wanted) :]
        del self._shown[len(wanted) :]
        await self._withdraw(surplus)

    async def _withdraw(self, messages: Sequence[SentMessage]) -> None:
        """Delete messages that do not show the answer any more, and pictures that none shows."""
        # What cannot be deleted now is tried again with the next change.
        self._leaving += [shown.ts for shown in messages]
        # Before they are deleted, so that this is not taken for somebody else's doing.
        await self._note_ids()
        while self._leaving:
            with suppress(MessageGone):
                await self._web.delete(self.where.channel, self._leaving[0])
            del self._leaving[0]
        await self._previews.drop(but=[one for shown in self._shown if shown.message for one in shown.message.pictures])

    async def _note_ids(self) -> None:
        """Let the core know which messages show the answer."""
        ids = self.ids
        if self.row and ids != self._told:
            await self._bot.record_delivery(self.row, ids)
            self._told = ids

    # Its end elsewhere

    async def _step_aside(self, reply: Reply) -> None:
        """Take away what all can see, the question too if the bot has posted it; the asker alone reads the rest."""
        await self.remove()
        if self.where.question:
            with suppress(SlackError):
                await self._web.delete(self.where.channel, self.where.question)
        await self._aside.show(reply)

    async def remove(self) -> None:
        """Delete all messages and files; what is gone already is none to worry about."""
        stream, self._stream = self._stream, None
        ids, self._shown, self._files = [*self._leaving, *self.ids], [], []
        self._leaving, self._previews.files = [], []
        await self._note_ids()
        if stream is not None:
            with suppress(SlackError):
                await stream.end()
        await self._web.delete_all(self.where.channel, ids)
        if self._status and not ids:
            with suppress(SlackError):
                await self._web.status(self.where.channel, self.where.thread, "")
