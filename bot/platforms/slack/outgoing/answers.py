"""Shows answers on Slack: owns the task of each answer, and ends each answer in a message that is true."""

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
from bot.platforms.slack.api.api import is_file
from bot.platforms.slack.api.budgets import ViewThrottle
from bot.platforms.slack.api.errors import ChannelClosed, MessageGone, NoFeature, NotInChannel, SlackError, TokenInvalid
from bot.platforms.slack.convert import commands
from bot.platforms.slack.convert.requests import PLATFORM, AnswerPlace, keep_form_input
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
"""Pauses before the final snapshot is tried again while Slack cannot be reached."""
GOODBYE_SECONDS = 5.0
"""Seconds that shutdown waits for running answers to say that they were interrupted."""
FAILED = Sentence("Something went wrong inside the bot; its log says more.")
SHUT_OUT = Sentence("I may not write where you asked any more, so your answer ends here.")


class SlackAnswers:
    """Shows the bot's replies on Slack. As a context manager, it cancels what still runs, and the answers say so."""

    def __init__(self, bot: Bot, api: SlackApi, identity: BotIdentity) -> None:
        self.bot = bot
        self.api = api
        self.identity = identity
        self._tasks: set[asyncio.Task[None]] = set()
        self._views: set[AnswerView] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cut_short = [view for view in self._views if not view.final]
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not self.api.token_invalid.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await asyncio.gather(*map(self._show_interrupted, cut_short))

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` as a task that ends with this object at the latest. Errors are logged."""
        task = asyncio.create_task(self._logged(work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _logged(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except SlackError as error:
            log.warning("Slack refused a call: %s", error)
        except Exception:
            log.exception("An event from Slack could not be handled")

    def adapt_reply(self, reply: Reply) -> Reply:
        """Return the reply with its commands as people type them on Slack."""
        return commands.adapt_reply(reply, self._names)

    def adapt_text(self, text: str) -> str:
        """Return the text with its commands as people type them on Slack."""
        return commands.adapt_text(text, self._names)

    @property
    def _names(self) -> list[str]:
        return [command.name for command in self.bot.commands]

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

    async def follow(
        self, view: AnswerView, replies: Stream[Reply], change: Callable[[Reply], Reply] | None = None
    ) -> None:
        """Show `replies` to the end, each changed by `change`. Raises nothing but CancelledError."""
        self._views.add(view)
        try:
            async with aclosing(throttled(replies, ViewThrottle(view.snapshot_delay))) as newest:
                async for reply in newest:
                    await self._show(view, self.adapt_reply(reply if change is None else change(reply)))
        except MessageGone as error:
            await self._end_deleted(view, error)
        except TokenInvalid:
            log.debug("An answer ends, because the token is not valid any more")
        except (NotInChannel, ChannelClosed) as error:
            log.info("An answer ends, because Slack refuses it: %s", error)
            await view.notify_asker(SHUT_OUT)
        except SlackError as error:
            log.warning("An answer could not be shown: %s", error)
            await view.notify_asker(FAILED)
        except Exception:
            log.exception("An answer could not be shown")
            await view.notify_asker(FAILED)
        finally:
            self._views.discard(view)

    async def _show(self, view: AnswerView, reply: Reply) -> None:
        for pause in (*RETRY_SECONDS, math.inf):
            try:
                await view.show(reply)
            except (MessageGone, NotInChannel, ChannelClosed, TokenInvalid, NoFeature):
                raise
            except SlackError as error:
                if reply.final and pause == math.inf:
                    raise
                log.warning("A snapshot of an answer could not be shown: %s", error)
                if not reply.final:
                    return
                await asyncio.sleep(pause)
            else:
                return

    async def _end_deleted(self, view: AnswerView, error: SlackError) -> None:
        log.info("An answer ends, because its message was deleted: %s", error)
        if isinstance(view, ThreadView):
            await self.bot.delete_shown(PLATFORM, view.ids)
        await view.remove()

    async def delete_answer_of(self, channel: str, ts: str) -> None:
        """Delete the whole answer of a message that somebody deleted."""
        await self.api.delete_all(channel, await self.bot.delete_shown(PLATFORM, [ts]))

    async def _show_interrupted(self, view: AnswerView) -> None:
        row = await self.bot.messages.get(view.row) if view.row else None
        if row is not None:
            await self._show_once(view, row)

    async def restore(self) -> None:
        """Mark the answers that another process left unfinished as interrupted."""
        for row in await self.bot.mark_interrupted([PLATFORM]):
            place = AnswerPlace(**row.resume)
            shown = await self.bot.message_ids(row.id)
            if row.private:
                view: AnswerView = self.ephemeral_view(place)
            elif shown or place.thread:
                await self._close(place, shown)
                view = self.thread_view(place, shown)
            else:
                view = self.response_url_view(place)
            await self._show_once(view, row)

    async def _close(self, place: AnswerPlace, shown: Sequence[str]) -> None:
        """Close the stream that another process may have left open."""
        for ts in [external_id for external_id in shown if not is_file(external_id)][-1:]:
            with suppress(SlackError):
                await self.api.stop_stream(place.channel, ts)

    async def _show_once(self, view: AnswerView, row: MessageRow) -> None:
        try:
            await view.show(self.adapt_reply(await self.bot.snapshot(row, view.place.locale)))
        except MessageGone as error:
            await self._end_deleted(view, error)
        except SlackError as error:
            log.warning("An interrupted answer could not be marked as interrupted: %s", error)
