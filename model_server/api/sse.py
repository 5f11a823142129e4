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
    """A stream of events as one response. Its headers are sent with the first event, so that an error before it can
    still have a status of its own.
    """

    def __init__(self, request: web.Request, headers: Mapping[str, str]) -> None:
        self._request = request
        self._response = web.StreamResponse(headers={**HEADERS, **headers})

    @property
    def has_begun(self) -> bool:
        """True if the status and the headers were sent already."""
        return self._response.prepared

    async def send(self, data: Mapping[str, Any], name: str | None = None) -> None:
        """Send one event, with a `name` if the format names its events."""
        prefix = f"event: {name}\n" if name else ""
        await self._write(json.dumps(data, separators=(",", ":"), allow_nan=False), prefix)

    async def keep_alive(self) -> None:
        """Send a comment, which clients ignore, but which resets the idle timers of proxies."""
        await self._write_raw(": waiting\n\n")

    async def fail(self, error: ApiError) -> web.StreamResponse:
        """End the stream with an error, which OpenAI's clients raise. It has the status that came too late."""
        body = error.body()
        await self.send({"error": body["error"] | {"status": error.status}})
        await self._response.write_eof()
        return self._response

    async def finish(self) -> web.StreamResponse:
        """End the stream with the mark that it is complete."""
        await self._write("[DONE]")
        await self._response.write_eof()
        return self._response

    async def _write(self, data: str, prefix: str = "") -> None:
        await self._write_raw(f"{prefix}data: {data}\n\n")

    async def _write_raw(self, text: str) -> None:
        if not self.has_begun:
            await self._response.prepare(self._request)
        await self._response.write(text.encode())
