"""The web application: routes for the chat page, its static files, pictures, uploads and the WebSocket."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import WSCloseCode, web

from bot.core.errors import DatabaseUnavailable
from bot.core.i18n import translate
from bot.core.messages import Attachment
from bot.platforms.web.access import visitors
from bot.platforms.web.access.client_address import TrustedProxies
from bot.platforms.web.access.login import Login
from bot.platforms.web.access.origin_check import OriginCheck, add_security_headers
from bot.platforms.web.chat import protocol
from bot.platforms.web.chat.connection import Connection
from bot.platforms.web.chat.files import PICTURE_TYPES
from bot.platforms.web.pages.lab import DialPage
from bot.platforms.web.pages.lessons_page import LessonPages
from bot.platforms.web.pages.settings_page import SettingsPage
from bot.platforms.web.pages.stats_page import StatsPage
from bot.platforms.web.templates import STATIC, language_of, render_page, static_url

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from bot.config.sections import WebSection
    from bot.platforms.web.chat.services import WebServices

MAX_UPLOAD_BYTES = 8 * 2**20
"""Largest upload. Less than the limit elsewhere, because uploads are kept in memory."""
MAX_CONCURRENT_UPLOADS = 4
UPLOAD_STALL_SECONDS, UPLOAD_TIMEOUT_SECONDS = 30.0, 600.0
"""How long an upload may pause, and how long it may take in all, before it is ended to let others in."""
MAX_FORM_BYTES = 16 << 10
MAX_OPEN_PAGES = 500
HEARTBEAT_SECONDS = 25.0


class Site:
    """The web application of one chat."""

    def __init__(self, services: WebServices, section: WebSection) -> None:
        self._services = services
        self._proxies = TrustedProxies(section.proxies)
        self._origin_check = OriginCheck(section.host, section.names)
        self._login = Login(section.join_code.get_secret_value().strip(), services.moderators)
        self._uploading = asyncio.Semaphore(MAX_CONCURRENT_UPLOADS)
        self._sockets: set[web.WebSocketResponse] = set()

    def build_app(self) -> web.Application:
        """Return the aiohttp application with all routes and middlewares."""
        app = web.Application(
            middlewares=[
                *(self._proxies.resolve, self._origin_check.check, _tell_unavailable),
                *(self._login.admit, _compress_static_files),
            ],
            client_max_size=MAX_FORM_BYTES,
        )
        app.on_response_prepare.append(add_security_headers)
        app.on_shutdown.append(self._close_sockets)
        app.add_routes(
            [
                *self._login.routes(),
                *DialPage(self._services).routes(),
                *SettingsPage(self._services).routes(),
                *StatsPage(self._services).routes(),
                *LessonPages(self._services).routes(),
            ]
        )
        app.add_routes(
            [
                web.get("/", self._serve_page),
                web.get("/socket", self._serve_socket),
                web.get("/files/{name}", self._serve_file),
                web.post("/files", self._take_upload),
                web.static(static_url(), STATIC),
            ]
        )
        return app

    async def _serve_page(self, request: web.Request) -> web.Response:
        return await render_page(request, "chat")

    async def _serve_socket(self, request: web.Request) -> web.StreamResponse:
        if len(self._sockets) >= MAX_OPEN_PAGES:
            raise web.HTTPServiceUnavailable(text="Too many pages are open; try again shortly.")
        secret = visitors.read_or_create_secret(request)
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=protocol.MAX_MESSAGE_BYTES)
        # Set here and not with the page: when a link on another website opens the page, the browser does not send the
        # strict cookie, and a new one would take the place of the visitor's own.
        visitors.set_visitor_cookie(socket, secret)
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            query = request.query
            connection = Connection(socket, secret, self._services)
            await connection.serve(query.get("name", ""), query.get("locale", ""), query.get("room", ""))
        finally:
            self._sockets.discard(socket)
        return socket

    async def _serve_file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        file = self._services.files.get(name) or await self._read_stored(name)
        if file is None:
            raise web.HTTPNotFound(text="This file is no longer kept.")
        is_picture = file.media_type in PICTURE_TYPES
        disposition = "inline" if is_picture else "attachment"
        return web.Response(
            body=file.data,
            content_type=file.media_type if is_picture else "application/octet-stream",
            headers={
                "Cache-Control": "no-store" if file.confidential else "private, max-age=86400, immutable",
                "Content-Disposition": f"{disposition}; filename*=UTF-8''{quote(file.filename, safe='')}",
                "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
            },
        )

    async def _read_stored(self, name: str) -> Attachment | None:
        """Return a file from the database; None if it is gone there, which removes it from its exchange, too."""
        files = self._services.files
        if (stored := files.find_stored(name)) is None:
            return None
        file = await self._services.bot.messages.load_file(*stored)
        if file is None:
            self._services.rooms.remove_file(name)
        # The file may have been removed from the page while it was read; then nobody gets it.
        return file if files.find_stored(name) is not None else None

    async def _take_upload(self, request: web.Request) -> web.Response:
        """Keep an uploaded file, which is the body of the request, and answer with its name."""
        secret = visitors.read_secret(request)
        if secret is None:
            raise web.HTTPUnauthorized(text=translate("Open the chat first.", language_of(request)))
        owner = visitors.user_from_secret(secret, "", "").id
        try:
            async with self._uploading:
                data = await _read_upload(request)
        except TimeoutError as error:
            sentence = "The file did not arrive in time. Try it again, or a smaller one."
            raise web.HTTPRequestTimeout(text=translate(sentence, language_of(request))) from error
        filename = visitors.clean_filename(request.query.get("name", ""))
        file = Attachment(filename, data, media_type=request.content_type)
        return web.json_response({"name": self._services.uploads.keep(file, owner)})

    async def _close_sockets(self, app: web.Application) -> None:
        closing = [socket.close(code=WSCloseCode.GOING_AWAY) for socket in tuple(self._sockets)]
        await asyncio.gather(*closing)


async def _read_upload(request: web.Request) -> bytes:
    """Return the uploaded file. Raises TimeoutError if it stalls or takes too long."""
    now = asyncio.get_running_loop().time
    end = now() + UPLOAD_TIMEOUT_SECONDS
    data = bytearray()
    async with asyncio.timeout(UPLOAD_STALL_SECONDS) as deadline:
        async for chunk in request.content.iter_chunked(1 << 16):
            deadline.reschedule(min(now() + UPLOAD_STALL_SECONDS, end))
            data += chunk
            if len(data) > MAX_UPLOAD_BYTES:
                sentence = "A file may have {most} MB; this one has more."
                text = translate(sentence, language_of(request), most=MAX_UPLOAD_BYTES // 2**20)
                raise web.HTTPRequestEntityTooLarge(MAX_UPLOAD_BYTES, len(data), text=text)
    return bytes(data)


@web.middleware
async def _tell_unavailable(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer requests that need the database while it cannot be used. An aiohttp middleware."""
    try:
        return await handler(request)
    except DatabaseUnavailable as error:
        return web.Response(
            status=HTTPStatus.SERVICE_UNAVAILABLE, text=error.sentence.in_language(language_of(request))
        )


@web.middleware
async def _compress_static_files(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Compress static files and let browsers cache them. An aiohttp middleware."""
    response = await handler(request)
    if request.path.startswith(static_url()):
        response.headers["Vary"] = "Accept-Encoding"
        response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
        # Not where the answer may be 304: aiohttp would send the end of a compressed body after it.
        if not request.headers.keys() & {"If-None-Match", "If-Modified-Since"}:
            response.enable_compression()
    return response
