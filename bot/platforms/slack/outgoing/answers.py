"""Shows answers on Slack: owns the task of each answer, and ends each answer in a message that is true."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from bot.core.errors import DatabaseUnavailable
from bot.core.i18n import Sentence
from bot.core.latest import Stream
from bot.core.messages import Reply
from bot.platforms.answer_tasks import FAILED, AnswerTasks
from bot.platforms.slack.api.api import is_file
from bot.platforms.slack.api.budgets import ViewThrottle
from bot.platforms.slack.api.errors import (
    ChannelClosed,
    MessageGone,
    NoFeature,
    NotInChannel,
    SlackError,
    TokenInvalid,
    is_temporary,
)
from bot.platforms.slack.convert import commands
from bot.platforms.slack.convert.requests import AnswerPlace, keep_form_input
from bot.platforms.slack.outgoing.private import EphemeralView, ResponseUrlView
from bot.platforms.slack.outgoing.thread_view import ThreadView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.app import Bot
    from bot.core.errors import UserError
    from bot.core.messages import Request
    from bot.platforms.slack.api.api import SlackApi
    from bot.platforms.slack.convert.requests import BotIdentity
    from bot.platforms.slack.outgoing.view import AnswerView
    from bot.storage.database import MessageRow

log = logging.getLogger(__name__)

ENDS = (MessageGone, NotInChannel, ChannelClosed, TokenInvalid, NoFeature)
"""Refusals after which an answer cannot be shown any more."""
SHUT_OUT = Sentence("I may not write where you asked any more, so your answer ends here.")


class SlackAnswers(AnswerTasks["AnswerView"]):
    """Shows the bot's replies on Slack."""

    refusals = (SlackError,)

    def __init__(self, bot: Bot, api: SlackApi, identity: BotIdentity) -> None:
        super().__init__(bot, identity.platform)
        self.api = api
        self.identity = identity

    def _can_write(self) -> bool:
        return not self.api.token_invalid.is_set()

    def adapt_reply(self, reply: Reply) -> Reply:
        """Return the reply with its commands as people type them on Slack."""
        return commands.adapt_reply(reply, self._names)

    def adapt_text(self, text: str) -> str:
        """Return the text with its commands as people type them on Slack."""
        return commands.adapt_text(text, self._names)

    @property
    def _names(self) -> list[str]:
        return [command.name for command in self.bot.registry.commands]

    async def refuse(self, place: AnswerPlace, error: UserError, request: Request | None = None) -> None:
        """Show an error to the asker only, together with what they typed into the form of `request`."""
        reply = Reply(text=error.sentence.in_language(place.locale), error=True, private=True, final=True)
        await self.follow(
            self.ephemeral_view(place), Stream.of(reply if request is None else keep_form_input(reply, request))
        )

    def ephemeral_view(self, place: AnswerPlace) -> EphemeralView:
        """Return a view that only the asker sees."""
        return EphemeralView(self.api, place)

    def response_url_view(self, place: AnswerPlace) -> ResponseUrlView:
        """Return a view for a channel that the bot is not in."""
        return ResponseUrlView(self.api, place, ephemeral=self.ephemeral_view(place), name=self.identity.name)

    def thread_view(self, place: AnswerPlace, shown: Sequence[str] = ()) -> ThreadView:
        """Return a view in a thread; `shown` are the messages and files that show the answer already."""
        fallback = self.response_url_view(place) if place.response_url else None
        ephemeral = self.ephemeral_view(place)
        return ThreadView(
            self.api, self.bot, place, self.identity.team, ephemeral=ephemeral, fallback=fallback, shown=shown
        )

    def _throttle(self, view: AnswerView) -> ViewThrottle:
        return ViewThrottle(view.snapshot_delay)

    async def _show_once(self, view: AnswerView, reply: Reply) -> None:
        try:
            await view.show(self.adapt_reply(reply))
            if isinstance(view, ThreadView) and self._one_was_deleted(view.ids):
                raise MessageGone("message", "message_deleted")
        except SlackError as error:
            if reply.final or is_temporary(error) or isinstance(error, ENDS):
                raise
            # A later one may be shown in another way.
            log.warning("Slack did not take a snapshot: %s", error)

    def _is_temporary(self, error: Exception) -> bool:
        return is_temporary(error)

    async def _end_after(self, view: AnswerView, error: Exception) -> None:
        if isinstance(view, ThreadView) and not isinstance(error, TokenInvalid):
            await view.end_stream()
        match error:
            case MessageGone():
                await self._end_deleted(view, error)
            case TokenInvalid():
                log.debug("An answer ends, since the token is not valid any more")
            case NotInChannel() | ChannelClosed():
                log.info("An answer ends, as Slack refuses it: %s", error)
                await view.notify_asker(SHUT_OUT)
            case DatabaseUnavailable():
                await view.notify_asker(error.sentence)
            case SlackError():
                log.warning("An answer could not be shown: %s", error)
                await view.notify_asker(FAILED)
            case _:
                log.exception("An answer could not be shown", exc_info=error)
                await view.notify_asker(FAILED)

    async def _end_deleted(self, view: AnswerView, error: SlackError) -> None:
        log.info("An answer ends, as its message was deleted: %s", error)
        if isinstance(view, ThreadView):
            await self.bot.stored.delete_shown(self.identity.platform, view.ids)
        await view.remove()

    async def delete_answer_of(self, channel: str, ts: str) -> None:
        """Delete the whole answer of a message that somebody deleted."""
        self.note_deletion([ts])
        await self.api.delete_all(channel, await self.bot.stored.delete_shown(self.identity.platform, [ts]))

    async def _find_view(self, row: MessageRow) -> AnswerView:
        place = AnswerPlace.from_stored(row.resume)
        shown = await self.bot.messages.get_external_ids(row.id)
        if row.private:
            return self.ephemeral_view(place)
        if shown or place.thread:
            await self._stop_stream(place, shown)
            return self.thread_view(place, shown)
        return self.response_url_view(place)

    async def _stop_stream(self, place: AnswerPlace, shown: Sequence[str]) -> None:
        """End the stream that a process left open, if it did."""
        for ts in [external_id for external_id in shown if not is_file(external_id)][-1:]:
            with suppress(SlackError):
                await self.api.stop_stream(place.channel, ts)

    async def _show_stored(self, view: AnswerView, row: MessageRow) -> None:
        try:
            await view.show(self.adapt_reply(await self.bot.stored.snapshot(row, view.place.locale)))
        except MessageGone as error:
            await self._end_deleted(view, error)
        except SlackError as error:
            log.warning("An interrupted answer could not be marked as interrupted: %s", error)
