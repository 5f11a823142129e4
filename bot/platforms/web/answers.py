"""From what visitors send to answers in the room: each is a task that outlives the page that asked for it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from bot.errors import Busy, Expired, UserError
from bot.language import translate
from bot.message import Action, Place, Reply, Request, User
from bot.pace import Pacer, paced

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from types import TracebackType

    from bot.app import Bot
    from bot.message import Form
    from bot.platforms.web.room import Exchange, Room

log = logging.getLogger(__name__)

PLACE = Place(platform="web", server="web", channel="general")
PACE_SECONDS = 0.05
RESTORED = 200
"""Stored messages, questions and answers alike, that the room begins with."""
MOST_PER_VISITOR, MOST = 8, 200
"""How many answers may be under way, for one visitor and in all; the model server's queue has its own limits."""


@dataclass(slots=True)
class Running:
    """An answer under way, and the exchange that it made, once it did."""

    user: User
    exchange: Exchange | None = None


class Answers:
    """Asks the bot and shows its replies in the room. As a context manager, it stops what still runs at the end."""

    def __init__(self, bot: Bot, room: Room) -> None:
        self._bot = bot
        self._room = room
        self._running: dict[asyncio.Task[None], Running] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = tuple(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def restore(self) -> None:
        """Fill the room with what was said before the bot was started; what was cut short then says so."""
        await self._bot.interrupted([PLACE.platform])
        for row in await self._bot.journal.recent(PLACE, RESTORED):
            if row.role != "assistant":
                continue
            reply = await self._bot.snapshot(row, "en")
            author, at = User(row.author, row.author_name), row.created.timestamp()
            exchange = self._room.begin(author, row.resume.get("line", ""), private=row.private, at=at)
            self._room.show(exchange, reply)

    async def say(self, user: User, text: str, ref: str) -> Form | None:
        """Take a typed line in; a form is to be shown instead of an answer. Raises UserError if it is not taken."""
        if self._room.find(user.id, ref) is not None:
            return None
        if not text.strip():
            raise UserError("There is nothing to send: type a question, or / for the commands.")
        self._check_load(user)
        request = Request(user=user, place=PLACE, text=text, can_show_forms=True, resume={"line": text.strip()})
        dispatch = self._bot.dispatch(request)
        if dispatch.form is not None:
            return await dispatch.form()
        exchange = self._room.begin(user, text.strip(), private=dispatch.private, ref=ref)
        self._start(Running(user, exchange), dispatch.replies)
        return None

    async def press(self, user: User, exchange_id: int, button_id: str) -> Form | None:
        """Press a button under an exchange. Raises UserError if it refuses."""
        exchange = self._room.get(exchange_id)
        if exchange is None or not exchange.is_visible_to(user.id):
            raise Expired("This button has expired.")
        return await self._act(user, Action(button_id, private=exchange.private))

    async def submit(self, user: User, form_id: str, fields: Mapping[str, object]) -> Form | None:
        """Send a form. Raises UserError with the sentence to show in it if its fields are refused."""
        return await self._act(user, Action(form_id, dict(fields)))

    async def _act(self, user: User, action: Action) -> Form | None:
        self._check_load(user)
        # What is missing in a form that was sent is told in it; another form would hide it.
        is_button = action.fields is None
        dispatch = self._bot.dispatch(Request(user=user, place=PLACE, action=action, can_show_forms=is_button))
        if dispatch.form is not None:
            return await dispatch.form()
        first = await anext(dispatch.replies, None)
        if first is not None and first.error and not first.row:
            # It never became a message, so it is told where the button or the form is.
            await dispatch.replies.aclose()
            raise UserError("{text}", text=first.text)
        if first is not None:
            self._start(Running(user), dispatch.replies, first)
        return None

    async def complete(self, user: User, command: str, option: str, typed: str) -> Sequence[str]:
        """What fits the value of an option as typed so far."""
        request = Request(user=user, place=PLACE, command=command)
        try:
            return await self._bot.complete(request, option, typed)
        except UserError:
            return ()

    def _check_load(self, user: User) -> None:
        mine = sum(running.user.id == user.id for running in self._running.values())
        if mine >= MOST_PER_VISITOR:
            sentence = "You have {count} answers under way; wait for one to end, or stop one."
            raise Busy(sentence, 5, count=mine)
        if len(self._running) >= MOST:
            raise Busy("Too many people are asking at the moment; try again shortly.", 5)

    def _start(self, running: Running, replies: AsyncGenerator[Reply, None], first: Reply | None = None) -> None:
        if first is not None:
            self._show(running, first)
        task = asyncio.create_task(self._follow(running, replies), name="web answer")
        self._running[task] = running
        task.add_done_callback(self._ended)

    async def _follow(self, running: Running, replies: AsyncGenerator[Reply, None]) -> None:
        try:
            async with aclosing(paced(replies, Pacer(PACE_SECONDS))) as newest:
                async for reply in newest:
                    self._show(running, reply)
        except Exception:
            log.exception("An answer could not be shown")
            if running.exchange is not None:
                last = running.exchange.reply
                note = translate("Something went wrong inside the bot; its log says more.", running.user.locale)
                text = f"{last.text}\n\n{note}".strip()
                self._show(running, replace(last, text=text, status="", final=True, error=True))

    def _show(self, running: Running, reply: Reply) -> None:
        """Show a reply in the exchange that is open for it, in the one it belongs to, or in a new one."""
        shown = running.exchange or self._room.with_row(reply.row)
        if shown is None:
            shown = running.exchange = self._room.begin(running.user, "", private=reply.private)
        self._room.show(shown, reply)

    def _ended(self, task: asyncio.Task[None]) -> None:
        # A task that is cancelled before its first step never reaches its own end; this does.
        running = self._running.pop(task)
        if running.exchange is not None and not running.exchange.reply.final:
            status = translate("Stopped.", running.user.locale)
            last = replace(running.exchange.reply, final=True, status=status, buttons=())
            self._room.show(running.exchange, last)
