"""From what visitors send to answers in a room: each is a task that outlives the page that asked for it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from bot.core.errors import Busy, Expired, UserError
from bot.core.i18n import translate
from bot.core.messages import Action, Reply, Request, User
from bot.core.splitting import closing
from bot.core.throttle import Throttle, throttled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType

    from bot.app import Bot
    from bot.core.latest import Stream
    from bot.core.messages import Attachment, Form
    from bot.platforms.web.chat.room import Exchange, Room
    from bot.platforms.web.chat.rooms import Rooms
    from bot.storage.database import MessageRow

T = TypeVar("T")

log = logging.getLogger(__name__)

PACE_SECONDS = 0.05
RESTORED = 200
"""Stored messages, questions and answers alike, that a room begins with, besides what their threads began with."""
MOST_PER_VISITOR, MOST = 8, 200
"""How many answers may be under way, for one visitor and in all; the model server's queue has its own limits.

Moderators are let in beyond the latter, and what starts no answer, such as Stop, beyond both.
"""
REMEMBERED = 1000
"""How many forms, of all visitors, are known when they are sent once more."""


@dataclass(slots=True)
class Running:
    """An answer under way, where it goes, the exchange that it made, once it did, and the one that it is shown in.

    One that is `in_place` changes an exchange that is there, and makes none if that has gone.
    """

    user: User
    room: Room
    thread: int = 0
    exchange: Exchange | None = None
    shown: Exchange | None = None
    in_place: bool = False


class WebAnswers:
    """Asks the bot and shows its replies in the rooms. As a context manager, it stops what still runs at the end."""

    def __init__(self, bot: Bot, rooms: Rooms) -> None:
        self._bot = bot
        self._rooms = rooms
        self._running: dict[asyncio.Task[None], Running] = {}
        self._forms: dict[tuple[str, str], asyncio.Future[Any]] = {}

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
        """Fill the rooms with what was said before the bot was started; what was cut short then says so."""
        await self._bot.interrupted(["web"])
        for name in self._rooms.names:
            await self.fill(self._rooms.get(name))

    async def fill(self, room: Room) -> None:
        """Show what is stored of a room that has just been opened."""
        rows = await self._bot.messages.recent(room.place(), RESTORED, threads=True)
        rows = [*await self._beginnings(rows), *rows]
        questions = {row.id: row for row in rows if row.role == "user"}
        for row in rows:
            if row.role == "assistant":
                await self._show_stored(room, row, questions.get(row.parent or 0))

    async def _beginnings(self, rows: Sequence[MessageRow]) -> list[MessageRow]:
        """What the threads of `rows` began with, each answer with its question, as far as it is older than these."""
        messages, known = self._bot.messages, {row.id for row in rows}
        found = []
        for number in sorted({int(row.thread) for row in rows if row.thread} - known):
            if (answer := await messages.get(number)) is not None:
                question = None if answer.parent in known else await messages.get(answer.parent or 0)
                found += [row for row in (question, answer) if row is not None]
        return found

    async def _show_stored(self, room: Room, row: MessageRow, question: MessageRow | None) -> None:
        reply = await self._bot.snapshot(row, "en", files=False)
        stored = await self._bot.messages.list_files(row.id) if reply.final and not reply.attachments else ()
        exchange = room.begin(
            User(row.author, row.author_name),
            row.resume.get("line", ""),
            private=row.private,
            at=row.created.timestamp(),
            thread=int(row.thread or 0),
            parent=(question.parent or 0) if question is not None else 0,
        )
        room.show(exchange, reply, stored)

    async def say(
        self,
        user: User,
        room: Room,
        text: str,
        ref: str,
        *,
        thread: int = 0,
        parent: int = 0,
        files: Mapping[str, Attachment] | None = None,
    ) -> Form | None:
        """Take a typed line in; a form is to be shown instead of an answer. Raises UserError if it is not taken.

        `thread` and `parent` are rows of answers in the room; `files` are options of the line's command.
        """
        if room.find(user.id, ref) is not None:
            return None
        if not text.strip():
            raise UserError("There is nothing to send: type a question, or / for the commands.")
        self._check_load(user)
        thread, parent = await self._follows(user, room, thread, parent)
        request = Request(
            user=user,
            place=room.place(thread),
            text=text,
            reply_to=str(parent) if parent else "",
            can_show_forms=True,
            resume={"line": text.strip()},
        )
        if files:
            request = self._with_files(request, files)
        decision = self._bot.prepare(request)
        if decision.form is not None:
            return await decision.form()
        # What others have read cannot be taken back, and the classifier is only asked once the replies are iterated.
        exchange = room.begin(
            user, text.strip(), private=decision.private, ref=ref, thread=thread, parent=parent, unchecked=True
        )
        self._start(Running(user, room, thread, exchange), decision.start())
        return None

    async def _follows(self, user: User, room: Room, thread: int, parent: int) -> tuple[int, int]:
        """The thread that a message stands in and the answer that it replies to, once it is known that both are here.

        In a thread each message replies to the one before it, so that the bot reads the thread as one conversation.
        """
        for row in (thread, parent):
            known = room.with_row(row)
            if row and (known is None or not known.is_visible_to(user)):
                raise Expired("What you reply to is no longer here.")
            if known is not None and known.private:
                raise UserError("Only you can see that answer, so nobody can reply to it; ask again instead.")
        if thread and not parent:
            parent = room.last_of(thread)
        if parent:
            await self._bot.sent(parent, [str(parent)])
        return thread, parent

    def _with_files(self, request: Request, files: Mapping[str, Attachment]) -> Request:
        """The typed line as a command with options, the files among them."""
        try:
            command, rest = self._bot.registry.split(request.text.strip())
            return replace(request, text="", command=command.name, options={**command.parse(rest), **files})
        except UserError:
            # Dispatch refuses the line itself, and says so where it says everything else.
            return request

    async def press(self, user: User, exchange_id: int, button_id: str, thread: int = 0) -> Form | None:
        """Press a button under an exchange, in the `thread` that it began where that is shown.

        Raises UserError if it refuses.
        """
        found = self._rooms.holding(exchange_id)
        if found is None or not (found[1].is_visible_to(user) and _is_under(found[1], button_id)):
            raise Expired("This button has expired.")
        room, exchange = found
        if thread != exchange.reply.row:
            thread = exchange.thread
        return await self._act(user, room, thread, Action(button_id, private=exchange.private))

    async def submit(
        self, user: User, room: Room, thread: int, form_id: str, fields: Mapping[str, object], ref: str
    ) -> Form | None:
        """Send a form, once however often it comes under the mark `ref`.

        Raises UserError with the sentence to show in it if its fields are refused.
        """

        async def act() -> Form | None:
            found, _ = await self._follows(user, room, thread, 0)
            return await self._act(user, room, found, Action(form_id, dict(fields)))

        return await self.once(user, ref, act)

    async def once(self, user: User, ref: str, act: Callable[[], Awaitable[T]]) -> T:
        """Do what a form asks for, once however often it comes under the mark `ref`, and tell each the same."""
        mark = user.id, ref
        while (first := self._forms.get(mark)) is not None:
            await asyncio.wait([first])
            # Where the first one was cut short, nothing was decided.
            if not first.cancelled():
                result: T = first.result()
                return result
        decided: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._forms[mark] = decided
        if len(self._forms) > REMEMBERED:
            del self._forms[next(iter(self._forms))]
        try:
            decided.set_result(await act())
        except BaseException as error:
            # What was not taken is to be sent again.
            self._forms.pop(mark, None)
            if not isinstance(error, UserError):
                decided.cancel()
                raise
            decided.set_exception(error)
        return decided.result()

    def forget(self, user_id: str) -> None:
        """Know no longer which forms a visitor sent."""
        self._forms = {mark: decided for mark, decided in self._forms.items() if mark[0] != user_id}

    async def _act(self, user: User, room: Room, thread: int, action: Action) -> Form | None:
        # What is missing in a form that was sent is told in it; another form would hide it.
        request = Request(
            user=user,
            place=room.place(thread),
            action=action,
            can_show_forms=action.fields is None,
            can_turn_pages=True,
        )
        decision = self._bot.prepare(request)
        if decision.form is not None:
            return await decision.form()
        if not (decision.in_place or decision.refused):
            self._check_load(user)
        replies = decision.start()
        first = await anext(replies, None)
        if first is not None and first.error and not first.row:
            # It never became a message, so it is told where the button or the form is, which keeps what was typed.
            # To be appealed against, it has to be a message, too.
            if first.buttons:
                self._start(Running(user, room, thread), replies, first)
            else:
                await replies.aclose()
            if action.fields is not None or not first.buttons:
                raise UserError("{text}", text=first.text)
            return None
        if decision.in_place and first is not None and not self._rooms.with_row(first.row):
            # Somebody took the answer away meanwhile, and it must not come back as a new one.
            await replies.aclose()
            return None
        if decision.in_place and first is not None and not first.final:
            await self._turn(Running(user, room, thread, in_place=True), replies)
        elif first is not None:
            self._start(Running(user, room, thread), replies, first)
        return None

    async def _turn(self, running: Running, replies: Stream[Reply]) -> None:
        """Let an answer get another page; until that is there, the page before stays."""
        try:
            self._check_load(running.user)
        except Busy:
            await replies.aclose()
            raise
        self._start(running, replies)

    async def complete(self, user: User, room: Room, command: str, option: str, typed: str, line: str) -> Sequence[str]:
        """What fits the value of an option as typed so far, after the beginning of a `line`."""
        request = Request(user=user, place=room.place(), command=command, text=line)
        try:
            return await self._bot.complete(request, option, typed)
        except UserError:
            return ()

    def _check_load(self, user: User) -> None:
        mine = sum(running.user.id == user.id for running in self._running.values())
        if mine >= MOST_PER_VISITOR:
            sentence = "You have {count} answers under way; wait for one to end, or stop one."
            raise Busy(sentence, 5, count=mine)
        if len(self._running) >= MOST and not user.is_moderator:
            raise Busy("Too many people are asking at the moment; try again shortly.", 5)

    def _start(self, running: Running, replies: Stream[Reply], first: Reply | None = None) -> None:
        if first is not None:
            self._show(running, first)
        task = asyncio.create_task(self._follow(running, replies), name="web answer")
        self._running[task] = running
        task.add_done_callback(self._ended)

    async def _follow(self, running: Running, replies: Stream[Reply]) -> None:
        try:
            async with aclosing(throttled(replies, Throttle(PACE_SECONDS))) as newest:
                async for reply in newest:
                    self._show(running, reply)
        except Exception:
            log.exception("An answer could not be shown")
            if running.exchange is not None:
                last = running.exchange.reply
                note = translate("Something went wrong inside the bot; its log says more.", running.user.locale)
                text = f"{last.text}{closing(last.text)}\n\n{note}".strip()
                self._show(running, replace(last, text=text, status="", final=True, error=True))
        else:
            await self._store(running)

    async def _store(self, running: Running) -> None:
        """Hold the files of an answer no longer in memory, if they are in the database."""
        shown = running.shown
        if shown is not None and shown.reply.final and shown.reply.attachments:
            running.room.store(shown, await self._bot.messages.list_files(shown.reply.row))

    def _show(self, running: Running, reply: Reply) -> None:
        """Show a reply in the exchange that is open for it, in the one it belongs to, or in a new one."""
        room = self._rooms.get(running.room.name)
        if room is not running.room and (stored := room.with_row(reply.row)) is not None:
            # Its room was closed meanwhile, and opened again with what is stored.
            running.room, running.exchange = room, stored
        room = running.room
        shown = running.exchange or room.with_row(reply.row)
        if shown is None and running.in_place and reply.row:
            return
        if shown is None:
            shown = running.exchange = room.begin(running.user, "", private=reply.private, thread=running.thread)
        running.shown, was_unchecked = shown, shown.unchecked
        room.show(shown, reply)
        if was_unchecked and not (shown.unchecked or shown.private):
            self._rooms.spoken(room, running.user)

    def _ended(self, task: asyncio.Task[None]) -> None:
        # A task that is cancelled before its first step never reaches its own end; this does.
        running = self._running.pop(task)
        if running.exchange is not None and not running.exchange.reply.final:
            status = translate("Stopped.", running.user.locale)
            last = replace(running.exchange.reply, final=True, status=status, buttons=())
            running.room.show(running.exchange, last)


def _is_under(exchange: Exchange, button_id: str) -> bool:
    """Whether a button is under an exchange, or was, such as the Stop of an answer that has just ended."""
    shown = {button.id for button in exchange.reply.buttons}
    return button_id in shown or button_id.endswith(f":{exchange.reply.row}")
