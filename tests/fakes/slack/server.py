"""The server side of the fake: HTTP routes, Socket Mode, and the events that follow changes."""

from __future__ import annotations

import asyncio
import functools
import json
import time
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

from aiohttp import web
from fakes.core.stack_dump import show_stacks
from fakes.slack import calls, chat, contract, files, lookups, oauth, response_urls, streams, views
from fakes.slack.calls import SCOPES, ApiError, Call, Method
from fakes.slack.delivery import Courier, Delivery
from fakes.slack.rates import RateTiers
from fakes.slack.workspace import Channel, FakeFile, FakeMessage, FakeView, User, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

Json = dict[str, Any]
Found = TypeVar("Found")

METHODS: dict[str, Method] = (
    chat.METHODS | streams.METHODS | views.METHODS | files.METHODS | lookups.METHODS | oauth.METHODS
)
TRIGGER_SECONDS = 3.0
STREAM_SECONDS = 300.0
PATIENCE_SECONDS = 30.0
"""Time limit of every wait in a test; no test depends on it."""


@dataclass
class _Refusal:
    error: str
    retry_after: int
    times: int
    status: int


class Server:
    """A workspace with one app installed. Its end as an async context manager asserts that there are no `violations`.

    `scopes` are those of the bot token, `calls` all Web API calls, `rate_limited_calls` those that exceeded a rate
    limit, `statuses` the statuses by (channel, thread). The answer to the next call of a method in `lost_answers` is
    lost; a method in `held_methods` is answered once its event is set. The next
    `refused_handshakes` sockets are refused.
    """

    def __init__(self) -> None:
        self.bot_token = f"xoxb-{uuid.uuid4().hex}"
        self.app_token = f"xapp-1-{uuid.uuid4().hex}"
        self.signing_secret = uuid.uuid4().hex
        self.workspace = Workspace()
        self.team = self.workspace.new_id("T")
        self.team_name = "Tempera test"
        self.oauth = oauth.OAuth()
        self.app_id = self.workspace.new_id("A")
        self.bot_id = self.workspace.new_id("B")
        self.bot_user = self.workspace.new_id("U")
        self.workspace.users[self.bot_user] = User(self.bot_user, "tempera", bot=True)
        self.scopes = set(SCOPES)
        self.rate_tiers = RateTiers()
        self.stream_seconds = STREAM_SECONDS
        self.trigger_seconds = TRIGGER_SECONDS
        self.violations: list[str] = []
        self.calls: list[Call] = []
        self.rate_limited_calls: list[Call] = []
        self.statuses: dict[tuple[str, str], str] = {}
        self.lost_answers: set[str] = set()
        self.held_methods: dict[str, asyncio.Event] = {}
        self.refused_handshakes = 0
        self.response_urls = response_urls.ResponseUrls()
        self.courier = Courier(self.signing_secret, self.notify_waiters)
        self.url = ""
        self._tickets: set[str] = set()
        self._triggers: dict[str, tuple[str, float]] = {}
        self._exchanged: set[str] = set()
        self._refusals: dict[str, _Refusal] = {}
        self._revoked: dict[str, str] = {}
        self._waiting: set[asyncio.Event] = set()
        self._lifetime = AsyncExitStack()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 << 20)
        app.add_routes(
            [
                web.route("*", "/api/{method}", self._call),
                web.get("/link/", self._socket),
                web.post("/upload/v1/{file}", functools.partial(files.upload, self)),
                web.get("/files-pri/{file}/{name}", functools.partial(files.download, self)),
                web.post("/hooks/{name}", functools.partial(response_urls.respond, self)),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._lifetime.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        await self.courier.start()
        self._lifetime.push_async_callback(self.courier.close)
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        await self._lifetime.aclose()
        if error is None:
            assert not self.violations, "\n".join(self.violations)

    @property
    def api_base(self) -> str:
        """Address of the Web API."""
        return f"{self.url}/api/"

    # Waiting

    def notify_waiters(self) -> None:
        """Wake every `until`, so that it checks its predicate again."""
        for event in self._waiting:
            event.set()

    async def until(self, predicate: Callable[[], Found], timeout: float = PATIENCE_SECONDS) -> Found:
        """Wait until `predicate()` is true, and return its value."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            async with asyncio.timeout(timeout):
                while not (found := predicate()):
                    event.clear()
                    try:
                        # The predicate may depend on things that this server does not change.
                        async with asyncio.timeout(0.1):
                            await event.wait()
                    except TimeoutError:
                        continue
                return found
        except TimeoutError:
            show_stacks()
            messages = "\n".join(f"{one.channel} {one.ts} {one.shown!r}" for one in self.workspace.messages[-20:])
            last_calls = [(call.method, call.error) for call in self.calls[-20:]]
            raise TimeoutError(
                f"The condition did not become true. Last messages:\n{messages}\nLast calls: {last_calls}"
            ) from None
        finally:
            self._waiting.discard(event)

    def start_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in the background."""
        self.courier.start_task(work)

    # The Web API

    async def _call(self, request: web.Request) -> web.Response:
        arguments, token = await calls.read_arguments(request)
        call = Call(request.match_info["method"], arguments, token, time.monotonic())
        return await self.oauth.tokens.get(token, self)._answer(call, request)

    async def _answer(self, call: Call, request: web.Request) -> web.Response:
        self.calls.append(call)
        if (event := self.held_methods.get(call.method)) is not None:
            await event.wait()
        headers = {}
        try:
            method = self._check_call(call)
            call.result = {"ok": True} | await method.handler(self, call)
            status = 200
        except ApiError as error:
            call.error, status = error.error, error.status
            call.result = {"ok": False, "error": error.error} | error.extra
            if error.retry_after:
                headers["Retry-After"] = str(error.retry_after)
        scopes = {"connections:write"} if call.token == self.app_token else self.scopes
        headers["x-oauth-scopes"] = ",".join(sorted(scopes))
        self.notify_waiters()
        if call.method in self.lost_answers and request.transport is not None:
            self.lost_answers.remove(call.method)
            request.transport.abort()
        return web.json_response(call.result, status=status, headers=headers)

    def _check_call(self, call: Call) -> Method:
        self.violations += contract.problems(call.method, call.arguments)
        if refusal := self._refusals.get(call.method):
            refusal.times -= 1
            if not refusal.times:
                del self._refusals[call.method]
            raise ApiError(refusal.error, status=refusal.status, retry_after=refusal.retry_after)
        method = METHODS.get(call.method)
        if method is None:
            raise ApiError("unknown_method")
        self._authorise(call, method)
        tier = method.tier
        if seconds := self.rate_tiers.wait(call.method, tier, call.text("channel")):
            self.rate_limited_calls.append(call)
            raise ApiError("ratelimited", status=429, retry_after=seconds)
        if missing := [name for name in method.required if call.arguments.get(name) in (None, "")]:
            raise ApiError("invalid_arguments", *(f"missing required field: {name}" for name in missing))
        return method

    def _authorise(self, call: Call, method: Method) -> None:
        if call.method == oauth.METHOD:
            return
        if not call.token:
            raise ApiError("not_authed")
        if error := self._revoked.get(call.token):
            raise ApiError(error)
        if call.token not in (self.bot_token, self.app_token) and call.token not in self.oauth.tokens:
            raise ApiError("invalid_auth")
        is_app = call.token == self.app_token
        if is_app != method.app_token and not (call.method == "auth.test"):
            raise ApiError("not_allowed_token_type")
        if not is_app and method.scopes and not self.scopes.intersection(method.scopes):
            provided = ",".join(sorted(self.scopes))
            raise ApiError("missing_scope", needed=method.scopes[0], provided=provided)

    def refuse(
        self, method: str, error: str = "ratelimited", *, retry_after: int = 0, times: int = 1, status: int = 0
    ) -> None:
        """Answer the next `times` calls of a method (-1: all) with an error."""
        status = status or (429 if error == "ratelimited" else 200)
        self._refusals[method] = _Refusal(error, retry_after or int(error == "ratelimited"), times, status)

    def without_streaming(self) -> None:
        """Refuse the methods for streams as unknown, like servers that are not Slack's."""
        for method in streams.METHODS:
            self.refuse(method, "unknown_method", times=-1)

    def revoke_token(self, token: str, error: str) -> None:
        """Answer calls with this token with an error from now on, with "" as before."""
        self._revoked[token] = error

    def revoke(self, *, error: str = "token_revoked", app_token: bool = False) -> None:
        """Revoke the bot token, or the app token and its sockets."""
        self.revoke_token(self.app_token if app_token else self.bot_token, error)
        if app_token:
            self.disconnect("link_disabled")

    # Socket Mode

    def new_socket_url(self) -> str:
        """Return an address for one connection."""
        ticket = uuid.uuid4().hex
        self._tickets.add(ticket)
        return f"{self.url.replace('http', 'ws', 1)}/link/?ticket={ticket}&app_id={self.app_id}"

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=403)
        self._tickets.remove(ticket)
        if self.refused_handshakes:
            # The address is used up all the same.
            self.refused_handshakes -= 1
            return web.Response(status=503)
        about = {
            "debug_info": {"host": "applink-1", "approximate_connection_time": 18060},
            "connection_info": {"app_id": self.app_id},
        }
        return await self.courier.serve(request, about)

    def disconnect(self, reason: str = "refresh_requested") -> None:
        """Ask every connection to reconnect; every reason except "warning" closes it as well."""
        for socket in tuple(self.courier.sockets):
            self.start_task(self._dismiss(socket.response, reason))

    async def _dismiss(self, socket: web.WebSocketResponse, reason: str) -> None:
        await socket.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-1"}})
        if reason != "warning":
            # Slack gives the client some seconds to reconnect; a short pause is enough here.
            await asyncio.sleep(0.2)
            await socket.close()

    def drop_socket(self) -> None:
        """Break every connection without notice."""
        for socket in self.courier.sockets:
            if (transport := socket.response._req.transport) is not None:
                transport.abort()

    # Triggers

    def new_trigger(self, user: str) -> str:
        """Return a trigger_id for an interaction of `user`."""
        name = f"{time.time_ns()}.{self.team}.{uuid.uuid4().hex}"
        self._triggers[name] = (user, time.monotonic())
        return name

    def use_trigger(self, trigger: str) -> str:
        """Use a trigger and return its user. Raises ApiError if it was used, is too old, or does not exist."""
        if trigger in self._exchanged:
            raise ApiError("exchanged_trigger_id")
        if trigger not in self._triggers:
            raise ApiError("invalid_trigger_id")
        user, at = self._triggers[trigger]
        if time.monotonic() - at > self.trigger_seconds:
            raise ApiError("expired_trigger_id")
        self._exchanged.add(trigger)
        return user

    # JSON as Slack sends it

    def as_json(self, message: FakeMessage) -> Json:
        """Return a message as events, payloads and results contain it."""
        found = message.as_json()
        if message.user == self.bot_user:
            found |= {"bot_id": self.bot_id, "app_id": self.app_id, "team": self.team}
            found["bot_profile"] = {"id": self.bot_id, "app_id": self.app_id, "name": "Tempera", "team_id": self.team}
        elif author := self.workspace.users.get(message.user):
            found |= author.teams(self.team)
        return found

    def view_as_json(self, view: FakeView) -> Json:
        """Return a view as payloads and results contain it."""
        return view.as_json(self.team, self.app_id, self.bot_id)

    def file_as_json(self, file: FakeFile) -> Json:
        """Return a file as files.info contains it, and most events."""
        return file.as_json(self.url, lambda name: self.workspace.channels[name].type == "channel")

    # Changes, and the events for them

    def add_message(self, message: FakeMessage) -> FakeMessage:
        """Add a new message, and send the bot its event."""
        message.record_version()
        self.workspace.messages.append(message)
        if message.thread_ts:
            self.statuses.pop((message.channel, message.thread_ts), None)
        if not message.ephemeral_to:
            self.send_message_event(message, {})
        self.notify_waiters()
        return message

    def record_edit(self, message: FakeMessage, before: Json) -> None:
        """Record that a message was edited, and send the bot an event."""
        message.record_version()
        if not message.ephemeral_to:
            self.send_message_event(message, {"subtype": "message_changed", "hidden": True, "previous_message": before})
        self.notify_waiters()

    def record_growth(self, message: FakeMessage) -> None:
        """Record that a stream grew; there is no event for it."""
        message.record_version()
        self.notify_waiters()

    def remove_message(self, message: FakeMessage) -> None:
        """Delete a message, and send the bot an event."""
        message.deleted = True
        message.edits.append((time.monotonic(), ""))
        if not message.ephemeral_to:
            about = {"subtype": "message_deleted", "hidden": True, "deleted_ts": message.ts}
            self.send_message_event(message, about | {"previous_message": self.as_json(message)})
        self.notify_waiters()

    def is_streaming(self, message: FakeMessage) -> bool:
        """Return whether the stream of a message is open; a stream that is too old is closed."""
        if message.streaming and time.monotonic() > message.stream_until:
            message.streaming = False
        return message.streaming

    def expire_streams(self) -> None:
        """Close every stream, as Slack does after some minutes."""
        for message in self.workspace.messages:
            message.stream_until = 0.0
            self.is_streaming(message)
        self.notify_waiters()

    def send_message_event(self, message: FakeMessage, change: Json) -> None:
        """Send the bot a message event, if it is in the channel."""
        place = self.workspace.channels[message.channel]
        if self.bot_user not in place.members:
            return
        about = {"channel": place.id, "channel_type": place.type, "event_ts": self.workspace.new_ts()}
        if change:
            event = {"type": "message", "ts": about["event_ts"]} | change
            if change["subtype"] == "message_changed":
                event["message"] = self.as_json(message)
        else:
            event = self.as_json(message)
        message.events.append(self.send_event(event | about))

    def send_event(self, event: Json) -> Delivery:
        """Send an event to the bot."""
        authorization = {"team_id": self.team, "user_id": self.bot_user, "is_bot": True, "enterprise_id": None}
        payload = {
            "token": "unused",
            "team_id": self.team,
            "api_app_id": self.app_id,
            "event": json.loads(json.dumps(event)),
            "type": "event_callback",
            "event_id": self.workspace.new_id("Ev"),
            "event_time": int(time.time()),
            "authorizations": [authorization | {"is_enterprise_install": False}],
            "is_ext_shared_channel": False,
        }
        return self.courier.send(Delivery("events_api", payload))

    def channel_of(self, name: str) -> Channel:
        """Return the channel with this id."""
        return self.workspace.channels[name]
