"""Answers of the web chat: each is a task of its own, so that it goes on after the page that asked has closed."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from bot.answers.decision import Answer, Change, Choose, FollowUp, OpenForm
from bot.core.button_ids import ButtonId, FormId
from bot.core.errors import Busy, DatabaseUnavailable, Expired, UserError
from bot.core.i18n import translate
from bot.core.messages import Action, RemoteFile, Reply, Request, User
from bot.core.splitting import closing
from bot.core.throttle import Throttle, throttled
from bot.platforms.answer_tasks import FAILED, read_only_reply
from bot.platforms.web.chat.restoring import CLIENT_REF, READ_ALONG, StoredMessages
from bot.platforms.web.chat.room import Exchange
from bot.platforms.web.chat.sent_forms import SentForms
from bot.settings.builtin import TEACHERS_READ

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from bot.app import Bot
    from bot.core.latest import Stream
    from bot.core.messages import Attachment, Form
    from bot.platforms.web.chat.incoming import Say, Submit
    from bot.platforms.web.chat.room import Room
    from bot.platforms.web.chat.rooms import Rooms

log = logging.getLogger(__name__)

PACE_SECONDS = 0.05
MAX_ANSWERS_PER_VISITOR, MAX_ANSWERS_PER_ADDRESS, MAX_ANSWERS = 8, 200, 400
"""How many answers may be under way for one visitor, for all at one IP address, and in all.

The last two do not hold for moderators, and none holds for requests that start no answer, such as Stop.
"""


@dataclass(slots=True)
class ActiveAnswer:
    """An answer under way.

    `exchange` is the one that was opened for it, if any, and `shown` the one that shows it. An answer that is
    `in_place` changes an exchange that exists, and opens none if that one has been removed.
    """

    user: User
    room: Room
    thread: int = 0
    exchange: Exchange | None = None
    shown: Exchange | None = None
    in_place: bool = False
    address: str = ""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the first reply is shown: what was asked is stored then, or refused."""


class WebAnswers:
    """Passes requests to the bot and shows the replies in the rooms.

    A context manager: at its end the answers that are still under way are stopped.
    """

    def __init__(self, bot: Bot, rooms: Rooms) -> None:
        self._bot = bot
        self._rooms = rooms
        self._active: dict[asyncio.Task[None], ActiveAnswer] = {}
        self.forms = SentForms()
        self.stored = StoredMessages(bot, rooms)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = tuple(self._active)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def say(
        self,
        user: User,
        room: Room,
        message: Say,
        files: Mapping[str, Attachment],
        address: str,
    ) -> tuple[Form | None, asyncio.Event]:
        """Start the answer to a typed line. Raises UserError if it is refused.

        Returns the form to show instead, if there is one, and what is set once the question is stored or refused.
        `files` are values for options of the line's command. `address` is that of the `Request`.
        """
        text, client_ref = message.text.strip(), message.ref
        at_once = asyncio.Event()
        at_once.set()
        if (known := room.find_by_client_ref(user.id, client_ref)) is not None:
            return None, next((one.begun for one in self._active.values() if one.exchange is known), at_once)
        if message.again and await self.stored.show_asked(user, room, message.thread, client_ref):
            return None, at_once
        if not text:
            raise UserError("There is nothing to send: type a question, or / for the commands.")
        self._check_load(user, address)
        thread, parent = message.thread, message.parent
        await self._require_thread(user, room, thread, parent)
        read_along = self.is_read_along(room)
        request = Request(
            user=user,
            place=room.place(thread),
            text=message.text,
            reply_to=str(parent) if parent else "",
            alone=bool(room.owner),
            can_show_forms=True,
            address=address,
            resume={"line": text, CLIENT_REF: client_ref, **_resume_of(read_along=read_along)},
        )
        if files:
            request = self._add_files(request, files)
        decision = self._bot.prepare(request)
        if isinstance(decision, OpenForm):
            return await decision.make(), at_once
        # The safety classifier is asked once the replies are iterated; until then nobody else may see the question.
        exchange = room.open_exchange(
            Exchange(
                user,
                text,
                private=decision.private,
                client_ref=client_ref,
                thread=thread,
                parent=parent,
                unchecked=True,
                read_along=read_along,
            )
        )
        active = ActiveAnswer(user, room, thread, exchange, address=address)
        self._start(active, decision.start())
        return None, active.begun

    def is_read_along(self, room: Room) -> bool:
        """Return whether teachers may read what is asked in a room from now on; it is a private place then."""
        return bool(room.owner) and bool(self._bot.settings.value(TEACHERS_READ, room.place()))

    async def _require_thread(self, user: User, room: Room, thread: int, parent: int = 0) -> None:
        """Raise UserError unless a new message can be in this thread and reply to this parent, both rows or 0."""
        for row in (thread, parent):
            known = room.find_by_row(row)
            if row and (known is None or not known.is_visible_to(user)):
                raise Expired("What you reply to is no longer here.")
            if known is not None and known.private:
                raise UserError("Only you can see that answer, so nobody can reply to it; ask again instead.")
        # The core finds what a thread hangs under, and what a reply replies to, by the id of the message that shows it.
        for row in {thread, parent} - {0}:
            await self._bot.messages.set_external_ids(row, [str(row)])

    def _add_files(self, request: Request, files: Mapping[str, Attachment]) -> Request:
        """Return the request with its line parsed into a command and options, and with the files among the options.

        Those of a line without a command belong to the message.
        """
        if not request.text.lstrip().startswith("/"):
            return replace(request, message_files=tuple(map(RemoteFile.of, files.values())))
        try:
            command, rest = self._bot.registry.split_line(request.text.strip())
            return replace(request, text="", command=command.name, options={**command.parse(rest), **files})
        except UserError:
            # A line that cannot be parsed is refused by `Bot.prepare`, which also records it.
            return request

    async def press(
        self, user: User, exchange_id: int, button_id: str, thread: int = 0, *, address: str = ""
    ) -> Form | None:
        """Press a button under an exchange. `thread` is the thread that the page shows, or 0.

        Returns the form to show, if the button opens one. Raises UserError if the press is refused.
        """
        found = self._rooms.find_exchange(exchange_id)
        if found is None or not (found[1].is_visible_to(user) and _is_button_of(found[1], button_id)):
            raise Expired("This button has expired.")
        room, exchange = found
        if thread != exchange.reply.row:
            thread = exchange.thread
        action = Action(button_id, private=exchange.private)
        return await self._perform(user, room, thread, action, address, pressed=exchange)

    async def submit(
        self, user: User, room: Room, message: Submit, files: Mapping[str, Attachment], address: str
    ) -> Form | None:
        """Carry out a form, once however often it is sent. `files` are values for some of its fields.

        Raises UserError with a sentence to show in the form if its fields are refused.
        """
        if FormId.parse(message.id) is None:
            button = ButtonId.parse(message.id)
            shown = None if button is None else self._rooms.find_shown(button.row, user)
            if shown is None:
                # A page can send any number, such as that of an answer in a room that was closed.
                raise Expired("This has expired: it is no longer stored.")
            # The page may show another room by now, where others could read the answer.
            room = shown

        async def act() -> Form | None:
            await self._require_thread(user, room, message.thread)
            action = Action(message.id, {**message.fields, **files})
            return await self._perform(user, room, message.thread, action, address)

        return await self.forms.run_once(user, message.ref, act)

    async def _perform(
        self, user: User, room: Room, thread: int, action: Action, address: str, pressed: Exchange | None = None
    ) -> Form | None:
        # A problem with a form that was sent is shown in that form; a second form would hide it.
        request = Request(
            user=user,
            place=room.place(thread),
            action=action,
            alone=bool(room.owner),
            can_show_forms=action.fields is None,
            can_turn_pages=True,
            address=address,
            resume=_resume_of(read_along=self.is_read_along(room)),
        )
        decision = self._bot.prepare(request)
        if isinstance(decision, OpenForm):
            return await decision.make()
        runs_command = isinstance(decision, (Answer, Choose, FollowUp))
        if runs_command:
            self._check_load(user, address)
        if isinstance(decision, Choose) and pressed is not None:
            async with decision.turn:
                reply = await read_only_reply(decision.start())
                _show_choices(user, room, pressed, reply, replaces=decision.replaces)
            return None
        active = ActiveAnswer(user, room, thread, address=address)
        replies = decision.start()
        first = await self._first_reply(active, replies, counts=runs_command)
        if first is not None and first.is_unstored_error:
            # The error is not stored as a message, so it is shown at the button or in the form, which keeps what was
            # typed. One with buttons can be appealed against, and for that it has to be shown as a message, too.
            if first.buttons:
                self._start(active, replies, first)
            else:
                await replies.aclose()
            if action.fields is not None or not first.buttons:
                raise UserError("{text}", text=first.text)
            return None
        is_change = isinstance(decision, Change)
        if is_change and first is not None and not self._rooms.find_by_row(first.row):
            # Somebody deleted the answer meanwhile, and it must not come back as a new one.
            await replies.aclose()
            return None
        if is_change and first is not None and not first.final:
            await self._turn_page(replace(active, in_place=True), replies)
        elif first is not None:
            self._start(active, replies, first)
        return None

    async def _first_reply(self, active: ActiveAnswer, replies: Stream[Reply], *, counts: bool) -> Reply | None:
        """Return the first reply, if there is one; what waits for it `counts` as an answer under way or does not."""
        waiting = asyncio.current_task()
        if not counts or waiting is None:
            return await anext(replies, None)
        self._active[waiting] = active
        try:
            return await anext(replies, None)
        finally:
            del self._active[waiting]

    async def _turn_page(self, active: ActiveAnswer, replies: Stream[Reply]) -> None:
        """Turn an answer to another page; the page before stays until the new one is there."""
        try:
            self._check_load(active.user, active.address)
        except Busy:
            await replies.aclose()
            raise
        self._start(active, replies)

    def _check_load(self, user: User, address: str) -> None:
        """Raise Busy if too many answers are under way."""
        mine = sum(active.user.id == user.id for active in self._active.values())
        if mine >= MAX_ANSWERS_PER_VISITOR:
            sentence = "You have {count} answers under way; wait for one to end, or stop one."
            raise Busy(sentence, 5, count=mine)
        if user.is_moderator:
            return
        if sum(active.address == address for active in self._active.values()) >= MAX_ANSWERS_PER_ADDRESS:
            sentence = "Too many people at your IP address are asking at the moment; try again shortly."
            raise Busy(sentence, 5)
        if len(self._active) >= MAX_ANSWERS:
            raise Busy("Too many people are asking at the moment; try again shortly.", 5)

    def _start(self, active: ActiveAnswer, replies: Stream[Reply], first: Reply | None = None) -> None:
        if first is not None:
            self._show(active, first)
        task = asyncio.create_task(self._follow(active, replies), name="web answer")
        self._active[task] = active
        task.add_done_callback(self._on_task_done)

    async def _follow(self, active: ActiveAnswer, replies: Stream[Reply]) -> None:
        try:
            with self._bot.runs.showing():
                async with aclosing(throttled(replies, Throttle(PACE_SECONDS))) as newest:
                    async for reply in newest:
                        self._show(active, reply)
        except Exception:
            log.exception("An answer could not be shown")
            if active.exchange is not None:
                last = active.exchange.reply
                note = FAILED.in_language(active.user.locale)
                text = f"{last.text}{closing(last.text)}\n\n{note}".strip()
                self._show(active, replace(last, text=text, status="", final=True, error=True))
        else:
            await self._release_files(active)

    async def _release_files(self, active: ActiveAnswer) -> None:
        """Drop the files of a finished answer from memory, if they are in the database or confidential."""
        shown = active.shown
        if shown is None or not (shown.reply.final and shown.reply.attachments):
            return
        if any(file.confidential for file in shown.reply.attachments):
            active.room.release_confidential(shown)
        else:
            # Without the database they stay in memory.
            with suppress(DatabaseUnavailable):
                active.room.release_files(shown, await self._bot.messages.list_files(shown.reply.row))

    def _show(self, active: ActiveAnswer, reply: Reply) -> None:
        """Show a reply in the exchange that was opened for it, in the one that has its row, or in a new one."""
        active.begun.set()
        room = self._rooms.get(active.room.name)
        if not active.room.owner and room is not active.room and (stored := room.find_by_row(reply.row)) is not None:
            # The room was closed meanwhile and opened again, with exchanges made from the stored messages.
            active.room, active.exchange = room, stored
        room = active.room
        shown = active.exchange or room.find_by_row(reply.row)
        if shown is None and active.in_place and reply.row:
            return
        if shown is None:
            shown = active.exchange = room.open_exchange(
                Exchange(
                    active.user, "", private=reply.private, thread=active.thread, read_along=self.is_read_along(room)
                )
            )
        active.shown, was_unchecked = shown, shown.unchecked
        room.show(shown, reply)
        if was_unchecked and not (shown.unchecked or shown.private):
            self._rooms.notify_message(room, active.user)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        # This is a callback of the task, because one that is cancelled before its first step never runs its own code.
        active = self._active.pop(task)
        if not task.cancelled():
            # A line that the end of this process cuts short is sent again to the next one.
            active.begun.set()
        if active.user.is_moderator:
            # They may have changed a lesson.
            self._rooms.notify_offers()
        if active.exchange is not None and not active.exchange.reply.final:
            status = translate("Stopped.", active.user.locale)
            last = replace(active.exchange.reply, final=True, status=status, buttons=())
            active.room.show(active.exchange, last)


def _resume_of(*, read_along: bool) -> dict[str, bool]:
    return {READ_ALONG: True} if read_along else {}


def _is_button_of(exchange: Exchange, button_id: str) -> bool:
    """Return whether a button is under an exchange, or was, such as the Stop of an answer that has just ended."""
    shown = {button.id for button in exchange.reply.buttons}
    return button_id in shown or button_id.endswith(f":{exchange.reply.row}")


def _show_choices(user: User, room: Room, pressed: Exchange, reply: Reply, *, replaces: bool) -> None:
    """Show the reply to a press of a button that leads to choices, or of a choice.

    With `replaces`, it takes the place of the exchange with the button if its author alone sees that.
    Raises UserError if the reply is an error, so that it is shown at the button.
    """
    if reply.error:
        raise UserError("{text}", text=reply.text)
    shown = pressed
    if not (pressed.private and replaces):
        ids = {button.id for button in reply.buttons}
        for earlier in room.exchanges:
            if any(button.id in ids for button in earlier.reply.buttons):
                room.dismiss(earlier.id, user)
        shown = room.open_exchange(Exchange(user, "", private=True, thread=pressed.thread))
    room.show(shown, reply)
