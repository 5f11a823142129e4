"""The routes: the page and its files, pictures, uploads, and the WebSocket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import WSCloseCode, web

from bot.core.i18n import translate
from bot.core.messages import Attachment
from bot.platforms.web.access import visitors
from bot.platforms.web.access.login import Login
from bot.platforms.web.access.origin_check import OriginCheck, add_headers
from bot.platforms.web.chat import protocol
from bot.platforms.web.chat.connection import Connection
from bot.platforms.web.chat.files import PICTURE_TYPES
from bot.platforms.web.pages.lab import Lab
from bot.platforms.web.pages.lessons_page import LessonPages
from bot.platforms.web.pages.settings_page import SettingsPage
from bot.platforms.web.pages.stats_page import StatsPage
from bot.platforms.web.templates import STATIC, language_of, page, static_url

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from bot.config import WebSection
    from bot.platforms.web.chat.services import WebServices

MAX_UPLOAD_BYTES = 8 * 2**20
"""Of one file: less than files may have elsewhere, because uploads are kept in memory."""
UPLOADS_AT_ONCE = 4
STALLED_SECONDS, UPLOAD_SECONDS = 30.0, 600.0
"""How long nothing of a file may arrive, and how long all of it may take, before it gives its place to others."""
MOST_FORM = 16 << 10
MOST_PAGES = 500
HEARTBEAT_SECONDS = 25.0


class Site:
    """Everything that is served, around the rooms of one chat."""

    def __init__(self, house: WebServices, section: WebSection) -> None:
        self._house = house
        self._guard = OriginCheck(section.host, section.names)
        self._door = Login(section.join_code.get_secret_value().strip(), house.moderators)
        self._uploading = asyncio.Semaphore(UPLOADS_AT_ONCE)
        self._sockets: set[web.WebSocketResponse] = set()

    def app(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(middlewares=[self._guard.check, self._door.admit, _kept_small], client_max_size=MOST_FORM)
        app.on_response_prepare.append(add_headers)
        app.on_shutdown.append(self._close)
        app.add_routes(
            [
                *self._door.routes(),
                *Lab(self._house).routes(),
                *SettingsPage(self._house).routes(),
                *StatsPage(self._house).routes(),
                *LessonPages(self._house).routes(),
            ]
        )
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/socket", self._socket),
                web.get("/files/{name}", self._file),
                web.post("/files", self._upload),
                web.static(static_url(), STATIC),
            ]
        )
        return app

    async def _page(self, request: web.Request) -> web.Response:
        return await page(request, "chat")

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if len(self._sockets) >= MOST_PAGES:
            raise web.HTTPServiceUnavailable(text="Too many pages are open; try again shortly.")
        secret = visitors.secret_of(request) or visitors.new_secret()
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=protocol.MOST_BYTES)
        # Set here and not with the page: a link from elsewhere opens the page without its strict cookie.
        visitors.remember(socket, secret)
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            told = request.query
            connection = Connection(socket, secret, self._house)
            await connection.serve(told.get("name", ""), told.get("locale", ""), told.get("room", ""))
        finally:
            self._sockets.discard(socket)
        return socket

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        file = self._house.files.get(name) or await self._stored(name)
        if file is None:
            raise web.HTTPNotFound(text="This file is no longer kept.")
        shown = file.media_type in PICTURE_TYPES
        disposition = "inline" if shown else "attachment"
        return web.Response(
            body=file.data,
            content_type=file.media_type if shown else "application/octet-stream",
            headers={
                "Cache-Control": "private, max-age=86400, immutable",
                "Content-Disposition": f"{disposition}; filename*=UTF-8''{quote(file.filename, safe='')}",
                "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
            },
        )

    async def _stored(self, name: str) -> Attachment | None:
        files = self._house.files
        if (stored := files.stored(name)) is None:
            return None
        file = await self._house.bot.messages.load_file(*stored)
        if file is None:
            self._house.rooms.lose(name)
        # What was taken off the page meanwhile is shown to nobody.
        return file if files.stored(name) is not None else None

    async def _upload(self, request: web.Request) -> web.Response:
        """Keep a file for the form that is being filled in, and name it. The body is the file."""
        secret = visitors.secret_of(request)
        if secret is None:
            raise web.HTTPUnauthorized(text=translate("Open the chat first.", language_of(request)))
        owner = visitors.user_of(secret, "", "").id
        try:
            async with self._uploading:
                data = await _body(request)
        except TimeoutError as error:
            sentence = "The file did not arrive in time. Try it again, or a smaller one."
            raise web.HTTPRequestTimeout(text=translate(sentence, language_of(request))) from error
        filename = visitors.clean_filename(request.query.get("name", ""))
        file = Attachment(filename, data, media_type=request.content_type)
        return web.json_response({"name": self._house.uploads.keep(file, owner)})

    async def _close(self, app: web.Application) -> None:
        closing = [socket.close(code=WSCloseCode.GOING_AWAY) for socket in tuple(self._sockets)]
        await asyncio.gather(*closing)


async def _body(request: web.Request) -> bytes:
    """A file that is sent. Raises TimeoutError where it does not come."""
    now = asyncio.get_running_loop().time
    end = now() + UPLOAD_SECONDS
    data = bytearray()
    async with asyncio.timeout(STALLED_SECONDS) as deadline:
        async for chunk in request.content.iter_chunked(1 << 16):
            deadline.reschedule(min(now() + STALLED_SECONDS, end))
            data += chunk
            if len(data) > MAX_UPLOAD_BYTES:
                sentence = "A file may have {most} MB; this one has more."
                text = translate(sentence, language_of(request), most=MAX_UPLOAD_BYTES // 2**20)
                raise web.HTTPRequestEntityTooLarge(MAX_UPLOAD_BYTES, len(data), text=text)
    return bytes(data)


@web.middleware
async def _kept_small(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The middleware that makes scripts, styles and words small on their way, and has browsers keep them."""
    response = await handler(request)
    if request.path.startswith(static_url()):
        response.headers["Vary"] = "Accept-Encoding"
        response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
        # What may be answered with 304 stays as it is: aiohttp would send the end of a compressed body behind that.
        if not request.headers.keys() & {"If-None-Match", "If-Modified-Since"}:
            response.enable_compression()
    return response
