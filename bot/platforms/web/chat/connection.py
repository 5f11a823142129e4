"""One open page: handles the messages that it sends, and sends it the newest state at the pace at which it reads."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from aiohttp import WSCloseCode, WSMsgType

from bot.core.errors import DatabaseUnavailable, UserError
from bot.platforms.web.chat import incoming as sent
from bot.platforms.web.chat import protocol, requests
from bot.platforms.web.chat.room import GENERAL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from bot.core.messages import Form, User
    from bot.platforms.web.access.limits import MessageLimit
    from bot.platforms.web.chat.room import Exchange, Room
    from bot.platforms.web.chat.services import WebServices

log = logging.getLogger(__name__)

PACE_SECONDS, LEAVE_SECONDS = 0.05, 1.0
"""Shortest time between two updates of an exchange. The last state is always sent, and at the end waited for."""
ACT_SECONDS = 10.0
"""How long what was pressed or sent before the page closed is still carried out."""
MAX_QUEUED_MESSAGES = 32
"""How many direct answers may wait for the page. When there are more, its messages are no longer read."""

WELCOME_CHARS = 256 << 10
"""About how much of a room is sent in one message. What is older follows one by one, as quickly as the page reads."""

WEIGHED_CHARS = 16 << 10
"""A longer message counts for several."""
ENTERING_WEIGHT = 4


class Connection:
    """Serves one WebSocket until it closes.

    A page that reads slowly costs no memory: for each exchange only the fact that it changed is kept, and its state is
    read when it can be sent.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        secret: str,
        services: WebServices,
        limit: MessageLimit,
        address: str,
        agent: str,
    ) -> None:
        """`address` is the `Request.address` of what the page sends, and `agent` how the browser describes itself."""
        self._socket = socket
        self._limit = limit
        self._secret = secret
        self._address = address
        self._agent = agent
        self._services = services
        self._changed: dict[int, None] = {}
        self._notices: dict[str, dict[str, Any]] = {}
        self._outbox: asyncio.Queue[Callable[[], dict[str, Any]]] = asyncio.Queue(MAX_QUEUED_MESSAGES)
        self._wake = asyncio.Event()
        self._sent = asyncio.Event()
        self._offers: dict[str, Any] = {}
        self._offers_are_old = False
        self._is_shown_as_moderator = self._has_other_rights = self._has_ended = False
        self._completion: asyncio.Task[None] | None = None
        self._confirming: asyncio.Task[None] | None = None
        self._acting: set[asyncio.Task[None]] = set()
        self._turns: WeakValueDictionary[int | str, asyncio.Lock] = WeakValueDictionary()

    async def serve(self, name: str, locale: str, room: str) -> None:
        """Send the welcome message and serve the page, which shows `room` first; returns when the page has closed."""
        self._locale = locale
        people = self._services.people
        self._user = self._visitor()
        entered, notice = await self._services.enter(self._user, room)
        name = self._services.known[self._user.id].name or name
        problem = people.arrive(self, self._user, name, self._address, self._agent)
        self._show_room(entered)
        self._services.rooms.listeners.add(self)
        self._services.moderators.listeners.add(self.moderators_changed)
        self._services.waiting.listeners.add(self.waiting_changed)
        try:
            await self._services.known.note_visit(self._user.id)
            await self._welcome(notice)
            if problem is not None:
                await self._send({"type": "refused", "ref": "", "text": problem.in_language(self._user.locale)})
            await self._read_and_write()
        finally:
            people.leave(self, self._user.id)
            self._services.waiting.listeners.discard(self.waiting_changed)
            self._services.moderators.listeners.discard(self.moderators_changed)
            self._services.rooms.listeners.discard(self)
            self._room.watchers.discard(self)

    async def _read_and_write(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            both = {
                tasks.create_task(self._write(), name="web writer"),
                tasks.create_task(self._read(tasks), name="web reader"),
            }
            # Either may be the first to notice that the page has closed, while the other waits for something else.
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if self._acting:
                await asyncio.wait(set(self._acting), timeout=ACT_SECONDS)
            for task in (*both, self._completion, self._confirming, *self._acting):
                if task is not None:
                    task.cancel()

    def _visitor(self) -> User:
        """Return the user with their present rights, which may be taken away while the page is open."""
        return self._services.identify(self._secret, "", self._locale)

    # Notifications from the rooms

    def exchange_changed(self, exchange_id: int) -> None:
        """Send this exchange of the page's room again."""
        self._changed[exchange_id] = None
        self._wake.set()

    def user_is_typing(self, user: User) -> None:
        """Tell the page that somebody is writing in its room."""
        if user.id != self._user.id:
            self._queue_notice(f"typing {user.id}", {"type": "typing", "who": protocol.user_json(user)})

    def message_arrived(self, room: str, user: User) -> None:
        """Tell the page that there is something new in another room."""
        if room != self._room.name and user.id != self._user.id:
            self._queue_notice(f"spoken {room}", {"type": "spoken", "room": room})

    def rooms_changed(self) -> None:
        """Send the names of the rooms; if the page shows a room that was closed, tell it."""
        names = self._services.rooms.names
        self._queue_notice("rooms", {"type": "rooms", "rooms": names})
        if not self._room.owner and self._room.name not in names:
            self._queue_notice("closed", {"type": "closed", "room": self._room.name})

    def offers_changed(self) -> None:
        """Send the commands, their limits and the links again, if they have changed."""
        self._offers_are_old = True
        self._wake.set()

    def moderators_changed(self) -> None:
        """Welcome the visitor anew if they have become a moderator, or are one no longer."""
        user = self._visitor()
        if user.is_moderator != self._is_shown_as_moderator:
            self._services.people.recheck(user)
            self._has_other_rights = True
            self._wake.set()

    def waiting_changed(self) -> None:
        """Tell a moderator's page who waits to be let in."""
        if not self._is_shown_as_moderator:
            return
        waiting = self._services.waiting.waiting
        people = (self._services.people.find(one.id) for one in waiting)
        first = next(({"id": one.id, "name": one.name} for one in people if one is not None), None)
        self._queue_notice("waiting", {"type": "waiting", "first": first, "count": len(waiting) if first else 0})

    def end(self) -> None:
        """Close the page."""
        self._has_ended = True
        self._wake.set()

    async def leave(self) -> None:
        """Close the page, because the bot ends, once everything that has changed has been sent."""
        self._sent.clear()
        self._wake.set()
        # While an answer grows there is always something more.
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._sent.wait()
        await self._socket.close(code=WSCloseCode.GOING_AWAY)

    def name_changed(self) -> None:
        """Tell the page what its visitor is called now."""
        self._user = self._visitor()
        you = protocol.own_user_json(self._user, is_named=self._is_named)
        self._queue_notice("you", {"type": "you", "you": you})

    @property
    def _is_named(self) -> bool:
        return bool((known := self._services.people.find(self._user.id)) and known.is_named)

    def _show_room(self, room: Room) -> None:
        self._room = room
        room.watchers.add(self)
        if (known := self._services.people.find(self._user.id)) is not None:
            known.room = room.name

    def _queue_notice(self, key: str, notice: dict[str, Any]) -> None:
        """Send this as soon as possible; a later notice with the same key replaces one that still waits."""
        self._notices[key] = notice
        self._wake.set()

    # To the page

    async def _send(self, message: dict[str, Any]) -> None:
        await self._put(lambda: message)

    async def _put(self, make: Callable[[], dict[str, Any]]) -> None:
        """Send the message that `make` returns once everything before it has been sent."""
        await self._outbox.put(make)
        self._wake.set()

    async def _welcome(self, notice: str = "") -> None:
        await self._put(await self._make_welcome(notice))

    async def _make_welcome(self, notice: str = "") -> Callable[[], dict[str, Any]]:
        user = self._user = self._visitor()
        offers = await self._services.make_offers(self._user, self._room)

        def make() -> dict[str, Any]:
            # With this message the page gets the newest state of everything, so no change before it matters.
            self._changed.clear()
            self._is_shown_as_moderator, self._offers = user.is_moderator, offers
            if user.is_moderator:
                self.waiting_changed()
            names, (earlier, newest) = self._services.rooms.names, self._split_exchanges()
            return protocol.welcome_message(
                self._user, self._room, names, offers, earlier, newest, notice, is_named=self._is_named
            )

        return make

    async def _send_offers(self) -> None:
        self._offers_are_old = False
        offers = await self._services.make_offers(self._user, self._room)
        if offers != self._offers:
            self._offers = offers
            await self._socket.send_json({"type": "offers", **offers})

    def _split_exchanges(self) -> tuple[list[Exchange], list[Exchange]]:
        """Return the earlier exchanges, which are sent afterwards, and the newest, which fit into a message."""
        visible = self._room.visible_to(self._user)
        earlier = len(visible) - protocol.count_fitting(visible, WELCOME_CHARS)
        self._changed.update((exchange.id, None) for exchange in reversed(visible[:earlier]))
        return visible[:earlier], visible[earlier:]

    async def _write(self) -> None:
        try:
            while True:
                if not self._wake.is_set():
                    self._sent.set()
                await self._wake.wait()
                self._wake.clear()
                if self._has_ended:
                    await self._socket.close(
                        code=WSCloseCode.POLICY_VIOLATION, message=b"a moderator has ended the visit"
                    )
                    return
                while not self._outbox.empty():
                    await self._socket.send_json(self._outbox.get_nowait()())
                if self._has_other_rights:
                    self._has_other_rights = False
                    make = await self._make_welcome()
                    await self._socket.send_json(make())
                if self._offers_are_old:
                    await self._send_offers()
                notices, self._notices = self._notices, {}
                for notice in notices.values():
                    await self._socket.send_json(notice)
                changed, self._changed = self._changed, {}
                for exchange_id in changed:
                    await self._socket.send_json(self._snapshot(exchange_id))
                if changed or notices:
                    await asyncio.sleep(PACE_SECONDS)
        except ConnectionError:
            log.debug("A page of the web chat closed while it was sent a message")
        finally:
            self._sent.set()

    def _snapshot(self, exchange_id: int) -> dict[str, Any]:
        exchange = self._room.get(exchange_id)
        if exchange is not None and (exchange.for_moderators or exchange.reply.final):
            # Present rights decide who sees the former, and which buttons a final reply has. Looking them up for every
            # update of a growing answer would cost too much.
            self._user = self._visitor()
        if exchange is None or not exchange.is_visible_to(self._user):
            return {"type": "gone", "id": exchange_id}
        return protocol.exchange_message(self._user, exchange)

    # From the page

    async def _read(self, tasks: asyncio.TaskGroup) -> None:
        async for message in self._socket:
            if self._has_ended:
                break
            length = len(message.data) if isinstance(message.data, str | bytes) else 0
            excess = self._limit.count(1 + length // WEIGHED_CHARS)
            if excess >= 1:
                await self._socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too many messages")
                break
            if message.type is WSMsgType.TEXT:
                await self._answer(message.data, tasks, is_too_much=excess > 0)
            elif message.type is WSMsgType.PING:
                with suppress(ConnectionError):
                    await self._socket.pong(message.data)

    async def _answer(self, data: str, tasks: asyncio.TaskGroup, *, is_too_much: bool) -> None:
        ref = ""
        try:
            incoming = sent.parse_message(data)
            ref = getattr(incoming, "ref", "")
            await self._handle(incoming, tasks, is_too_much=is_too_much)
        except UserError as error:
            if is_too_much and not ref:
                # Nobody waits for the answer.
                return
            await self._refuse(ref, error)

    async def _refuse(self, ref: str, error: UserError) -> None:
        await self._services.record_refusal(error, self._user, "rooms")
        await self._send({"type": "refused", "ref": ref, "text": error.sentence.in_language(self._user.locale)})

    async def _handle(self, incoming: sent.Incoming, tasks: asyncio.TaskGroup, *, is_too_much: bool) -> None:
        if is_too_much:
            raise UserError("You are sending too much at once; wait a moment.")
        services, answers, room = self._services, self._services.answers, self._room
        user = self._user = self._visitor()
        # A page that was left open sends pings by itself.
        if not isinstance(incoming, sent.Ping):
            self._services.moderators.note_use(user)
        match incoming:
            case sent.Say():
                await self._until_confirmed()
                form, stored = await requests.say(services, user, room, incoming, self._address)
                self._confirming = tasks.create_task(self._confirm(incoming.ref, form, stored), name="web line")
            case sent.Press():
                about = user, incoming.exchange, incoming.id, incoming.thread
                press = partial(answers.press, *about, address=self._address)
                self._begin(tasks, incoming.exchange, incoming.ref, press)
            case sent.Submit():
                submit = partial(requests.submit, services, user, room, incoming, self._address)
                self._begin(tasks, incoming.id, incoming.ref, submit)
            case sent.Complete():
                if self._completion is not None:
                    self._completion.cancel()
                self._completion = tasks.create_task(self._send_completions(incoming), name="web completion")
            case sent.Name():
                requests.choose_name(services, user, incoming.name)
                self.name_changed()
                self._services.moderators.note_use(self._user)
                if incoming.ref:
                    await self._confirm(incoming.ref, None)
            case sent.Typing():
                room.notify_typing(user)
            case sent.Enter():
                await self._enter(incoming.room)
            case sent.MakeRoom() | sent.CloseRoom():
                room_name = await answers.forms.run_once(
                    user, incoming.ref, partial(requests.change_rooms, services, user, incoming)
                )
                await self._send({"type": "taken", "ref": incoming.ref, "room": room_name})
            case sent.Dismiss():
                room.dismiss(incoming.exchange, user)
            case sent.Tokens():
                await self._send_tokens(incoming)
            case sent.Ping():
                await self._send({"type": "pong"})
            case sent.SignOut():
                await self._services.moderators.sign_out(user)

    def _begin(
        self, tasks: asyncio.TaskGroup, target: int | str, ref: str, work: Callable[[], Awaitable[Form | None]]
    ) -> None:
        """Carry out a press or a form without letting the reader wait: the page may send Stop meanwhile.

        It is accepted or refused with its first reply, for which the classifier may take seconds.
        """
        task = tasks.create_task(self._act(target, ref, work), name="web press")
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)

    async def _act(self, target: int | str, ref: str, work: Callable[[], Awaitable[Form | None]]) -> None:
        # What is done to one exchange, or with one form, keeps its order.
        async with self._turns.setdefault(target, asyncio.Lock()):
            try:
                await self._confirm(ref, await work())
            except UserError as error:
                await self._refuse(ref, error)

    async def _send_tokens(self, message: sent.Tokens) -> None:
        tokens = protocol.tokens_json(await requests.find_tokens(self._services, self._user, self._room, message))
        await self._send({"type": "tokens", "ref": message.ref, "exchange": message.exchange, "tokens": tokens})

    async def _enter(self, name: str) -> None:
        await self._until_confirmed()
        # The page is sent all that the room shows.
        self._limit.count(ENTERING_WEIGHT)
        left = self._room
        try:
            room, notice = await self._services.enter(self._user, name)
        except DatabaseUnavailable as error:
            room, notice = left, error.sentence.in_language(self._user.locale)
        if room.name == GENERAL and not left.owner and self._services.rooms.find(left.name) is None:
            # The page comes here because the room that it showed was closed.
            _, notice = await self._services.enter(self._user, left.name)
        left.watchers.discard(self)
        self._show_room(room)
        await self._welcome(notice)

    async def _until_confirmed(self) -> None:
        """Wait for the last line, so that lines are stored in order, and confirmed in the room that they belong to."""
        if self._confirming is not None:
            await asyncio.wait({self._confirming})

    async def _confirm(self, ref: str, form: Form | None, stored: asyncio.Event | None = None) -> None:
        """Tell the page that its message was accepted, once it is `stored`, and send the form that it opened."""
        if stored is not None:
            await stored.wait()
        await self._send({"type": "taken", "ref": ref})
        if form is not None:
            await self._send(protocol.form_message(form, self._user.locale))

    async def _send_completions(self, message: sent.Complete) -> None:
        values = await requests.suggest(self._services, self._user, self._room, message, self._address)
        await self._send({"type": "completed", "ref": message.ref, "values": values})
