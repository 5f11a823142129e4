"""A fake model server whose response on one path is set by the test and may be wrong."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

LISTED = {"data": [{"id": "fake", "tempera": {"task": task}} for task in ("chat", "faces", "images", "embeddings")]}


@contextlib.asynccontextmanager
async def crooked(answer: Answer, path: str = "/v1/chat/completions") -> AsyncIterator[str]:
    """Run a server that answers `path` with `answer` and lists a model for every task; yield its address."""

    async def models(request: web.Request) -> web.Response:
        return web.json_response(LISTED)

    app = web.Application()
    app.router.add_route("*", path, answer)
    if path != "/v1/models":
        app.router.add_get("/v1/models", models)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def plainly(body: bytes, status: int = 200, **headers: str) -> Answer:
    """Return a handler that always sends this body. In header names `_` stands for `-`."""

    async def answer(request: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=body, status=status, headers=named)

    return answer


def broken_off(body: bytes) -> Answer:
    """Return a handler that sends this part of a stream and then closes the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(body)
        assert request.transport is not None
        request.transport.abort()
        return response

    return answer
