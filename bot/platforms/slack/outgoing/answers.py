"""Answers under way: each is a task that shows its replies, is owned here, and leaves a true message behind."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from bot.core.i18n import Sentence
from bot.core.latest import Stream
from bot.core.messages import Reply
from bot.platforms.answer_tasks import FAILED, AnswerTasks
from bot.platforms.slack.api.api import (
    ChannelClosed,
    MessageGone,
    NoFeature,
    NotInChannel,
    SlackError,
    TokenInvalid,
    is_file,
)
from bot.platforms.slack.api.budgets import ViewThrottle
from bot.platforms.slack.convert import commands
from bot.platforms.slack.convert.requests import PLATFORM, AnswerPlace, with_typed
from bot.platforms.slack.outgoing.private import EphemeralView, ResponseUrlView
from bot.platforms.slack.outgoing.thread_view import ThreadView

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from bot.app import Bot
    from bot.core.errors import UserError
    from bot.core.messages import Request
    from bot.platforms.slack.api.api import SlackApi
    from bot.platforms.slack.convert.requests import BotIdentity
    from bot.platforms.slack.outgoing.view import AnswerView
    from bot.storage.database import MessageRow

log = logging.getLogger(__name__)

SHUT_OUT = Sentence("I may not write where you asked any more, so your answer ends here.")


class SlackAnswers(AnswerTasks["AnswerView"]):
    """Shows the bot's replies on Slack. As a context manager, it is closed at the end."""

    refusals = (SlackError,)

    def __init__(self, bot: Bot, web: SlackApi, me: BotIdentity) -> None:
        super().__init__(bot, PLATFORM)
        self.web = web
        self.me = me

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _can_write(self) -> bool:
        return not self.web.worthless.is_set()

    def spelt(self, reply: Reply) -> Reply:
        """A reply with the commands that it names as people type them on Slack."""
        return commands.spelt(reply, self._names)

    def typed(self, text: str) -> str:
        """Words of the bot's own with the commands in them as people type them on Slack."""
        return commands.typed(text, self._names)

    @property
    def _names(self) -> list[str]:
        return [command.name for command in self.bot.commands]

    async def refuse(self, where: AnswerPlace, error: UserError, request: Request | None = None) -> None:
        """Tell the asker alone what was wrong, with what they typed into the form that `request` came from."""
        reply = Reply(text=error.sentence.in_language(where.locale), error=True, private=True, final=True)
        await self.follow(self.aside(where), Stream.of(reply if request is None else with_typed(reply, request)))

    def aside(self, where: AnswerPlace) -> EphemeralView:
        """The asker alone."""
        return EphemeralView(self.web, where)

    def hook(self, where: AnswerPlace) -> ResponseUrlView:
        """A channel that the bot is not in."""
        return ResponseUrlView(self.web, where, aside=self.aside(where), name=self.me.name)

    def room(self, where: AnswerPlace, shown: Sequence[str] = ()) -> ThreadView:
        """The thread of an answer."""
        instead = self.hook(where) if where.response_url else None
        aside = self.aside(where)
        return ThreadView(self.web, self.bot, where, self.me.team, aside=aside, instead=instead, shown=shown)

    def _throttle(self, view: AnswerView) -> ViewThrottle:
        return ViewThrottle(view.allowance)

    async def _show_once(self, view: AnswerView, reply: Reply) -> None:
        await view.show(self.spelt(reply))

    def _is_temporary(self, error: Exception) -> bool:
        lasting = (MessageGone, NotInChannel, ChannelClosed, TokenInvalid, NoFeature)
        return isinstance(error, SlackError) and not isinstance(error, lasting)

    async def _end_after(self, view: AnswerView, error: Exception) -> None:
        match error:
            case MessageGone():
                await self._bury(view, error)
            case TokenInvalid():
                log.debug("An answer ends, since the token is not valid any more")
            case NotInChannel() | ChannelClosed():
                log.info("An answer ends, as Slack refuses it: %s", error)
                await view.tell(SHUT_OUT)
            case SlackError():
                log.warning("An answer could not be shown: %s", error)
                await view.tell(FAILED)
            case _:
                log.exception("An answer could not be shown", exc_info=error)
                await view.tell(FAILED)

    async def _bury(self, view: AnswerView, error: SlackError) -> None:
        log.info("An answer ends, as its message was deleted: %s", error)
        if isinstance(view, ThreadView):
            await self.bot.removed(PLATFORM, view.ids)
        await view.remove()

    async def removed(self, channel: str, ts: str) -> None:
        """Somebody deleted a message: the answer that it showed goes."""
        await self.web.delete_all(channel, await self.bot.removed(PLATFORM, [ts]))

    async def _find_view(self, row: MessageRow) -> AnswerView:
        where = AnswerPlace(**row.resume)
        shown = await self.bot.shown(row.id)
        if row.private:
            return self.aside(where)
        if shown or where.thread:
            await self._stop_stream(where, shown)
            return self.room(where, shown)
        return self.hook(where)

    async def _stop_stream(self, where: AnswerPlace, shown: Sequence[str]) -> None:
        """End the stream that a process left open, if it did."""
        for ts in [one for one in shown if not is_file(one)][-1:]:
            with suppress(SlackError):
                await self.web.stop_stream(where.channel, ts)

    async def _show_stored(self, view: AnswerView, row: MessageRow) -> None:
        try:
            await view.show(self.spelt(await self.bot.snapshot(row, view.where.locale)))
        except MessageGone as error:
            await self._bury(view, error)
        except SlackError as error:
            log.warning("An interrupted answer still looks as if it went on: %s", error)
