"""Servers that write text as the language benchmark reads it, some of which are wrong."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import psutil
from aiohttp import web
from aiohttp.test_utils import TestServer

from research.bench.servers import BenchServer


class Scribe:
    """A server whose tokens depend on the text and seed, and, if `fickle`, on whether other requests run.

    It writes its name and the number of tokens into `log` for each request. All prompts have 50 tokens.
    """

    def __init__(self, *, fickle: bool = False, log: list[str] | None = None, name: str = "") -> None:
        self.asked: list[dict[str, Any]] = []
        self.most_at_once = 0
        self._log = [] if log is None else log
        self._name = name
        self._fickle = fickle
        self._known: set[str] = set()
        self._running = 0

    async def chat(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        self.asked.append(asked)
        text = asked["messages"][-1]["content"]
        cached = 40 if text in self._known else 0
        self._known.add(text)
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        self._log.append(f"{self._name} {asked['max_tokens']}")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await asyncio.sleep(0.001)
        words = [f"{text[:9]} {asked.get('seed')} {number}" for number in range(asked["max_tokens"])]
        if self._fickle and self._running > 1:
            words[-1] = "something else"
        await send(response, {"choices": [{"delta": {"role": "assistant", "content": None}}]})
        for word in words:
            logprobs = {"content": [{"token": word}]} if asked.get("logprobs") else None
            await send(response, {"choices": [{"delta": {"content": word}, "logprobs": logprobs}]})
            await asyncio.sleep(0.001)
        usage = {
            "prompt_tokens": 50,
            "completion_tokens": len(words),
            "prompt_tokens_details": {"cached_tokens": cached},
        }
        await send(response, {"choices": [], "usage": usage})
        await response.write(b"data: [DONE]\n\n")
        self._running -= 1
        return response


async def send(response: web.StreamResponse, chunk: object) -> None:
    await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")


async def refuse(_: web.Request) -> web.Response:
    return web.json_response({"error": {"message": "There is no such model."}}, status=404)


async def fail(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await send(response, {"error": {"message": "It broke."}})
    return response


@contextlib.asynccontextmanager
async def side_of(handler: Any, name: str = "Tempera") -> AsyncIterator[BenchServer]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    connector = aiohttp.TCPConnector(limit=0)
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/"), connector=connector) as session:
        yield BenchServer(name, session, psutil.Process(os.getpid()))
