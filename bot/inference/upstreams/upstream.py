"""One server that models are reached through: its connections, its models, and what is known of its health."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import aiohttp
from opentelemetry import propagate

from bot.inference.models import OURS, read_list
from bot.inference.responses import (
    broken,
    busy,
    checked_format,
    connection_errors,
    down,
    raise_error,
    read_object,
    refused,
    require_object,
    streamed_error,
)
from bot.inference.upstreams.breaker import Breaker
from bot.inference.upstreams.dialects import KINDS, TEMPERA, TOO_LONG, Dialect, recognise
from bot.inference.upstreams.queue import UpstreamQueue

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from bot.config.upstreams import Kind, UpstreamSection
    from bot.inference.models import ListedModel

MODEL_SERVER = "model server"
"""The name of the server of `[model_server]`, where it needs one."""
LISTING_TIMEOUT_SECONDS = 10.0
"""How long a server may take to list its models, the turns of others included."""
LIST_SECONDS = 30.0
"""How long the models of a server by others are remembered. What ours tells of its models changes by the second."""
READ_BUFFER_BYTES = 1 << 22
MAX_DETAIL_CHARACTERS = 4000


@dataclass(frozen=True, slots=True)
class Timing:
    """The longest times that a model server may take, in seconds."""

    connect: float = 5
    silence: float = 300
    """The longest time without data, so that a request can wait in the queue but not for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where an upstream is and who it is, as `UpstreamSection` has it. `name` is "" for the one of `[model_server]`.

    `base` is the address before “/chat/completions”. What `is_local` runs on the operator's own machines.
    `models` are the names of its models by task, if the operator told them; it is not asked for them then. It gets
    `at_once` requests at once and `tokens_a_minute`, each 0 for no limit. `kind` is "" to recognise it by its list;
    it is not sent the fields to `leave_out`, nor turns of the system without `system_turn`.
    """

    url: str
    base: str
    key: str = field(default="", repr=False)
    name: str = ""
    is_local: bool = True
    models: Mapping[str, Sequence[str]] = field(default_factory=dict)
    at_once: int = 0
    tokens_a_minute: int = 0
    kind: Kind = ""
    leave_out: Sequence[str] = ()
    system_turn: bool = True


class Upstream:
    """A connection pool to one server, and what it told about itself."""

    def __init__(
        self,
        address: Address | UpstreamSection,
        timing: Timing | None = None,
        traces: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        """`traces` are called by aiohttp while it connects, and may refuse the server (see key_proof.py)."""
        self.address = address
        self.name = address.name
        self.is_local = address.is_local
        self.breaker = Breaker()
        self.queue = UpstreamQueue(address.at_once, address.tokens_a_minute) if address.at_once else None
        self._timing = timing or Timing()
        self.traces = list(traces)
        self._session: aiohttp.ClientSession | None = None
        self._listed: Sequence[ListedModel] | None = None
        self._listed_at = 0.0
        self._listing = asyncio.Lock()
        self.heard_at = 0.0
        """When it sent a part of an answer last, by the monotonic clock."""
        self._kind: Kind = ""

    def open(self) -> None:
        """Make the connection pool; nothing is connected yet."""
        timeout = aiohttp.ClientTimeout(sock_connect=self._timing.connect, sock_read=self._timing.silence)
        key = self.address.key
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=timeout,
            # Queues are fair between users; a limited pool would be a second queue that is not.
            connector=aiohttp.TCPConnector(limit=0),
            read_bufsize=READ_BUFFER_BYTES,
            trace_configs=self.traces,
            # A company may let nothing out but through its proxy. Without one, aiohttp would still read ~/.netrc.
            trust_env=not self.is_local and urlsplit(self.address.base).scheme in getproxies(),
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    # Models

    async def list_models(self) -> Sequence[ListedModel]:
        """Return the server's models and what it says about each. Raises ModelError."""
        if self.address.models:
            return self._configured_models()
        wanted = time.monotonic()
        try:
            # Whoever waits for the turn of another one waits no longer than that one.
            async with asyncio.timeout(LISTING_TIMEOUT_SECONDS), self._listing:
                # One answer serves all that waited before it was asked for.
                oldest = wanted if self.is_ours else wanted - LIST_SECONDS
                if self._listed is None or self._listed_at < oldest:
                    asked = time.monotonic()
                    answer = await self.request("GET", "/models")
                    with checked_format(self.shown_name):
                        self._listed, self._kind = read_list(answer), recognise(answer)
                    self._listed_at = asked
                return self._listed
        except TimeoutError as error:
            raise down(self.shown_name) from error

    @property
    def known_models(self) -> Sequence[ListedModel]:
        """What was listed last, without asking again."""
        return self._configured_models() if self.address.models else self._listed or ()

    def _configured_models(self) -> Sequence[ListedModel]:
        vision = self.address.models.get("vision", ())
        return [
            (name, {"task": task, "reads_images": name in vision})
            for task, names in self.address.models.items()
            for name in names
            if task != "vision"
        ]

    @property
    def is_ours(self) -> bool:
        """True for a model server of Tempera, as far as its list of models tells."""
        if self._listed:
            return any(about.get(OURS) for _, about in self._listed)
        return not self.name

    async def dialect(self) -> Dialect:
        """Return what the server takes. Raises ModelError if it had to be asked for its list."""
        if self._listed is None:
            await self.list_models()
        if self.is_ours:
            return TEMPERA
        known, address = KINDS[self.address.kind or self._kind], self.address
        return replace(known, leave_out=known.leave_out.union(address.leave_out), system_turn=address.system_turn)

    # HTTP

    def _require_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("ModelClient is used before it was entered")
        return self._session

    @property
    def shown_name(self) -> str:
        """The name for sentences about errors; "" for a server of ours, whose own sentences are made for users."""
        return self.name or ("" if self.is_ours else MODEL_SERVER)

    def anonymous(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the body of a request without whoever asks, if it goes to a remote server."""
        return body if self.is_local else {name: value for name, value in body.items() if name != "user"}

    async def get(self, path: str) -> tuple[int, Mapping[str, Any]]:
        """Return the status and the object at a path of the server itself, whatever the status is."""
        async with self._require_session().get(f"{self.address.url}{path}", allow_redirects=False) as response:
            if response.status not in (200, 503):
                await raise_error(response, self.shown_name)
            return response.status, require_object(await response.json(content_type=None))

    async def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Send a request and return the object that answers it. Raises ModelError."""
        sent = None if body is None else self.anonymous(body)
        with connection_errors(self.shown_name):
            async with self._open(method, path, json=sent) as response:
                if response.status >= 300:
                    await raise_error(response, self.shown_name)
                return await read_object(response)

    async def stream(self, path: str, **request: Any) -> AsyncGenerator[Mapping[str, Any], None]:
        """Yield the chunks of a stream of server-sent events. `request` has the arguments of aiohttp's `post`.

        It ends with “[DONE]”, or after the connection was closed. A server that does not stream answers with one
        object, which is yielded.
        """
        if "json" in request:
            request["json"] = self.anonymous(request["json"])
        with connection_errors(self.shown_name):
            async with self._open("POST", path, **request) as response:
                if response.status >= 300:
                    await raise_error(response, self.shown_name)
                if response.content_type == "application/json":
                    answer = await read_object(response)
                    if problem := answer.get("error"):
                        self._raise_problem(problem)
                    yield answer
                    return
                heard = time.monotonic()
                async for line in response.content:
                    data = line.strip().removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
                    if data == b"[DONE]":
                        yield DONE
                        return
                    if time.monotonic() - heard > self._timing.silence:
                        # Comments keep a connection open, and say nothing.
                        raise TimeoutError
                    if data:
                        self.heard_at = heard = time.monotonic()
                        chunk = require_object(json.loads(data))
                        if problem := chunk.get("error"):
                            self._raise_problem(problem)
                        yield chunk

    @contextlib.asynccontextmanager
    async def _open(self, method: str, path: str, **request: Any) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        """Send a request, and yield the response once it has begun.

        Servers by others close a connection that was idle, also just when it is taken again. So what finds its
        connection closed is sent once more, except for a form, which cannot be.
        """
        headers = dict[str, str]()
        if self.is_ours and self.is_local:
            # Which answer a request is for, where traces are collected.
            propagate.inject(headers)
        send = partial(
            self._require_session().request,
            method,
            f"{self.address.base}{path}",
            allow_redirects=False,
            headers=headers,
            **request,
        )
        try:
            response = await send()
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if not self.shown_name or "data" in request or isinstance(error, aiohttp.ClientConnectorError):
                raise
            response = await send()
        async with response:
            yield response

    def _raise_problem(self, problem: Any) -> None:
        """Raise the error that a chunk of a stream tells of."""
        if self.shown_name:
            detail = json.dumps(problem)[:MAX_DETAIL_CHARACTERS]
            told = problem if isinstance(problem, dict) else {}
            if told.get("type") == "invalid_request_error" or told.get("code") == 400 or TOO_LONG.search(detail):
                # Some servers begin a stream before they refuse the request, as ours does while it waits in the queue.
                raise refused(self.shown_name, 400, str(require_object(problem)["message"]))
            error = busy(self.shown_name) if told.get("code") == 429 else broken(self.shown_name)
            error.detail = detail
            raise error
        raise streamed_error(problem)


DONE: Mapping[str, Any] = {"done": True}
"""What stands for “[DONE]” at the end of a stream."""
