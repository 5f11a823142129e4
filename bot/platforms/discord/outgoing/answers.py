"""Answers under way: each is a task that shows its replies, is owned here, and leaves a true message behind."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from contextlib import AsyncExitStack, aclosing, suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import aiohttp
import discord

from bot.core.errors import BotError
from bot.core.i18n import Sentence
from bot.core.throttle import Throttle, throttled
from bot.platforms.discord.convert.requests import PLATFORM
from bot.platforms.discord.outgoing.answer_view import AnswerView, SentMessage
from bot.platforms.discord.outgoing.targets import (
    FAILURES,
    SMALL,
    ChannelTarget,
    DirectTarget,
    InteractionTarget,
    MessageGone,
    PermissionLost,
)
from bot.platforms.discord.outgoing.thread import withdraw

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from bot.app import Bot
    from bot.core.latest import Stream
    from bot.core.messages import Reply, Request
    from bot.storage.database import MessageRow

log = logging.getLogger(__name__)

PACE_SECONDS = 1.0
TOKEN_SECONDS = 14 * 60.0
"""How long an interaction is written to with its token, which lives a minute longer."""
RETRY_SECONDS = (2.0, 5.0, 15.0, 45.0)
"""When the last snapshot is tried again, while Discord cannot be reached."""
SETTLE_SECONDS = 1.0
"""How long the end of the bot waits for what is nearly done, such as a deletion."""
GOODBYE_SECONDS = 5.0
"""How long the end of the bot waits for the messages to say so."""
FAILED = "Something went wrong inside the bot; its log says more."


class DiscordAnswers:
    """Shows the bot's replies on Discord. Close it before the client that it writes with."""

    def __init__(self, bot: Bot, client: discord.Client, token_seconds: float = TOKEN_SECONDS) -> None:
        self.bot = bot
        self.token_seconds = token_seconds
        self._client = client
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._outlets: dict[AnswerView, asyncio.Task[None] | None] = {}
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def close(self) -> None:
        """End what still runs, and say so in each message."""
        self._closing = True
        if brief := self._tasks.difference(filter(None, self._outlets.values())):
            await asyncio.wait(brief, timeout=SETTLE_SECONDS)
        tasks, outlets = tuple(self._tasks), tuple(self._outlets)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await asyncio.gather(*(self._take_leave(outlet) for outlet in outlets if not outlet.final))

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do something that must not outlive this. What it raises is logged."""
        if self._closing:
            work.close()
            return
        task = asyncio.create_task(self._logged(work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _logged(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (BotError, discord.HTTPException) as error:
            log.warning("Discord refused something: %s", error)
        except Exception:
            log.exception("Something went wrong on Discord")

    def direct(self, user: int) -> DirectTarget:
        """The direct messages with a user."""
        return DirectTarget(self._client, user)

    def room(self, channel: int, guild: int | None, *, reply_to: int = 0) -> ChannelTarget:
        """A channel, thread or direct message, whether discord.py knows it or not."""
        known = None if guild is None else self._client.get_guild(guild)
        most = SMALL if known is None else known.filesize_limit
        turn = self._turns.setdefault(channel, asyncio.Lock())
        place = self._client.get_partial_messageable(channel, guild_id=guild)
        return ChannelTarget(place, bytes_each=most, reply_to=reply_to, turn=turn)

    async def follow(
        self, outlet: AnswerView, replies: Stream[Reply], change: Callable[[Reply], Reply] | None = None
    ) -> None:
        """Show `replies` to their end, each as `change` has it. Never raises, but for its cancellation."""
        self._outlets[outlet] = asyncio.current_task()
        async with AsyncExitStack() as ending:
            ending.callback(self._outlets.pop, outlet)
            if outlet.must_end:
                ending.callback(asyncio.get_running_loop().call_at(outlet.token_ends, outlet.expire).cancel)
            try:
                pacer = Throttle(PACE_SECONDS)
                async with aclosing(throttled(replies, pacer)) as newest:
                    async for reply in newest:
                        await self._show(outlet, reply if change is None else change(reply))
                        # Counted from here: what waited for Discord's own limits must not be edited again at once.
                        pacer.record_snapshot()
            except MessageGone:
                await self._bury(outlet)
            except PermissionLost as lost:
                await outlet.give_up(lost.sentence)
            except Exception:
                log.exception("An answer could not be shown")
                await outlet.give_up(Sentence(FAILED))

    async def _show(self, outlet: AnswerView, reply: Reply) -> None:
        for pause in (*RETRY_SECONDS, math.inf):
            try:
                await _unbroken(outlet.show(reply))
            except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
                if not _passes(error) or (reply.final and pause == math.inf):
                    raise
                log.warning("Discord did not take an edit: %s", error)
                if not reply.final:
                    return
                await asyncio.sleep(pause)
            else:
                return

    async def _bury(self, outlet: AnswerView) -> None:
        log.info("An answer ends, as its message was deleted.")
        await self.bot.removed(PLATFORM, outlet.ids)
        await outlet.remove()

    async def removed(self, channel: int, messages: Sequence[int]) -> None:
        """Somebody deleted messages: the answers that they showed go."""
        gone = set(map(str, messages))
        showing = [outlet for outlet in self._outlets if gone & set(outlet.ids)]
        left = await self.bot.removed(PLATFORM, sorted(gone))
        if showing:
            await self.delete(channel, (), showing)
            # What was just being written is noted by now.
            left += await self.bot.removed(PLATFORM, sorted(gone))
        await self.delete(channel, left)

    async def delete(self, channel: int, messages: Sequence[str], outlets: Iterable[AnswerView] = ()) -> None:
        """Delete messages of the bot in a channel, and what is just being shown; what cannot be reached stays."""
        for outlet in outlets:
            await outlet.remove()
        for message in messages:
            with suppress(*FAILURES):
                await self.room(channel, None).delete(int(message))

    async def take_back(self, row: MessageRow, messages: Sequence[str]) -> bool:
        """Delete messages of an answer with the token that it was written with; False if one stays."""
        if (hook := self._hook(row)) is None:
            return False
        for message in messages:
            try:
                await hook.delete(int(message))
            except MessageGone:
                continue
            except FAILURES as error:
                log.info("A message stays on Discord: %s", error)
                return False
        return True

    def _hook(self, row: MessageRow) -> InteractionTarget | None:
        """What writes with the token of an answer, as long as that lives."""
        token = row.resume.get("token")
        if not token or time.time() > row.resume["until"] or self._client.application_id is None:
            return None
        webhook = discord.Webhook.partial(self._client.application_id, token, client=self._client)
        # What tells discord.py that its messages may be private.
        webhook.type = discord.WebhookType.application
        return InteractionTarget(webhook, bytes_each=SMALL, private=row.private)

    async def withdraw(self, channel: str, thread: str, question: str) -> bool:
        """Take back a question that is no longer stored, if the thread was opened under it; False if it stays."""
        return not thread or question != thread or await withdraw(self._client, int(channel), int(thread))

    def showing(self, row: int) -> list[AnswerView]:
        """Where an answer is being shown at this moment."""
        return [outlet for outlet in self._outlets if outlet.row == row]

    async def _take_leave(self, outlet: AnswerView) -> None:
        row = await self.bot.messages.get(outlet.row) if outlet.row else None
        if row is not None:
            await self._show_once(outlet, row)

    async def restore(self) -> None:
        """Let the answers that another process left unfinished say so, with the buttons that still make sense."""
        for row in await self.bot.interrupted([PLATFORM]):
            if outlet := await self._found_again(row):
                await self._show_once(outlet, row)

    async def _show_once(self, outlet: AnswerView, row: MessageRow) -> None:
        try:
            await outlet.show(await self.bot.snapshot(row, outlet.locale))
        except FAILURES as error:
            log.warning("An interrupted answer still looks as if it went on: %s", error)

    async def _found_again(self, row: MessageRow) -> AnswerView | None:
        """Where an answer of another process is shown, if that can still be reached."""
        resume = row.resume
        shown = await self.bot.shown(row.id) or list(filter(None, [resume.get("message")]))
        if (parent := resume.get("parent")) and (not row.thread or resume["channel"] in shown):
            # No thread was opened: it would have the number of the message that shows the answer.
            await self.bot.messages.move_out_of_thread(row.id)
            resume = resume | {"channel": parent, "quoted": True}
        common: dict[str, Any] = {
            "direct": self.direct(int(row.author)),
            "locale": resume["locale"],
            "quoted": resume["quoted"],
            "shown": [SentMessage(int(message)) for message in shown],
        }
        if resume.get("token"):
            hook = self._hook(row)
            return AnswerView(self.bot, hook, **common) if hook is not None and shown else None
        guild = int(resume["guild"]) if resume["guild"] else None
        room = self.room(int(resume["channel"]), guild, reply_to=int(resume.get("question", 0)))
        return AnswerView(self.bot, room, **common)


async def _unbroken(work: Coroutine[Any, Any, None]) -> None:
    """Do `work`, and give it a little time to come to its end even if this is cancelled.

    A request that is cancelled while discord.py waits for a limit never lets go of its token's lock.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=GOODBYE_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise


async def only(replies: Stream[Reply]) -> Reply:
    """The one reply of a refusal."""
    async with aclosing(replies):
        return await anext(replies)


def _passes(error: Exception) -> bool:
    """Whether it may be better in a moment."""
    if isinstance(error, discord.HTTPException):
        return error.status >= 500 or error.status == 429
    return True


def resume(request: Request, *, channel: int, quoted: bool, **more: Any) -> dict[str, Any]:
    """Return what is stored with an answer so that `DiscordAnswers.restore` finds its messages again.

    `more`: `message` is the interaction's response, `parent` the channel of a thread that is opened under it,
    `question` the message that the answer replies to, `token` what alone can write there, and `until` how long, in
    seconds since the epoch.
    """
    where = {"channel": str(channel), "guild": request.place.server, "locale": request.user.locale}
    return {**request.resume, **where, "quoted": quoted, **more}
