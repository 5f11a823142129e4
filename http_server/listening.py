"""Serves an aiohttp application within limits."""

from __future__ import annotations

import asyncio
import resource
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.log import server_logger

from http_server.bodies import WINDOW_SECONDS, SlowBody, steady_body
from http_server.connections import LimitedConnection
from http_server.shares import AddressShares

if TYPE_CHECKING:
    import logging
    from collections.abc import AsyncIterator, Collection
    from ipaddress import IPv4Network, IPv6Network

    from aiohttp.typedefs import Handler, Middleware

SHUTDOWN_SECONDS = 2.0
OTHER_FILES = 256
"""Files that a program may have open besides its connections."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections there may be, in all and of one address, and how long they may do nothing, in seconds.

    A school is one address. Its 200 visitors have up to 7 connections each while their browsers load the chat.
    """

    connections: int = 3000
    connections_of_address: int = 1500
    request_seconds: float = 30.0
    """For a connection until the headers of its next request are complete. Longer than clients keep idle ones."""
    stall_seconds: float = 30.0
    """For a client that reads nothing of what it is sent."""
    body_seconds: float = WINDOW_SECONDS
    """For a body: the window of time in which its pace is measured."""


LIMITS = Limits()


@asynccontextmanager
async def listening(
    app: web.Application,
    host: str,
    port: int,
    *,
    limits: Limits = LIMITS,
    shared: Collection[IPv4Network | IPv6Network] = (),
    exempt: Collection[str] = (),
    **settings: Any,
) -> AsyncIterator[int]:
    """Serve `app` for as long as the context lasts; yields the port. Raises OSError if it cannot listen.

    Addresses in `shared`, such as proxies, bring connections of many clients. Handlers of paths that are `exempt`
    limit the time of a body themselves. `settings` are aiohttp's.
    """
    app.middlewares[:0] = [_leave_lost_connections, _refuse_broken_bodies]
    app.middlewares.append(_limit_bodies(limits.body_seconds, exempt))
    server_logger.addFilter(_is_no_malformed_request)
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=SHUTDOWN_SECONDS,
        # aiohttp counts this from the end of the last request on, whether or not a part of the next one has arrived.
        keepalive_timeout=limits.request_seconds,
        **settings,
    )
    await runner.setup()
    try:
        serve = runner.server
        assert serve is not None  # noqa: S101 - a runner that is set up has one
        most = _allow_connections(limits.connections)
        connections = AddressShares(most, min(limits.connections_of_address, most // 2), shared)
        listener = await asyncio.get_running_loop().create_server(
            lambda: LimitedConnection(serve, connections, limits.stall_seconds), host, port
        )
        try:
            yield listener.sockets[0].getsockname()[1]
        finally:
            listener.close()
    finally:
        await runner.cleanup()


@web.middleware
async def _leave_lost_connections(request: web.Request, handler: Handler) -> web.StreamResponse:
    """End a request whose client has left. aiohttp would log what could not be sent as an error, with a traceback."""
    try:
        return await handler(request)
    except ConnectionError:
        if request.transport is not None and not request.transport.is_closing():
            raise
        return web.Response()


@web.middleware
async def _refuse_broken_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a body that cannot be decoded with 400. aiohttp would answer with 500, and log it with a traceback."""
    try:
        return await handler(request)
    except web.RequestPayloadError:
        text = "The body cannot be read: it is not what its Content-Encoding or Transfer-Encoding says."
        return web.Response(status=HTTPStatus.BAD_REQUEST, text=text)


def _is_no_malformed_request(record: logging.LogRecord) -> bool:
    """Return whether to log this. A malformed request is answered with 400, and would fill the log with tracebacks."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError | web.RequestPayloadError))


def _limit_bodies(window: float, exempt: Collection[str]) -> Middleware:
    @web.middleware
    async def limit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in exempt or request.content.is_eof():
            return await handler(request)
        try:
            async with steady_body(request, window):
                return await handler(request)
        except SlowBody:
            raise web.HTTPRequestTimeout(text="The request did not arrive in time; send it again.") from None

    return limit


def _allow_connections(wanted: int) -> int:
    """Let this process have files open for so many connections at two ports. Returns for how many the system does."""
    files = 2 * wanted + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < files:
        files = files if hard == resource.RLIM_INFINITY else min(files, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return max(1, (files - OTHER_FILES) // 2)
