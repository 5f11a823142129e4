"""The routes: the page and its files, the join code, pictures, uploads, and the WebSocket."""

from __future__ import annotations

import asyncio
import html
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import WSCloseCode, web

from bot.message import Attachment
from bot.platforms.web import visitors, wire
from bot.platforms.web.connection import Connection
from bot.platforms.web.files import PICTURE_TYPES, Files
from bot.platforms.web.guard import Guard, add_headers
from bot.platforms.web.room import Room

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from bot.app import Bot
    from bot.config import WebSection
    from bot.platforms.web.answers import Answers

STATIC = Path(__file__).parent / "static"
OPEN_PATHS = frozenset({"/join", "/static/style.css", "/static/icon.svg"})
"""What is served to those who have not given the join code."""

KEPT_BYTES = 128 << 20
UPLOADED_BYTES = 64 << 20
MOST_UPLOAD = 8 << 20
UPLOADS_AT_ONCE = 4
MOST_FORM = 16 << 10
MOST_PAGES = 500
HEARTBEAT_SECONDS = 25.0


class Site:
    """Everything that is served, around one room."""

    def __init__(self, bot: Bot, section: WebSection) -> None:
        self._bot = bot
        self._guard = Guard(section.host, section.names)
        self._join = visitors.JoinCode(section.join_code.get_secret_value().strip())
        self._files = Files(KEPT_BYTES)
        self._uploads = Files(UPLOADED_BYTES)
        self._uploading = asyncio.Semaphore(UPLOADS_AT_ONCE)
        self._sockets: set[web.WebSocketResponse] = set()
        self.room = Room(self._files)

    def app(self, answers: Answers) -> web.Application:
        """The aiohttp application. `answers` must live as long as it is served."""
        self._answers = answers
        app = web.Application(middlewares=[self._guard.check, self._admit], client_max_size=MOST_FORM)
        app.on_response_prepare.append(add_headers)
        app.on_shutdown.append(self._close)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/join", self._ask_code),
                web.post("/join", self._take_code),
                web.get("/socket", self._socket),
                web.get("/files/{name}", self._file),
                web.post("/files", self._upload),
                web.static("/static", STATIC),
            ]
        )
        return app

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in OPEN_PATHS and not self._join.admits(request):
            if request.path == "/":
                raise web.HTTPSeeOther("/join")
            raise web.HTTPUnauthorized(text="Give the join code first, at /join.")
        return await handler(request)

    async def _page(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    async def _ask_code(self, request: web.Request) -> web.Response:
        if self._join.admits(request):
            raise web.HTTPSeeOther("/")
        return await self._join_page("")

    async def _take_code(self, request: web.Request) -> web.Response:
        if wait := self._join.wait(request.remote or ""):
            seconds = int(wait) + 1
            response = await self._join_page(f"That was too many tries. Wait {seconds} seconds.", 429)
            response.headers["Retry-After"] = str(seconds)
            return response
        typed = (await request.post()).get("code", "")
        if not isinstance(typed, str) or not self._join.matches(typed):
            return await self._join_page("That is not the code. Ask whoever runs this chat for it.", 403)
        response = web.Response(status=303, headers={"Location": "/"})
        # Lax, so that following a link to the chat does not ask for the code again.
        response.set_cookie(
            visitors.PASS_COOKIE,
            self._join.pass_value,
            max_age=visitors.COOKIE_SECONDS,
            httponly=True,
            samesite="Lax",
        )
        return response

    async def _join_page(self, error: str, status: int = 200) -> web.Response:
        page = await asyncio.to_thread((STATIC / "join.html").read_text, "utf-8")
        return web.Response(
            text=page.replace("{error}", html.escape(error)),
            status=status,
            content_type="text/html",
            headers={"Cache-Control": "no-store"},
        )

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if len(self._sockets) >= MOST_PAGES:
            raise web.HTTPServiceUnavailable(text="Too many pages are open; try again shortly.")
        secret = visitors.secret_of(request) or visitors.new_secret()
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=wire.MOST_BYTES)
        # Set here and not with the page: a link from elsewhere opens the page without its strict cookie.
        socket.set_cookie(
            visitors.VISITOR_COOKIE,
            secret,
            max_age=visitors.COOKIE_SECONDS,
            httponly=True,
            samesite="Strict",
        )
        await socket.prepare(request)
        connection = Connection(
            socket, secret, bot=self._bot, room=self.room, answers=self._answers, uploads=self._uploads
        )
        self._sockets.add(socket)
        try:
            await connection.serve(request.query.get("name", ""), request.query.get("locale", ""))
        finally:
            self._sockets.discard(socket)
        return socket

    async def _file(self, request: web.Request) -> web.Response:
        file = self._files.get(request.match_info["name"])
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

    async def _upload(self, request: web.Request) -> web.Response:
        """Keep a file for the form that is being filled in, and name it. The body is the file."""
        secret = visitors.secret_of(request)
        if secret is None:
            raise web.HTTPUnauthorized(text="Open the chat first.")
        owner = visitors.user_of(secret, "", "").id
        data = bytearray()
        async with self._uploading:
            async for chunk in request.content.iter_chunked(1 << 16):
                data += chunk
                if len(data) > MOST_UPLOAD:
                    raise web.HTTPRequestEntityTooLarge(
                        MOST_UPLOAD,
                        len(data),
                        text=f"A file may have {MOST_UPLOAD >> 20} MB; this one has more.",
                    )
        filename = visitors.clean_filename(request.query.get("name", ""))
        file = Attachment(filename, bytes(data), media_type=request.content_type)
        return web.json_response({"name": self._uploads.keep(file, owner)})

    async def _close(self, app: web.Application) -> None:
        closing = [socket.close(code=WSCloseCode.GOING_AWAY) for socket in tuple(self._sockets)]
        await asyncio.gather(*closing)
