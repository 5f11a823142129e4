"""A proxy between the bot and its model server, which passes everything on and records the chats."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    import aiohttp
    from multidict import CIMultiDictProxy

CHAT_PATH, EMBEDDINGS_PATH = "/v1/chat/completions", "/v1/embeddings"
MAX_BODY_BYTES = 1 << 26
OF_ONE_CONNECTION = frozenset(
    {
        *("host", "connection", "keep-alive", "transfer-encoding", "content-length", "upgrade", "te", "trailer"),
        *("accept-encoding", "content-encoding", "authorization", "date", "server"),
    }
)
"""Headers that each of the two connections has of its own."""


@dataclass(slots=True)
class StreamedAnswer:
    """The text of an answer, and why it ended, from the server-sent events of a stream."""

    text: str = ""
    finish_reason: str = ""
    error: str = ""
    _rest: bytes = b""

    def feed(self, data: bytes) -> None:
        """Read the next bytes of the stream, which may end anywhere."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data: {"):
                self._read(json.loads(line.removeprefix(b"data: ")))

    def _read(self, chunk: Mapping[str, Any]) -> None:
        if problem := chunk.get("error"):
            self.error = str(problem.get("message", problem))
        for choice in chunk.get("choices", ()):
            self.text += choice.get("delta", {}).get("content") or ""
            self.finish_reason = choice.get("finish_reason") or self.finish_reason


@dataclass(slots=True)
class RecordedChat:
    """One chat: the body of the request as it was sent, and what was answered."""

    body: dict[str, Any]
    answer: StreamedAnswer = field(default_factory=StreamedAnswer)

    @property
    def user(self) -> str:
        """The user for whom the bot asked."""
        return str(self.body.get("user", ""))


class Recorder:
    """Passes requests on to the server of `session`, with the key of that session."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.url = ""
        self.chats: list[RecordedChat] = []
        self.embedded_for: set[str] = set()
        """The users for whose questions the bot asked for embeddings, as it does once its lessons have theirs."""
        self._session = session

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """Answer a request with what the server answers, as it comes."""
        data = await request.read()
        chat = self._record(request, data)
        headers = _without_own(request.headers)
        async with self._session.request(request.method, request.rel_url, data=data, headers=headers) as answer:
            response = web.StreamResponse(status=answer.status, headers=_without_own(answer.headers))
            await response.prepare(request)
            async for part in answer.content.iter_any():
                if chat is not None:
                    chat.answer.feed(part)
                await response.write(part)
        # The bot closes a stream once it has read its last event.
        with contextlib.suppress(ConnectionError):
            await response.write_eof()
        return response

    def _record(self, request: web.Request, data: bytes) -> RecordedChat | None:
        if request.method != "POST" or request.path not in (CHAT_PATH, EMBEDDINGS_PATH):
            return None
        body = json.loads(data)
        if request.path == EMBEDDINGS_PATH:
            self.embedded_for.add(str(body.get("user", "")))
            return None
        self.chats.append(chat := RecordedChat(body))
        return chat


@contextlib.asynccontextmanager
async def recording(session: aiohttp.ClientSession) -> AsyncIterator[Recorder]:
    """Run a recorder before the server of `session`, at a free port of this machine."""
    recorder = Recorder(session)
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", recorder.pass_on)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        recorder.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield recorder
    finally:
        await runner.cleanup()


def _without_own(headers: CIMultiDictProxy[str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers.items() if name.lower() not in OF_ONE_CONNECTION]
