"""Delivers events and interactions to a bot: as an envelope over a socket or a signed request, with a time limit."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

from aiohttp import ClientError, ClientSession, ClientTimeout, web

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

Json = dict[str, Any]
Kind = Literal["slash_commands", "events_api", "interactive"]

ACK_SECONDS = 3.0
RETRY_SECONDS = (0.0, 60.0, 300.0)
"""Pauses before an unacknowledged event is sent again; interactions are not sent again."""


class NotAcknowledgedError(AssertionError):
    """The bot did not acknowledge in time; the user would see "the app did not respond"."""


class _DroppedError(Exception):
    """The socket was closed before the envelope was acknowledged."""


@dataclass(frozen=True)
class Ack:
    """An acknowledgement: how long it took, and its payload."""

    seconds: float
    payload: Json


@dataclass(eq=False)
class Delivery:
    """An event or interaction for the bot. `attempts` counts how often it was sent."""

    kind: Kind
    payload: Json = field(repr=False)
    trigger_id: str = ""
    response_url: str = ""
    attempts: int = 0
    reason: str = ""
    on_ack: Callable[[Ack], None] | None = None
    ack: Ack | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def event_id(self) -> str:
        """Id of an event, the same for every attempt; "" for an interaction."""
        return str(self.payload.get("event_id", ""))

    async def acknowledged(self) -> Ack:
        """Wait for the acknowledgement. Raises NotAcknowledgedError if it does not come in time."""
        await self.done.wait()
        if self.ack is None:
            raise NotAcknowledgedError(f"{self.kind} was not acknowledged in time ({self.reason})")
        return self.ack


@dataclass(eq=False)
class _Socket:
    response: web.WebSocketResponse
    waiting: dict[str, asyncio.Future[Json]] = field(default_factory=dict)


class Courier:
    """Delivers to the connected sockets in turn, else to `http_urls`, or all to the one of the number `chosen`.

    `lost` holds the deliveries that were never acknowledged, `acknowledgements` the seconds of the others.
    """

    def __init__(self, signing_secret: str, on_change: Callable[[], None]) -> None:
        self.http_urls: list[str] = []
        self.chosen: int | None = None
        self.ack_seconds = ACK_SECONDS
        self.retry_seconds = RETRY_SECONDS
        self.acknowledgements: list[float] = []
        self.lost: list[Delivery] = []
        self.unexpected_acks: list[str] = []
        self.sockets: list[_Socket] = []
        self._secret = signing_secret
        self._on_change = on_change
        self._connected = asyncio.Event()
        self._turn = 0
        self._envelopes: dict[str, asyncio.Future[Json]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._lifetime = AsyncExitStack()
        self._session: ClientSession | None = None

    async def start(self) -> None:
        """Open the HTTP session."""
        self._session = await self._lifetime.enter_async_context(ClientSession())

    async def close(self) -> None:
        """Cancel all deliveries and close all sockets."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for socket in tuple(self.sockets):
            await socket.response.close()
        await self._lifetime.aclose()

    def start_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in the background; closing cancels it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def send(self, delivery: Delivery, *, to: int | None = None) -> Delivery:
        """Deliver in the background; `to` picks a socket or an address by its number, oldest first."""
        self.start_task(self._deliver(delivery, self.chosen if to is None else to))
        return delivery

    async def _deliver(self, delivery: Delivery, to: int | None) -> None:
        try:
            await self._deliver_with_retries(delivery, to)
        finally:
            delivery.done.set()
            self._on_change()

    async def _deliver_with_retries(self, delivery: Delivery, to: int | None) -> None:
        for pause in (0.0, *self.retry_seconds) if delivery.kind == "events_api" else (0.0,):
            await asyncio.sleep(pause)
            start = time.monotonic()
            try:
                payload = await self._attempt(delivery, to)
            except TimeoutError:
                delivery.reason = "timeout"
            except (_DroppedError, ClientError, OSError, ValueError) as error:
                delivery.reason = str(error) or type(error).__name__
            else:
                delivery.ack = Ack(time.monotonic() - start, payload)
                self.acknowledgements.append(delivery.ack.seconds)
                if delivery.on_ack is not None:
                    delivery.on_ack(delivery.ack)
                return
        self.lost.append(delivery)

    async def _attempt(self, delivery: Delivery, to: int | None) -> Json:
        self._turn += 1
        turn = self._turn if to is None else to
        if not self.sockets and self.http_urls:
            async with asyncio.timeout(self.ack_seconds):
                return await self._post(delivery, self.http_urls[turn % len(self.http_urls)])
        if not self.sockets and delivery.kind != "events_api":
            raise _DroppedError("nobody is connected")
        await self._connected.wait()
        async with asyncio.timeout(self.ack_seconds):
            return await self._envelope(delivery, turn)

    # Socket Mode

    async def serve(self, request: web.Request, hello: Json) -> web.WebSocketResponse:
        """Serve one Socket Mode connection until it ends."""
        response = web.WebSocketResponse()
        await response.prepare(request)
        await response.send_json({"type": "hello", "num_connections": len(self.sockets) + 1} | hello)
        socket = _Socket(response)
        self.sockets.append(socket)
        self._connected.set()
        self._on_change()
        try:
            async for message in response:
                self._handle_ack(json.loads(message.data))
        finally:
            self.sockets.remove(socket)
            if not self.sockets:
                self._connected.clear()
            for future in socket.waiting.values():
                if not future.done():
                    future.set_exception(_DroppedError("the socket was closed"))
            self._on_change()
        return response

    def _handle_ack(self, message: Json) -> None:
        # Slack's SDK may answer over another socket than the one with the envelope.
        future = self._envelopes.get(message.get("envelope_id", ""))
        if future is None or future.done():
            self.unexpected_acks.append(message.get("envelope_id", ""))
        else:
            future.set_result(message.get("payload") or {})

    async def _envelope(self, delivery: Delivery, turn: int) -> Json:
        socket = self.sockets[turn % len(self.sockets)]
        name = str(uuid.uuid4())
        future: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._envelopes[name] = socket.waiting[name] = future
        envelope: Json = {
            "envelope_id": name,
            "type": delivery.kind,
            "payload": delivery.payload,
            "accepts_response_payload": delivery.kind != "events_api",
        }
        if delivery.kind == "events_api":
            envelope |= {"retry_attempt": delivery.attempts, "retry_reason": delivery.reason}
        delivery.attempts += 1
        try:
            await socket.response.send_json(envelope)
            return await future
        finally:
            socket.waiting.pop(name, None)

    # Signed HTTP

    async def _post(self, delivery: Delivery, url: str) -> Json:
        headers = {}
        if delivery.kind == "events_api":
            body, kind = json.dumps(delivery.payload), "application/json"
            if delivery.attempts:
                reason = "http_timeout" if delivery.reason == "timeout" else "http_error"
                headers = {"X-Slack-Retry-Num": str(delivery.attempts), "X-Slack-Retry-Reason": reason}
        else:
            kind = "application/x-www-form-urlencoded"
            plain = delivery.kind == "slash_commands"
            body = urlencode(delivery.payload if plain else {"payload": json.dumps(delivery.payload)})
        delivery.attempts += 1
        status, text = await self.post(url, body, content_type=kind, headers=headers)
        if status != 200:
            raise ValueError(f"HTTP status {status}")
        try:
            return json.loads(text) if text else {}
        except ValueError:
            return {"text": text}

    async def post(
        self,
        url: str,
        body: str,
        *,
        timestamp: int | None = None,
        secret: str | None = None,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> tuple[int, str]:
        """Send a signed request; return status and body. Another `secret` or an old `timestamp` makes it invalid."""
        assert self._session is not None
        at = str(int(time.time()) if timestamp is None else timestamp)
        key = self._secret if secret is None else secret
        digest = hmac.new(key.encode(), f"v0:{at}:{body}".encode(), hashlib.sha256).hexdigest()
        signed = {
            "Content-Type": content_type,
            "X-Slack-Request-Timestamp": at,
            "X-Slack-Signature": f"v0={digest}",
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
        }
        timeout = ClientTimeout(total=60)
        async with self._session.post(
            url, data=body.encode(), headers=signed | (headers or {}), timeout=timeout
        ) as answer:
            return answer.status, await answer.text()
