"""A server by others: OpenAI's format without our fields, with what may go wrong with it."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class OtherServer:
    """An async context manager; `url` is the address while it is open.

    `listed` are the models as they stand in its list. It streams the pieces of `answer`. `unknown` are fields that it
    refuses, naming the first of them; `context` is the number of turns that it can read. If it `refuses_in_stream`, it
    says there that it cannot. If it does not `reads_pictures`, it refuses them with the status and words of llama.cpp.
    `pause` is between two pieces, in seconds; `list_gate` holds the list of models back.
    `failures` are the statuses and headers of the next answers. `refuses` returns the object with which a request is
    refused, or None.
    `ending` is how a stream ends: "whole"; "unmarked", without “[DONE]”; "cut", in the middle and properly closed;
    "killed", with the connection, as soon as `may_be_killed` is set, as it is unless a test clears it; "refused", with
    an error in it. `shape` replaces
    the answer by any JSON object, and `shapes` are the answers at other paths, such as “images/generations”.
    `completion` answers completions, which are refused without it; `completions` counts them.
    `connections` counts what connected to it, `requests` are the bodies of chats, and `headers` those of all requests.
    """

    def __init__(self, *answer: str, listed: Sequence[dict[str, Any]] = ({"id": "tiny"},)) -> None:
        self.answer = answer or ("Par", "is")
        self.listed = list(listed)
        self.unknown: set[str] = set()
        self.context = 1000
        self.refuses_in_stream = False
        self.reads_pictures = True
        self.failures: list[tuple[int, dict[str, str]]] = []
        self.refuses: Callable[[dict[str, Any]], Any] = lambda body: None
        self.ending = "whole"
        self.may_be_killed = asyncio.Event()
        self.may_be_killed.set()
        self.pause = 0.0
        self.list_gate = asyncio.Event()
        self.list_gate.set()
        self.shape: dict[str, Any] | None = None
        self.completion: dict[str, Any] | None = None
        self.completions = 0
        self.shapes: dict[str, dict[str, Any]] = {}
        self.connections = 0
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self._seen: set[int] = set()
        self._lifetime = AsyncExitStack()

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._count])
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._complete)
        app.router.add_post("/v1/{path:.*}", self._other)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._lifetime.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._lifetime.aclose()

    @web.middleware
    async def _count(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        if id(request.transport) not in self._seen:
            self._seen.add(id(request.transport))
            self.connections += 1
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _models(self, request: web.Request) -> web.Response:
        await self.list_gate.wait()
        return web.json_response({"object": "list", "data": self.listed})

    async def _complete(self, request: web.Request) -> web.Response:
        self.completions += 1
        if self.completion is None:
            return web.json_response({"error": {"message": "File Not Found"}}, status=404)
        return web.json_response(self.completion)

    def _refusal(self, body: dict[str, Any]) -> web.Response | None:
        if self.failures:
            status, headers = self.failures.pop(0)
            return web.json_response({"error": {"message": "no"}}, status=status, headers=headers)
        if (told := self.refuses(body)) is not None:
            return web.json_response(told, status=422)
        named = next((name for name in sorted(body) if name in self.unknown), "")
        if named:
            error = {"message": f"Unrecognized request argument supplied: {named}", "type": "invalid_request_error"}
            return web.json_response({"error": error}, status=400)
        if not self.reads_pictures and "image_url" in json.dumps(body.get("messages", ())):
            words = "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
            return web.json_response({"error": {"message": words, "code": 500}}, status=500)
        if len(body.get("messages", ())) > self.context:
            if self.refuses_in_stream:
                error = {"message": "The number of tokens to keep is greater than the context length."}
                frame = f"event: error\ndata: {json.dumps({'error': error})}\n\n"
                return web.Response(text=frame, content_type="text/event-stream")
            error = {"message": "This model's maximum context length is 9 tokens.", "code": "context_length_exceeded"}
            return web.json_response({"error": error}, status=400)
        return None

    async def _other(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.requests.append(body)
        return self._refusal(body) or web.json_response(self.shapes[request.match_info["path"]])

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        if refusal := self._refusal(body):
            return refusal
        if self.shape is not None:
            return web.json_response(self.shape)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)

        async def send(data: str) -> None:
            await response.write(f"data: {data}\n\n".encode())

        async def say(delta: dict[str, Any], finish: str | None = None) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            await send(json.dumps({"model": "path/of/tiny", "choices": [choice]}))

        await say({"role": "assistant", "content": None})
        for piece in self.answer:
            await say({"content": piece})
            await asyncio.sleep(self.pause)
            if self.ending == "killed":
                # aiohttp forgets what it has received, but not handed over, once the connection is lost.
                await self.may_be_killed.wait()
                assert request.transport is not None
                request.transport.abort()
                return response
            if self.ending == "refused":
                await send(json.dumps({"error": {"message": "no", "type": "invalid_request_error"}}))
            if self.ending in ("cut", "refused"):
                return response
        await say({}, "stop")
        if "stream_options" in body:
            usage = {"prompt_tokens": 3, "completion_tokens": len(self.answer)}
            await send(json.dumps({"choices": [], "usage": usage}))
        if self.ending == "whole":
            await send("[DONE]")
        return response
