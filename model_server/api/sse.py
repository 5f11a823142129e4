"""Server-sent events over one response."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server.errors import ApiError

HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class EventStream:
    """The headers wait for the first event, so that a refusal before it can still have a status of its own."""

    def __init__(self, request: web.Request, headers: Mapping[str, str]) -> None:
        self._request = request
        self._response = web.StreamResponse(headers={**HEADERS, **headers})

    @property
    def begun(self) -> bool:
        """Whether the client has seen a status already."""
        return self._response.prepared

    async def send(self, data: Mapping[str, Any], kind: str | None = None) -> None:
        """One event, named `kind` where the format names its events."""
        name = f"event: {kind}\n" if kind else ""
        await self._write(json.dumps(data, separators=(",", ":"), allow_nan=False), name)

    async def keep_alive(self) -> None:
        """Something that clients ignore, and that proxies and their idle timers do not."""
        await self._write_raw(": waiting\n\n")

    async def fail(self, error: ApiError) -> web.StreamResponse:
        """End the stream with an error, at which OpenAI's clients raise."""
        await self.send(error.body())
        await self._response.write_eof()
        return self._response

    async def finish(self) -> web.StreamResponse:
        """End the stream in the way that says that it is complete."""
        await self._write("[DONE]")
        await self._response.write_eof()
        return self._response

    async def _write(self, data: str, name: str = "") -> None:
        await self._write_raw(f"{name}data: {data}\n\n")

    async def _write_raw(self, text: str) -> None:
        if not self.begun:
            await self._response.prepare(self._request)
        await self._response.write(text.encode())
