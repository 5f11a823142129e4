from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from model_server import bench
from model_server.catalogue import StoreError


async def answer(request: web.Request) -> web.StreamResponse:
    wanted = await request.json()
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for _ in range(wanted["max_tokens"]):
        await send(response, {"choices": [{"delta": {"content": "word "}}]})
        await asyncio.sleep(0.001)
    await send(response, {"choices": [], "usage": {"completion_tokens": wanted["max_tokens"]}})
    await response.write(b"data: [DONE]\n\n")
    return response


async def send(response: web.StreamResponse, chunk: object) -> None:
    await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")


async def refuse(_: web.Request) -> web.Response:
    return web.json_response({"error": {"message": "There is no such model."}}, status=404)


async def against(handler: object, *arguments: str) -> int:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)  # type: ignore[arg-type]
    async with TestServer(app) as server:
        return await asyncio.to_thread(bench.main, ["language", "--url", str(server.make_url("/")), *arguments])


async def test_a_running_server_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert await against(answer, "--runs", "2", "--tokens", "5") == 0
    out = capsys.readouterr().out
    assert "2 answers of 5 tokens each" in out
    rate = float(out.split("decoding")[1].split()[0])
    assert 0 < rate < 1000


async def test_a_refusal_is_passed_on() -> None:
    with pytest.raises(StoreError, match=r"refused: There is no such model\."):
        await against(refuse)


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(StoreError, match="does not answer"):
        bench.main(["language", "--url", "http://127.0.0.1:9"])
