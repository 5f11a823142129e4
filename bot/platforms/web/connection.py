"""One open page: reads what it sends, and writes the newest of what it shows at the page's own pace."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType

from bot.errors import UserError
from bot.platforms.web import wire
from bot.platforms.web.answers import PLACE
from bot.platforms.web.visitors import user_of

if TYPE_CHECKING:
    from aiohttp import web

    from bot.app import Bot
    from bot.message import Attachment, Form
    from bot.platforms.web.answers import Answers
    from bot.platforms.web.files import Files
    from bot.platforms.web.room import Room

log = logging.getLogger(__name__)

PACE_SECONDS = 0.05
"""A page is sent an exchange at most this often, and always its last state."""
WAITING = 32
"""Answers to the page itself that may wait; a page that sends without reading is then no longer read."""


class Connection:
    """Serves one WebSocket until it closes. Memory does not grow with a page that reads slowly: of every exchange
    only the fact that it changed is noted, and its state is taken when it can be sent.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        secret: str,
        *,
        bot: Bot,
        room: Room,
        answers: Answers,
        uploads: Files,
    ) -> None:
        self._socket = socket
        self._secret = secret
        self._bot = bot
        self._room = room
        self._answers = answers
        self._uploads = uploads
        self._changed: dict[int, None] = {}
        self._outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue(WAITING)
        self._wake = asyncio.Event()
        self._completion: asyncio.Task[None] | None = None

    async def serve(self, name: str, locale: str) -> None:
        """Welcome the visitor and serve them; returns when the page has gone."""
        self._user = user_of(self._secret, name, locale)
        with self._room.watch(self._note):
            commands = self._bot.commands_for(self._user, PLACE)
            await self._put(wire.welcome(self._user, commands, self._room.seen_by(self._user.id)))
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

    def _note(self, exchange_id: int) -> None:
        self._changed[exchange_id] = None
        self._wake.set()

    async def _put(self, message: dict[str, Any]) -> None:
        await self._outbox.put(message)
        self._wake.set()

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while not self._outbox.empty():
                    await self._socket.send_json(self._outbox.get_nowait())
                changed, self._changed = self._changed, {}
                for exchange_id in changed:
                    await self._socket.send_json(self._snapshot(exchange_id))
                if changed:
                    await asyncio.sleep(PACE_SECONDS)
        except ConnectionError:
            log.debug("A page has gone while it was written to")

    def _snapshot(self, exchange_id: int) -> dict[str, Any]:
        exchange = self._room.get(exchange_id)
        if exchange is None or not exchange.is_visible_to(self._user.id):
            return {"type": "gone", "id": exchange_id}
        return wire.exchange_for(self._user, exchange)

    async def _read(self, tasks: asyncio.TaskGroup) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                continue
            ref = ""
            try:
                incoming = wire.read(message.data)
                ref = getattr(incoming, "ref", "")
                await self._handle(incoming, tasks)
            except UserError as error:
                text = error.sentence.in_language(self._user.locale)
                await self._put({"type": "refused", "ref": ref, "text": text})

    async def _handle(self, incoming: wire.Incoming, tasks: asyncio.TaskGroup) -> None:
        match incoming:
            case wire.Say():
                if len(incoming.text) > wire.MOST_TEXT:
                    sentence = "A message may have {most} characters; this one has {count}."
                    raise UserError(sentence, most=wire.MOST_TEXT, count=len(incoming.text))
                await self._taken(incoming.ref, await self._answers.say(self._user, incoming.text, incoming.ref))
            case wire.Press():
                form = await self._answers.press(self._user, incoming.exchange, incoming.id)
                await self._taken(incoming.ref, form)
            case wire.Submit():
                fields = {**incoming.fields, **self._uploaded(incoming)}
                await self._taken(incoming.ref, await self._answers.submit(self._user, incoming.id, fields))
            case wire.Complete():
                if self._completion is not None:
                    self._completion.cancel()
                self._completion = tasks.create_task(self._complete(incoming), name="web completion")
            case wire.Name():
                self._user = user_of(self._secret, incoming.name, self._user.locale)
                await self._put({"type": "you", "you": wire.person(self._user)})

    async def _taken(self, ref: str, form: Form | None) -> None:
        await self._put({"type": "taken", "ref": ref})
        if form is not None:
            await self._put(wire.form(form))

    def _uploaded(self, submitted: wire.Submit) -> dict[str, Attachment]:
        found = {}
        for field, name in submitted.files.items():
            file = self._uploads.get(name, self._user.id)
            if file is None:
                raise UserError("The file for “{field}” is no longer here; choose it again.", field=field)
            found[field] = file
        return found

    async def _complete(self, asked: wire.Complete) -> None:
        try:
            values = await self._answers.complete(self._user, asked.command, asked.option, asked.typed)
        except Exception:
            log.exception("Completion of %s in /%s failed", asked.option, asked.command)
            values = ()
        await self._put({"type": "completed", "ref": asked.ref, "values": list(values)[:25]})
