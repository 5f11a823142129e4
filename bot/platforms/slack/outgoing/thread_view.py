"""Shows an answer in a thread that everybody can read: as a stream that grows, or as messages that are edited."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from bot.core.i18n import Sentence, translate
from bot.platforms.slack.api import budgets
from bot.platforms.slack.api.errors import (
    ChannelClosed,
    MessageGone,
    NotInChannel,
    SlackError,
    StreamEnded,
    TokenInvalid,
    Unreachable,
    refuses_content,
)
from bot.platforms.slack.api.message_format import (
    LIMITS,
    RenderedReply,
    SlackMessage,
    body_markdown,
    button_blocks,
    neutralise,
    picture_block,
    render,
    settled_prefix,
    small_print,
)
from bot.platforms.slack.outgoing.stream import Stream, fence_seam, find_break
from bot.platforms.slack.outgoing.thread_messages import SentMessage, ThreadMessages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.app import Bot
    from bot.core.messages import Attachment, Reply
    from bot.platforms.slack.api.api import SlackApi
    from bot.platforms.slack.convert.requests import AnswerPlace
    from bot.platforms.slack.outgoing.view import AnswerView

log = logging.getLogger(__name__)

SNAPSHOT_SECONDS = 1.0
"""Shortest time between two changes of an answer."""
STOP_OFFER_SECONDS = 5.0
"""Delay until the asker is offered Stop while a stream or a status is shown: these have no room for buttons."""
NOT_SHARED = "Slack did not take the file."


class ThreadView:
    """Shows one answer in a thread.

    `ephemeral` shows what turns out to be for the asker only, and `fallback` shows everything if the bot turns out
    not to be in the channel. `team` is the bot's workspace. `shown` are the ids of messages and files that show the
    answer already.
    """

    def __init__(
        self,
        api: SlackApi,
        bot: Bot,
        place: AnswerPlace,
        team: str,
        *,
        ephemeral: AnswerView,
        fallback: AnswerView | None = None,
        shown: Sequence[str] = (),
    ) -> None:
        self.row = 0
        self.final = False
        self.place = place
        self._api = api
        self._bot = bot
        self._team = team
        self._ephemeral = ephemeral
        self._fallback = fallback
        self._uses_fallback = False
        self._messages = ThreadMessages(api, bot, place, shown)
        self._stream: Stream | None = None
        self._may_stream = bool(place.thread) and not shown
        self._streamed = ""
        """The text that the streams of this answer show together."""
        self._may_be_repeated = False
        """True if Slack may have received the last piece twice."""
        self._reopening = ""
        """Opens a code fence again at the beginning of the next stream; "" for none."""
        self._status = ""
        self._may_set_status = True
        self._started_at = time.monotonic()
        self._has_offered_stop = False

    @property
    def ids(self) -> list[str]:
        """Ids of the messages that show the answer, in order, and of their files."""
        return self._messages.ids

    def snapshot_delay(self) -> float:
        """Return the seconds until a snapshot that is not final can be shown; 0 means now."""
        return max(0.0, self._messages.changed_at + SNAPSHOT_SECONDS - time.monotonic(), self._call_delay())

    def _call_delay(self) -> float:
        if self._stream is not None:
            return self._method_delay(budgets.APPEND)
        if self._streamed:
            return self._method_delay(budgets.START)
        edit_delay = self._messages.edit_delay()
        return min(self._method_delay(budgets.START), edit_delay) if self._can_stream else edit_delay

    def _method_delay(self, method: str) -> float:
        return self._api.budgets.method_budget(method).delay(final=False)

    @property
    def _has_status(self) -> bool:
        return self._may_set_status and budgets.STATUS not in self._api.missing_methods

    @property
    def _can_stream(self) -> bool:
        return self._may_stream and budgets.START not in self._api.missing_methods

    async def show(self, reply: Reply) -> None:
        """Make the messages look like `reply`. Raises SlackError."""
        self.row = self._messages.row = reply.row or self.row
        reply = reply if self.place.quoted else replace(reply, quote="")
        try:
            if self._uses_fallback and self._fallback is not None:
                await self._fallback.show(reply)
            else:
                await self._show(reply)
        except (NotInChannel, ChannelClosed) as error:
            await self._messages.previews.delete_files()
            is_too_late = self._uses_fallback or bool(self._messages.sent)
            if isinstance(error, ChannelClosed) or self._fallback is None or is_too_late:
                raise
            self._uses_fallback = True
            await self._fallback.show(reply)
        self.final = reply.final

    async def _show(self, reply: Reply) -> None:
        if reply.deleted:
            await self.remove()
        elif reply.private and not self.place.is_direct:
            if reply.final:
                await self._show_privately(reply)
        elif reply.final:
            await self._finish(render(reply, locale=self.place.locale))
        else:
            await self._show_growing(replace(reply, attachments=()), reply.attachments)

    async def _show_growing(self, reply: Reply, pictures: Sequence[Attachment]) -> None:
        if any(button.command for button in reply.buttons):
            await self._show_board(reply, pictures)
        elif reply.text.strip():
            await self._grow(reply)
        elif not (pictures and await self._show_preview(reply, pictures[-1])):
            await self._show_status(reply)
        if self._stream is not None or not self._messages.sent:
            await self._offer_stop(reply)

    async def _show_board(self, reply: Reply, pictures: Sequence[Attachment]) -> None:
        """Show a reply that people act on while it is made: one message with the picture, the words and the buttons."""
        if pictures and await self._show_preview(reply, pictures[-1]):
            return
        [words, *_] = render(reply, locale=self.place.locale).messages
        shown = self._messages.sent[0].message if self._messages.sent else None
        pictured = [] if shown is None else [block for block in shown.blocks if block["type"] == "image"]
        if not self._messages.edit_delay():
            await self._messages.write([replace(words, blocks=(*pictured, *words.blocks))])

    async def notify_asker(self, sentence: Sentence) -> None:
        """Send a sentence to the asker only; a failure is logged."""
        await self._ephemeral.notify_asker(sentence)

    # Snapshots before the final one

    async def _show_status(self, reply: Reply) -> None:
        """Show the status under the thread; in a message where Slack has no status."""
        if not reply.status or reply.status == self._status:
            return
        if self.place.thread and self._has_status:
            await self._set_status(reply.status)
        needs_message = not self._has_status and not self._messages.previews.files
        if needs_message and not self._messages.edit_delay():
            await self._write_rendered(reply)

    async def _write_rendered(self, reply: Reply) -> None:
        await self._messages.write(render(reply, locale=self.place.locale).messages)

    async def _show_preview(self, reply: Reply, newest: Attachment) -> bool:
        """Show a preview of a picture with its step below it; return whether that was done.

        It is a new message, because in an edited one people do not see a file that is new to them.
        """
        previews = self._messages.previews
        if not previews.is_due(newest) or not (file := await previews.upload(newest)):
            return False
        await self._messages.store_ids()
        [status, *_] = render(reply, locale=self.place.locale).messages
        message = replace(status, blocks=(picture_block(file, newest.alt), *status.blocks))
        if await previews.is_showable(file):
            try:
                sent = await self._messages.post(message)
            except (NotInChannel, MessageGone, ChannelClosed, TokenInvalid):
                raise
            except SlackError as error:
                previews.disable(error)
            else:
                await self._messages.replace_all([sent])
                return True
        # The same picture may be all that ever comes.
        previews.forget_last()
        await self._messages.delete()
        return False

    async def _set_status(self, text: str) -> None:
        if self._method_delay(budgets.STATUS):
            return
        try:
            await self._api.set_status(self.place.channel, self.place.thread, text)
        except TokenInvalid:
            raise
        except SlackError as error:
            log.debug("No status is shown: %s", error)
            self._may_set_status = not refuses_content(error)
        else:
            self._status = text
            self._messages.mark_changed()

    async def _grow(self, reply: Reply) -> None:
        body = neutralise(settled_prefix(body_markdown(reply)))
        if self._stream is not None:
            await self._append(self._stream, body)
        elif self._streamed:
            if body.startswith(self._streamed) and not self._method_delay(budgets.START):
                await self._open_stream(body[len(self._streamed) :])
        elif self._can_stream and not self._method_delay(budgets.START):
            if body.strip() and not await self._open_stream(body):
                await self._write_rendered(reply)
        elif not self._messages.edit_delay():
            self._may_stream = False
            await self._write_rendered(reply)

    async def _open_stream(self, piece: str) -> bool:
        """Open a stream, the first or the next one; return False if Slack refuses it."""
        if not piece.strip():
            return True
        piece = piece[: find_break(piece, LIMITS.characters - len(self._reopening))]
        try:
            team = self.place.team or self._team
            self._stream = await Stream.open(self._api, self.place, team, self._reopening + piece)
        except (NotInChannel, MessageGone, ChannelClosed, TokenInvalid, Unreachable):
            raise
        except SlackError as error:
            log.info("An answer does not stream: %s", error)
            self._may_stream = False
            return False
        # The first stream takes the place of a message that showed the status.
        earlier = self._messages.sent if self._streamed else []
        self._streamed += piece
        await self._messages.replace_all([*earlier, SentMessage(self._stream.ts)])
        return True

    async def _append(self, stream: Stream, body: str) -> None:
        if not body.startswith(self._streamed):
            # A stream cannot take back what it shows; the final snapshot edits the message.
            return
        piece = body[len(self._streamed) :]
        try:
            if stream.is_old or len(piece) > stream.remaining:
                await self._continue_in_next(stream, piece)
            elif piece:
                await stream.append(piece)
                self._streamed += piece
                self._messages.mark_changed()
        except StreamEnded as error:
            self._stream = None
            log.info("Slack ended a stream: %s", error)
            if error.code == "stopped_by_user":
                self._bot.runs.stop(self.row)
        except Unreachable:
            # Slack may have received the piece, which then appears twice until the final snapshot edits the message.
            self._may_be_repeated = True
            raise

    async def _continue_in_next(self, stream: Stream, piece: str) -> None:
        """Close a stream that is old or full, and open the next one."""
        end = find_break(piece, stream.remaining)
        closing, reopening = fence_seam(self._streamed + piece[:end])
        await stream.close(piece[:end] + closing)
        self._stream, self._reopening = None, reopening
        self._streamed += piece[:end]
        if not self._method_delay(budgets.START):
            await self._open_stream(piece[end:])

    async def _offer_stop(self, reply: Reply) -> None:
        if self._has_offered_stop or time.monotonic() - self._started_at < STOP_OFFER_SECONDS:
            return
        if self._method_delay(budgets.POST_EPHEMERAL):
            # The answer itself must not wait for the offer.
            return
        self._has_offered_stop = True
        text = translate("This takes a while. You can stop it here.", self.place.locale)
        with suppress(SlackError):
            offer = SlackMessage(blocks=(*small_print([text]), *button_blocks(reply.buttons)), fallback=text)
            # Ephemeral messages are invisible in a thread without other messages.
            thread = self.place.thread if self._messages.sent else self.place.ephemeral_thread
            await self._api.post_ephemeral(self.place.channel, self.place.user, offer, thread)

    # The final snapshot

    async def _finish(self, rendered: RenderedReply) -> None:
        if self._stream is not None:
            await self._close_stream(self._stream, rendered)
        if not rendered.files:
            await self._messages.write(rendered.messages)
            return
        tail = rendered.tail
        if not self._messages.files:
            if rendered.messages:
                await self._messages.write(rendered.messages)
            if not await self._share_files(rendered.files):
                note = small_print([translate(NOT_SHARED, self.place.locale)])
                tail = SlackMessage(blocks=(*note, *(tail.blocks if tail else ())), fallback=NOT_SHARED)
            # A message with the status or the last preview would stand above the files.
            await self._messages.write(rendered.messages)
        await self._messages.write([*rendered.messages, *([tail] if tail else [])])

    async def _share_files(self, attachments: Sequence[Attachment]) -> bool:
        """Share the files of the answer in the thread; return whether Slack took them."""
        try:
            files = await self._api.share_files(self.place.channel, attachments, self.place.thread)
            self._messages.files = files
            files[:0] = await self._api.find_share(self.place.channel, files[0])
        except (NotInChannel, TokenInvalid):
            raise
        except SlackError as error:
            log.warning("A file could not be shared: %s", error)
            return False
        return True

    async def _close_stream(self, stream: Stream, rendered: RenderedReply) -> None:
        """Close the stream, if possible with the rest and the buttons, so that no edit is needed."""
        first = rendered.messages[0] if rendered.messages else SlackMessage()
        is_single = len(rendered.messages) == len(self._messages.sent) == 1
        is_continued = is_single and not self._may_be_repeated and first.markdown.startswith(self._streamed)
        with suppress(StreamEnded, MessageGone):
            if not (is_continued and await self._close_with_end(stream, first)):
                await stream.close()
        self._stream = None

    async def _close_with_end(self, stream: Stream, message: SlackMessage) -> bool:
        """Close the stream so that it is `message`; return False if Slack refuses what is in that."""
        try:
            await stream.close(message.markdown[len(self._streamed) :], message.blocks)
        except SlackError as error:
            if not refuses_content(error):
                raise
            log.warning("A stream does not take its end, which is added by an edit: %s", error)
            return False
        self._messages.sent[0].message = message
        return True

    # Removal

    async def _show_privately(self, reply: Reply) -> None:
        """Delete what everybody can see, the bot's message with the question too; show the rest to the asker only."""
        try:
            await self.remove()
        finally:
            if self.place.question:
                with suppress(SlackError):
                    await self._api.delete(self.place.channel, self.place.question)
        await self._ephemeral.show(reply)

    async def end_stream(self) -> None:
        """Close the stream that is open, if there is one and Slack lets it."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(SlackError):
                await stream.close()

    async def remove(self) -> None:
        """Delete all messages and files; failures are logged."""
        await self.end_stream()
        ids = await self._messages.delete_all()
        if self._status and not ids:
            with suppress(SlackError):
                await self._api.set_status(self.place.channel, self.place.thread, "")
