"""The web application: routes for the chat page, its static files, pictures, uploads and the WebSocket."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web

from bot.core.errors import DatabaseUnavailable, UserError
from bot.core.i18n import list_languages, translate
from bot.platforms.web.access import visitors
from bot.platforms.web.access.client_address import TrustedProxies
from bot.platforms.web.access.door import Door
from bot.platforms.web.access.invitation import Inviter
from bot.platforms.web.access.join_code import JoinCode
from bot.platforms.web.access.limits import MessageLimit, RateMeter, Shares, TooMany
from bot.platforms.web.access.login import OPEN_PATHS, PAGES, Login, is_page
from bot.platforms.web.access.origin_check import OriginCheck, add_security_headers
from bot.platforms.web.chat.connection import Connection
from bot.platforms.web.chat.files import PICTURE_TYPES
from bot.platforms.web.chat.incoming import MAX_MESSAGE_BYTES
from bot.platforms.web.chat.room import private_name
from bot.platforms.web.pages.duel import DuelPage
from bot.platforms.web.pages.errors import error_response
from bot.platforms.web.pages.lab import DialPage
from bot.platforms.web.pages.lessons_page import LessonPages
from bot.platforms.web.pages.moderators import ModeratorsList
from bot.platforms.web.pages.people_page import PeoplePage
from bot.platforms.web.pages.private_places import PrivatePlacesPage
from bot.platforms.web.pages.settings_page import SettingsPage
from bot.platforms.web.pages.stats_page import StatsPage
from bot.platforms.web.pages.teachers.start_page import StartPage
from bot.platforms.web.pages.uploads import UploadPage
from bot.platforms.web.templates import STATIC, language_of, page_words, render_page, static_url

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from bot.config.sections import WebSection
    from bot.core.messages import Attachment
    from bot.platforms.web.access.limits import WebLimits
    from bot.platforms.web.chat.services import WebServices

MAX_FORM_BYTES = 16 << 10
HEARTBEAT_SECONDS = 25.0
HERE_SECONDS = 3600.0
"""Whoever was here within this time, when newcomers begin to knock, need not."""
CLOSE_SECONDS = 2.0
"""How long a page may take to confirm that its WebSocket is closed."""
OPENING_WEIGHT = 5
"""How many messages a page that opens counts for, since it is sent all that its room shows."""


class Site:
    """The web application of one chat."""

    def __init__(self, services: WebServices, section: WebSection, limits: WebLimits, pass_key: bytes) -> None:
        """`pass_key` is the random key of the passes that visitors get for the join code."""
        self._services = services
        self._proxies = TrustedProxies(section.proxies)
        self._origin_check = OriginCheck(section.host, section.names)
        code = JoinCode(section.join_code.get_secret_value(), pass_key)
        self._has_join_code = code.is_set
        self._login = Login(code, services.moderators, services.people, services.known, services.tell_of_sign_in)
        who = services.people, services.known, services.waiting
        self._door = Door(code, *who, services.resolve, services.must_knock, services.address_of)
        self._inviter = Inviter(section)
        self._limits = limits
        self._pages = Shares(limits.pages)
        self._meters = RateMeter(limits.messages), RateMeter(limits.messages_of_address)
        self._connections: set[Connection] = set()

    def build_app(self) -> web.Application:
        """Return the aiohttp application with all routes and middlewares."""
        app = web.Application(
            middlewares=[
                *(self._proxies.resolve, self._origin_check.check, _tell_errors),
                *(self._login.admit, self._door.admit, _compress_static_files),
            ],
            client_max_size=MAX_FORM_BYTES,
        )
        app.on_response_prepare.append(add_security_headers)
        app.on_shutdown.append(self._close_pages)
        app.add_routes(
            [
                *self._login.routes(),
                *self._door.routes(),
                *StartPage(self._services, self._inviter).routes(),
                *DialPage(self._services, self._limits).routes(),
                *DuelPage(self._services, self._limits).routes(),
                *SettingsPage(self._services).routes(),
                *ModeratorsList(self._services).routes(),
                *PeoplePage(self._services).routes(),
                *StatsPage(self._services).routes(),
                *LessonPages(self._services).routes(),
                *PrivatePlacesPage(self._services).routes(),
                *UploadPage(self._services, self._limits).routes(),
            ]
        )
        app.add_routes(
            [
                *(web.get(path, _serve_page) for path in PAGES),
                web.get("/socket", self._serve_socket),
                web.get("/files/{name}", self._serve_file),
                web.get(f"{static_url()}/words/{{language:{'|'.join(list_languages()[1:])}}}.json", _serve_words),
                web.static(static_url(), STATIC),
            ]
        )
        return app

    async def open_door(self) -> None:
        """Let in those who were here before newcomers had to knock, and forget those who wait no longer."""
        now = time.time()
        here = [one.id for one in self._services.people.seen_since(now - HERE_SECONDS) if one.room]
        await self._door.let_in(here)

    async def _serve_socket(self, request: web.Request) -> web.StreamResponse:
        secret = visitors.read_or_create_secret(request)
        address, visitor = request.remote or "", visitors.user_from_secret(secret, "", "").id
        # Somebody new begins by themselves, unless others are here or, as a join code says, about to come.
        is_alone = self._pages.is_unused and not self._has_join_code
        begins_alone = visitors.read_secret(request) is None and is_alone
        limit = MessageLimit(*self._meters, visitor, address)
        language = language_of(request)
        if limit.count(OPENING_WEIGHT):
            raise web.HTTPTooManyRequests(text=translate("You are sending too much at once; wait a moment.", language))
        try:
            with self._pages.hold(address, visitor):
                room = request.query.get("room", "") or (private_name(visitor) if begins_alone else "")
                if room == private_name(visitor):
                    # While it can still be refused with a sentence.
                    await self._services.open_private(visitor)
                if "Upgrade" not in request.headers:
                    # A page asks why its WebSocket was refused, which the browser does not tell it.
                    return web.Response(status=204)
                return await self._connect(request, secret, limit, room)
        except TooMany as error:
            if error.of_visitor:
                text = translate("You have too many pages of this chat open; close one first.", language)
                raise web.HTTPTooManyRequests(text=text) from None
            text = translate("Too many pages are open; try again shortly.", language)
            raise web.HTTPServiceUnavailable(text=text) from None

    async def _connect(
        self, request: web.Request, secret: str, limit: MessageLimit, room: str
    ) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(
            timeout=CLOSE_SECONDS,
            heartbeat=HEARTBEAT_SECONDS,
            # Pings count as messages, so the connection answers them itself.
            autoping=False,
            max_msg_size=MAX_MESSAGE_BYTES,
        )
        # Set here and not with the page: when a link on another website opens the page, the browser does not send the
        # strict cookie, and a new one would take the place of the visitor's own.
        visitors.set_visitor_cookie(request, socket, secret)
        await socket.prepare(request)
        query = request.query
        address = self._services.address_of(request)
        agent = request.headers.get("User-Agent", "")
        connection = Connection(socket, secret, self._services, limit, address, agent)
        self._connections.add(connection)
        try:
            await connection.serve(query.get("name", ""), query.get("locale", ""), room)
        finally:
            self._connections.discard(connection)
        return socket

    async def _serve_file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        is_readable = self._services.may_read_files_of(self._services.files.reader_of(name), request)
        file = (self._services.files.get(name) or await self._read_stored(name)) if is_readable else None
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

    async def _close_pages(self, app: web.Application) -> None:
        closing = [connection.leave() for connection in tuple(self._connections)]
        # A page that does not read does not take the farewell, either. aiohttp lets all who write to a page wait for
        # one future, so that a writer that is cancelled cancels this, too; that must not end the others' farewells.
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.gather(*closing, return_exceptions=True)


async def _serve_page(request: web.Request) -> web.Response:
    return await render_page(request, PAGES[request.path])


async def _serve_words(request: web.Request) -> web.Response:
    words = await asyncio.to_thread(page_words, request.match_info["language"])
    return web.Response(text=words, content_type="application/json")


@web.middleware
async def _tell_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer requests that are refused, or need the database while it cannot be used. An aiohttp middleware."""
    try:
        return await handler(request)
    except UserError as error:
        if isinstance(error, DatabaseUnavailable) and _is_read_as_text(request.path):
            text = error.sentence.in_language(language_of(request))
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text=text)
        return error_response(error, visitors.user_from_secret("", "", request.query.get("locale", "")))


def _is_read_as_text(path: str) -> bool:
    """Return whether people, or scripts for them, read the answer as it is; scripts read others as JSON."""
    return is_page(path) or path in OPEN_PATHS or path.startswith(("/socket", "/files"))


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
