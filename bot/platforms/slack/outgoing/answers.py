"""Answers under way: each is a task that shows its replies, is owned here, and leaves a true message behind."""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Self

from bot.core.i18n import Sentence
from bot.core.latest import Stream
from bot.core.messages import Reply
from bot.core.throttle import throttled
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
    from collections.abc import Callable, Coroutine, Sequence
    from types import TracebackType

    from bot.app import Bot
    from bot.core.errors import UserError
    from bot.core.messages import Request
    from bot.platforms.slack.api.api import SlackApi
    from bot.platforms.slack.convert.requests import BotIdentity
    from bot.platforms.slack.outgoing.view import AnswerView
    from bot.storage.database import MessageRow

log = logging.getLogger(__name__)

RETRY_SECONDS = (2.0, 5.0, 15.0, 45.0)
"""When the last snapshot is tried again, while Slack cannot be reached."""
GOODBYE_SECONDS = 5.0
"""How long the end of the bot waits for the messages to say so."""
FAILED = Sentence("Something went wrong inside the bot; its log says more.")
SHUT_OUT = Sentence("I may not write where you asked any more, so your answer ends here.")


class SlackAnswers:
    """Shows the bot's replies on Slack. As a context manager, it ends what still runs, and says so in each."""

    def __init__(self, bot: Bot, web: SlackApi, me: BotIdentity) -> None:
        self.bot = bot
        self.web = web
        self.me = me
        self._tasks: set[asyncio.Task[None]] = set()
        self._outlets: set[AnswerView] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cut_short = [outlet for outlet in self._outlets if not outlet.final]
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not self.web.worthless.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await asyncio.gather(*map(self._take_leave, cut_short))

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do something that must not outlive this. What it raises is logged."""
        task = asyncio.create_task(self._logged(work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _logged(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except SlackError as error:
            log.warning("Slack refused something: %s", error)
        except Exception:
            log.exception("Something went wrong on Slack")

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

    async def follow(
        self, outlet: AnswerView, replies: Stream[Reply], change: Callable[[Reply], Reply] | None = None
    ) -> None:
        """Show `replies` to their end, each as `change` has it. Never raises, but for its cancellation."""
        self._outlets.add(outlet)
        try:
            async with aclosing(throttled(replies, ViewThrottle(outlet.allowance))) as newest:
                async for reply in newest:
                    await self._show(outlet, self.spelt(reply if change is None else change(reply)))
        except MessageGone as error:
            await self._bury(outlet, error)
        except TokenInvalid:
            log.debug("An answer ends, since the token is not valid any more")
        except (NotInChannel, ChannelClosed) as error:
            log.info("An answer ends, as Slack refuses it: %s", error)
            await outlet.tell(SHUT_OUT)
        except SlackError as error:
            log.warning("An answer could not be shown: %s", error)
            await outlet.tell(FAILED)
        except Exception:
            log.exception("An answer could not be shown")
            await outlet.tell(FAILED)
        finally:
            self._outlets.discard(outlet)

    async def _show(self, outlet: AnswerView, reply: Reply) -> None:
        for pause in (*RETRY_SECONDS, math.inf):
            try:
                await outlet.show(reply)
            except (MessageGone, NotInChannel, ChannelClosed, TokenInvalid, NoFeature):
                raise
            except SlackError as error:
                if reply.final and pause == math.inf:
                    raise
                log.warning("Slack did not take a message: %s", error)
                if not reply.final:
                    return
                await asyncio.sleep(pause)
            else:
                return

    async def _bury(self, outlet: AnswerView, error: SlackError) -> None:
        log.info("An answer ends, as its message was deleted: %s", error)
        if isinstance(outlet, ThreadView):
            await self.bot.delete_shown(PLATFORM, outlet.ids)
        await outlet.remove()

    async def removed(self, channel: str, ts: str) -> None:
        """Somebody deleted a message: the answer that it showed goes."""
        await self.web.delete_all(channel, await self.bot.delete_shown(PLATFORM, [ts]))

    async def _take_leave(self, outlet: AnswerView) -> None:
        row = await self.bot.messages.get(outlet.row) if outlet.row else None
        if row is not None:
            await self._show_once(outlet, row)

    async def restore(self) -> None:
        """Let the answers that another process left unfinished say so, with the buttons that still make sense."""
        for row in await self.bot.mark_interrupted([PLATFORM]):
            where = AnswerPlace(**row.resume)
            shown = await self.bot.message_ids(row.id)
            if row.private:
                outlet: AnswerView = self.aside(where)
            elif shown or where.thread:
                await self._close(where, shown)
                outlet = self.room(where, shown)
            else:
                outlet = self.hook(where)
            await self._show_once(outlet, row)

    async def _close(self, where: AnswerPlace, shown: Sequence[str]) -> None:
        """End the stream that a process left open, if it did."""
        for ts in [one for one in shown if not is_file(one)][-1:]:
            with suppress(SlackError):
                await self.web.stop_stream(where.channel, ts)

    async def _show_once(self, outlet: AnswerView, row: MessageRow) -> None:
        try:
            await outlet.show(self.spelt(await self.bot.snapshot(row, outlet.where.locale)))
        except MessageGone as error:
            await self._bury(outlet, error)
        except SlackError as error:
            log.warning("An interrupted answer still looks as if it went on: %s", error)
