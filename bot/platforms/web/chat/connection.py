"""One open page: reads what it sends, and writes the newest of what it shows at the page's own pace."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType

from bot.core.caller import Caller
from bot.core.errors import Expired, UserError
from bot.platforms.web.chat import protocol
from bot.platforms.web.chat.protocol import tokens
from bot.storage.audit import MODERATION, AuditEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from bot.core.messages import Attachment, Form, User
    from bot.platforms.web.chat.services import WebServices

log = logging.getLogger(__name__)

PACE_SECONDS = 0.05
"""A page is sent an exchange at most this often, and always its last state."""
WAITING = 32
"""Answers to the page itself that may wait; a page that sends without reading is then no longer read."""


class Connection:
    """Serves one WebSocket until it closes. Memory does not grow with a page that reads slowly: of every exchange
    only the fact that it changed is noted, and its state is taken when it can be sent.
    """

    def __init__(self, socket: web.WebSocketResponse, secret: str, house: WebServices) -> None:
        self._socket = socket
        self._secret = secret
        self._house = house
        self._changed: dict[int, None] = {}
        self._news: dict[str, dict[str, Any]] = {}
        self._outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue(WAITING)
        self._wake = asyncio.Event()
        self._completion: asyncio.Task[None] | None = None

    async def serve(self, name: str, locale: str, room: str) -> None:
        """Welcome the visitor in a room and serve them; returns when the page has gone."""
        self._name, self._locale = name, locale
        self._user = self._visitor()
        self._room = self._house.rooms.get(room)
        self._room.watch(self)
        self._house.rooms.listen(self)
        try:
            await self._welcome()
            await self._exchange()
        finally:
            self._house.rooms.forget(self)
            self._room.leave(self)

    async def _exchange(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            both = {
                tasks.create_task(self._write(), name="web writer"),
                tasks.create_task(self._read(tasks), name="web reader"),
            }
            # Either may notice first that the page has gone, while the other waits for something else.
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in (*both, self._completion):
                if task is not None:
                    task.cancel()

    def _visitor(self) -> User:
        """Who this is, with the rights that they have now: those may be taken away while the page is open."""
        return self._house.visitor(self._secret, self._name, self._locale)

    # What the rooms tell

    def changed(self, exchange_id: int) -> None:
        """Note that an exchange in this page's room is another one than before."""
        self._changed[exchange_id] = None
        self._wake.set()

    def typing(self, user: User) -> None:
        """Note that somebody is writing here."""
        if user.id != self._user.id:
            self._note(f"typing {user.id}", {"type": "typing", "who": protocol.person(user)})

    def spoken(self, room: str, user: User) -> None:
        """Note that somebody said something elsewhere."""
        if room != self._room.name and user.id != self._user.id:
            self._note(f"spoken {room}", {"type": "spoken", "room": room})

    def rooms_changed(self) -> None:
        """Note that there are other rooms, and leave one that has been closed."""
        names = self._house.rooms.names
        self._note("rooms", {"type": "rooms", "rooms": names})
        if self._room.name not in names:
            self._note("closed", {"type": "closed", "room": self._room.name})

    def _note(self, key: str, news: dict[str, Any]) -> None:
        self._news[key] = news
        self._wake.set()

    # To the page

    async def _put(self, message: dict[str, Any]) -> None:
        await self._outbox.put(message)
        self._wake.set()

    async def _welcome(self) -> None:
        bot, place = self._house.bot, self._room.place()
        commands = bot.commands_for(self._user, place)
        links = await self._house.links(place, self._user)
        # From here on nothing is awaited, so that no change falls between what is told now and what is noted.
        self._changed.clear()
        self._outbox.put_nowait(protocol.welcome(self._user, self._room, self._house.rooms.names, commands, links))
        self._wake.set()

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while not self._outbox.empty():
                    await self._socket.send_json(self._outbox.get_nowait())
                news, self._news = self._news, {}
                for told in news.values():
                    await self._socket.send_json(told)
                changed, self._changed = self._changed, {}
                for exchange_id in changed:
                    await self._socket.send_json(self._snapshot(exchange_id))
                if changed or news:
                    await asyncio.sleep(PACE_SECONDS)
        except ConnectionError:
            log.debug("A page has gone while it was written to")

    def _snapshot(self, exchange_id: int) -> dict[str, Any]:
        exchange = self._room.get(exchange_id)
        if exchange is not None and (exchange.for_moderators or exchange.reply.final):
            # Rights decide who sees the former, and which buttons stay below what is final; looking them up for
            # everything that streams would cost too much.
            self._user = self._visitor()
        if exchange is None or not exchange.is_visible_to(self._user):
            return {"type": "gone", "id": exchange_id}
        return protocol.exchange_for(self._user, exchange)

    # From the page

    async def _read(self, tasks: asyncio.TaskGroup) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                continue
            ref = ""
            try:
                incoming = protocol.read(message.data)
                ref = getattr(incoming, "ref", "")
                await self._handle(incoming, tasks)
            except UserError as error:
                await self._house.note(error, self._user, "rooms")
                text = error.sentence.in_language(self._user.locale)
                await self._put({"type": "refused", "ref": ref, "text": text})

    async def _handle(self, incoming: protocol.Incoming, tasks: asyncio.TaskGroup) -> None:
        answers, room = self._house.answers, self._room
        user = self._user = self._visitor()
        match incoming:
            case protocol.Say():
                await self._taken(incoming.ref, await self._say(incoming))
            case protocol.Press():
                form = await answers.press(user, incoming.exchange, incoming.id, incoming.thread)
                await self._taken(incoming.ref, form)
            case protocol.Submit():
                fields = {**incoming.fields, **self._uploaded(incoming.files)}
                form = await answers.submit(user, room, incoming.thread, incoming.id, fields, incoming.ref)
                await self._taken(incoming.ref, form)
            case protocol.Complete():
                if self._completion is not None:
                    self._completion.cancel()
                self._completion = tasks.create_task(self._complete(incoming), name="web completion")
            case protocol.Name():
                self._name = incoming.name
                self._user = self._visitor()
                await self._put({"type": "you", "you": self._you()})
            case protocol.Typing():
                room.tell_typing(user)
            case protocol.Enter():
                await self._enter(incoming.room)
            case protocol.MakeRoom() | protocol.CloseRoom():
                made = await answers.once(user, incoming.ref, partial(self._change_rooms, incoming))
                await self._put({"type": "taken", "ref": incoming.ref, "room": made})
            case protocol.Tokens():
                await self._tokens(incoming)
            case protocol.Ping():
                await self._put({"type": "pong"})
            case protocol.SignOut():
                await self._house.moderators.sign_out(user.id)
                self._user = self._visitor()
                await self._welcome()

    async def _say(self, said: protocol.Say) -> Form | None:
        if len(said.text) > protocol.MOST_TEXT:
            sentence = "A message may have {most} characters; this one has {count}."
            raise UserError(sentence, most=protocol.MOST_TEXT, count=len(said.text))
        files = self._uploaded(said.files)
        return await self._house.answers.say(
            self._user, self._room, said.text, said.ref, thread=said.thread, parent=said.parent, files=files
        )

    async def _tokens(self, asked: protocol.Tokens) -> None:
        exchange = self._room.get(asked.exchange)
        if exchange is None:
            raise Expired("This has expired: it is no longer stored.")
        place = self._room.place(exchange.thread)
        found = await self._house.bot.tokens(exchange.reply.row, self._user, place)
        if not found:
            raise UserError("No tokens are kept of this answer.")
        await self._put({"type": "tokens", "ref": asked.ref, "exchange": asked.exchange, "tokens": tokens(found)})

    async def _enter(self, name: str) -> None:
        self._room.leave(self)
        self._room = self._house.rooms.get(name)
        self._room.watch(self)
        await self._welcome()

    async def _change_rooms(self, wanted: protocol.MakeRoom | protocol.CloseRoom) -> str:
        """Open or close a room; the name of the one that was opened, else ""."""
        Caller(self._user, self._room.place()).require_moderator("Only moderators can open and close rooms.")
        if isinstance(wanted, protocol.CloseRoom):
            await self._house.rooms.close(wanted.room)
            await self._note_room("close room", wanted.room)
            return ""
        room = await self._house.rooms.make(wanted.name)
        await self._house.answers.fill(room)
        await self._note_room("open room", room.name)
        return room.name

    async def _note_room(self, what: str, name: str) -> None:
        place = replace(self._room.place(), channel=name)
        await self._house.bot.audit.record(AuditEntry(actor=self._user, place=place, kind=MODERATION, what=what))

    def _you(self) -> dict[str, Any]:
        return protocol.person(self._user) | {"moderator": self._user.is_moderator}

    async def _taken(self, ref: str, form: Form | None) -> None:
        await self._put({"type": "taken", "ref": ref})
        if form is not None:
            await self._put(protocol.form(form))

    def _uploaded(self, files: Mapping[str, str]) -> dict[str, Attachment]:
        found = {}
        for field, name in files.items():
            file = self._house.uploads.get(name, self._user.id)
            if file is None:
                raise UserError("The file for “{field}” is no longer here; choose it again.", field=field)
            found[field] = file
        return found

    async def _complete(self, asked: protocol.Complete) -> None:
        try:
            values = await self._house.answers.complete(
                self._user, self._room, asked.command, asked.option, asked.typed, asked.line
            )
        except Exception:
            log.exception("Completion of %s in /%s failed", asked.option, asked.command)
            values = ()
        await self._put({"type": "completed", "ref": asked.ref, "values": list(values)[:25]})
