"""The recording proxy, between a client and a server on real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from fakes.model_server.gateway import PATIENCE_SECONDS, eventually

from research.bench.answers.recorder import CHAT_PATH, EMBEDDINGS_PATH, Recorder, StreamedAnswer, recording

PARTS = (
    b'data: {"choices": [{"delta": {"role": "assistant", "content": null}}]}\n\n: a comment\n\nda',
    b'ta: {"choices": [{"delta": {"content": "Gr\xc3',
    b'\xbc\xc3\x9fe"}}]}\n\n',
    b'data: {"choices": [{"delta": {"content": "!"}, "finish_reason": null}]}\n\n',
    b'data: {"choices": [{"delta": {}, "finish_reason": "length"}]}\n\ndata: {"choices": [], "usage": {}}\n\n',
    b"data: [DONE]\n\n",
)
"""A stream whose parts end in the middle of a word and of a character."""


class Backend:
    """A server that sends each part once the test allows it, and notes what it was sent."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes, str]] = []
        self.allowed: asyncio.Queue[None] = asyncio.Queue()
        self.gave_up = False

    async def chat(self, request: web.Request) -> web.StreamResponse:
        await self._note(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Job-Id": "7"})
        try:
            await response.prepare(request)
            for part in PARTS:
                await self.allowed.get()
                await response.write(part)
        except (asyncio.CancelledError, ConnectionError):
            self.gave_up = True
            raise
        return response

    async def refuse(self, request: web.Request) -> web.Response:
        await self._note(request)
        return web.json_response({"error": {"message": "Later."}}, status=429, headers={"Retry-After": "5"})

    async def _note(self, request: web.Request) -> None:
        key = request.headers.get("Authorization", "")
        self.asked.append((request.method, request.path_qs, await request.read(), key))


@pytest.fixture
async def backend() -> Backend:
    return Backend()


@pytest.fixture
async def recorder(backend: Backend) -> AsyncIterator[Recorder]:
    app = web.Application()
    app.router.add_post(CHAT_PATH, backend.chat)
    app.router.add_route("*", "/{path:.*}", backend.refuse)
    async with TestServer(app, handler_cancellation=True) as server:
        key = {"Authorization": "Bearer key"}
        async with aiohttp.ClientSession(server.make_url("/"), headers=key) as session, recording(session) as made:
            yield made


async def test_a_stream_passes_as_it_comes_and_is_recorded(backend: Backend, recorder: Recorder) -> None:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "Grüße"}], "temperature": 0, "user": "ann"}
    sent = json.dumps(body, ensure_ascii=False).encode()
    received = b""
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        aiohttp.ClientSession() as client,
        client.post(f"{recorder.url}{CHAT_PATH}", data=sent) as response,
    ):
        assert (response.headers["Content-Type"], response.headers["X-Job-Id"]) == ("text/event-stream", "7")
        for part in PARTS:
            # The next part is only sent once this one has arrived: nothing is held back.
            backend.allowed.put_nowait(None)
            received += await response.content.readexactly(len(part))
            assert received.endswith(part)
        assert await response.content.read() == b""
    assert backend.asked == [("POST", CHAT_PATH, sent, "Bearer key")]
    [chat] = recorder.chats
    assert (chat.body, chat.user) == (body, "ann")
    assert (chat.answer.text, chat.answer.finish_reason) == ("Grüße!", "length")


async def test_everything_else_passes_with_its_status_and_headers(backend: Backend, recorder: Recorder) -> None:
    async with aiohttp.ClientSession() as client:
        async with client.get(f"{recorder.url}/v1/queue?user=a%20b") as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "5")
            assert await response.json() == {"error": {"message": "Later."}}
        async with client.post(f"{recorder.url}{EMBEDDINGS_PATH}", json={"input": "x", "user": "ann"}) as response:
            assert response.status == 429
    assert [asked[:2] for asked in backend.asked] == [("GET", "/v1/queue?user=a%20b"), ("POST", EMBEDDINGS_PATH)]
    assert (recorder.chats, recorder.embedded_for) == ([], {"ann"})


async def test_a_client_that_leaves_ends_the_request_of_the_server(backend: Backend, recorder: Recorder) -> None:
    async with aiohttp.ClientSession() as client:
        backend.allowed.put_nowait(None)
        response = await client.post(f"{recorder.url}{CHAT_PATH}", json={"messages": []})
        await response.content.readexactly(len(PARTS[0]))
        response.close()
        await eventually(lambda: backend.gave_up)
    assert recorder.chats[0].answer.finish_reason == ""


def test_an_error_in_a_stream_is_kept() -> None:
    answer = StreamedAnswer()
    answer.feed(b'data: {"error": {"message": "It broke."}}\n\n')
    assert (answer.error, answer.finish_reason) == ("It broke.", "")
