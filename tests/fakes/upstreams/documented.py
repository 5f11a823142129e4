"""Ollama and LM Studio as their documentation describes them, for what cannot run here.

Ollama: docs/api/openai-compatibility.mdx and openai/openai.go of its repository. LM Studio: 1_developer/3_openai-compat
of lmstudio-ai/docs; it does not tell of errors there, so these are as its users report them.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTEXT_CHARACTERS = 2000
"""What the models can read."""
TOO_LONG = (
    "The number of tokens to keep from the initial prompt is greater than the context length. Try to load the model "
    "with a larger context length, or provide a shorter input."
)


class Documented:
    """An async context manager; `url` is the address while it is open. What is the same in both programs.

    A chat repeats the last turn, letter by letter, shifted by the seed; “forever” never ends. `embedded` are the texts
    of which it made vectors.
    """

    chat: str
    embeddings: str
    likely = 0
    """How many of the most probable tokens it tells at most."""

    def __init__(self) -> None:
        self.url = ""
        self.embedded: list[str] = []
        self._lifetime = AsyncExitStack()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._complete)
        app.router.add_post("/v1/embeddings", self._embeddings)
        app.router.add_route("*", "/{path:.*}", self._nothing)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        self._lifetime.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._lifetime.aclose()

    def about(self, model: str) -> dict[str, Any]:
        """What the list of models says about one."""
        raise NotImplementedError

    def unknown(self, model: str) -> web.Response:
        """The answer to a request for a model that is not there."""
        raise NotImplementedError

    async def overflow(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse | None:
        """The answer to a chat that the model cannot read; None if it is cut in silence."""
        raise NotImplementedError

    async def _nothing(self, request: web.Request) -> web.StreamResponse:
        raise NotImplementedError

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [self.about(self.chat), self.about(self.embeddings)]})

    async def _complete(self, request: web.Request) -> web.Response:
        body = await request.json()
        choice = {"text": body["prompt"][:1], "index": 0, "logprobs": None, "finish_reason": "length"}
        return web.json_response({"object": "text_completion", "model": body["model"], "choices": [choice]})

    async def _embeddings(self, request: web.Request) -> web.Response:
        body = await request.json()
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        self.embedded += texts
        # Nobody promises the order.
        data = [
            {"object": "embedding", "embedding": [float(len(text)), 1.0], "index": number}
            for number, text in reversed(list(enumerate(texts)))
        ]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        return web.json_response({"object": "list", "data": data, "model": body["model"], "usage": usage})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if body["model"] != self.chat:
            return self.unknown(body["model"])
        if sum(len(turn["content"]) for turn in body["messages"]) > CONTEXT_CHARACTERS:
            refusal = await self.overflow(request, body)
            if refusal is not None:
                return refusal
        if not body.get("stream"):
            letter = body["messages"][-1]["content"][:1]
            message = {"role": "assistant", "content": letter}
            choice = {"index": 0, "message": message, **self.likelihood(letter, body), "finish_reason": "length"}
            return web.json_response({"object": "chat.completion", "model": body["model"], "choices": [choice]})
        return await self._stream(request, body)

    async def _stream(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = await stream_to(request)
        facts = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}

        async def send(choices: list[Any], **more: Any) -> None:
            await response.write(f"data: {json.dumps({**facts, 'choices': choices, **more})}\n\n".encode())

        prompt = body["messages"][-1]["content"]
        endless, limit = prompt == "forever", body.get("max_tokens") or len(prompt)
        count = 0
        while count < limit or endless:
            letter = prompt[(count + body.get("seed", 0)) % len(prompt)]
            delta = {"role": "assistant", "content": letter}
            await send([{"index": 0, "delta": delta, **self.likelihood(letter, body), "finish_reason": None}])
            count += 1
            await asyncio.sleep(0.001 * endless)
        reason = "length" if limit < len(prompt) else "stop"
        await send([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": reason}])
        if (body.get("stream_options") or {}).get("include_usage"):
            total = len(prompt) + count
            usage = {"prompt_tokens": len(prompt), "completion_tokens": count, "total_tokens": total}
            await send([], usage=usage)
        await response.write(b"data: [DONE]\n\n")
        return response

    def likelihood(self, letter: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What a choice has of log-probabilities."""
        return {}


class Ollama(Documented):
    """It takes any key, knows log-probabilities in newer releases, and reads the end of what is too long."""

    chat, embeddings, likely = "llama3.2:latest", "nomic-embed-text:latest", 20

    def about(self, model: str) -> dict[str, Any]:
        return {"id": model, "object": "model", "created": 1727000000, "owned_by": "library"}

    def unknown(self, model: str) -> web.Response:
        message = f'model "{model}" not found, try pulling it first'
        error = {"message": message, "type": "not_found_error", "param": None, "code": None}
        return web.json_response({"error": error}, status=404)

    async def overflow(self, request: web.Request, body: dict[str, Any]) -> None:
        return None

    def likelihood(self, letter: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if not body.get("logprobs"):
            return {}
        count = body["top_logprobs"]
        entry = {"token": letter, "logprob": -0.5, "bytes": list(letter.encode())}
        others = [{"token": chr(97 + n), "logprob": -2.0 - n, "bytes": [97 + n]} for n in range(count)]
        return {"logprobs": {"content": [{**entry, "top_logprobs": [entry, *others][:count]}]}}

    async def _nothing(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="404 page not found", status=404)


class LMStudio(Documented):
    """It refuses what is too long in the middle of a stream that it has begun, and answers every path with 200."""

    chat, embeddings = "qwen/qwen3-4b", "text-embedding-nomic-embed-text-v1.5"

    def about(self, model: str) -> dict[str, Any]:
        return {"id": model, "object": "model", "owned_by": "organization_owner"}

    def unknown(self, model: str) -> web.Response:
        message = f"Model not found: {model}. Please specify a valid model."
        error = {"message": message, "type": "invalid_request_error", "param": "model", "code": "model_not_found"}
        return web.json_response({"error": error}, status=404)

    async def overflow(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if not body.get("stream"):
            return web.json_response({"error": TOO_LONG}, status=400)
        response = await stream_to(request)
        await response.write(f"event: error\ndata: {json.dumps({'error': {'message': TOO_LONG}})}\n\n".encode())
        return response

    def likelihood(self, letter: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return {"logprobs": None}

    async def _nothing(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": f"Unexpected endpoint or method. ({request.method} {request.path})"})


async def stream_to(request: web.Request) -> web.StreamResponse:
    """Return the response of a stream of events, which has begun."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    return response
