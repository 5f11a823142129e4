"""Takes uploads: files that forms and messages name afterwards."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from bot.core.i18n import translate
from bot.core.messages import Attachment
from bot.platforms.web.access import visitors
from bot.platforms.web.access.limits import Shares, TooMany
from bot.platforms.web.templates import language_of
from http_server.bodies import SlowBody, steady_body

if TYPE_CHECKING:
    from bot.platforms.web.access.limits import WebLimits
    from bot.platforms.web.chat.services import WebServices

PATH = "/files"
MAX_UPLOAD_BYTES = 8 * 2**20
"""Largest upload. Less than the limit elsewhere, because uploads are kept in memory."""
SLOW_BYTES_PER_SECOND, BUSY_BYTES_PER_SECOND = 16 << 10, 128 << 10
"""The pace that an upload must have, and the one that it must have while others may wait for it to end."""
TURN_SECONDS = 120.0
"""How long an upload may wait for others."""


class UploadPage:
    """The address for uploads. Neither one visitor nor one address, nor slow uploads, can keep others from it."""

    def __init__(self, services: WebServices, limits: WebLimits) -> None:
        self._uploads = services.uploads
        self._shared = services.shared_uploads
        self._seconds = limits.upload_seconds
        self._waiting = Shares(limits.waiting_uploads)
        self._reading = Shares(limits.uploads)

    def routes(self) -> list[web.RouteDef]:
        """Return the route."""
        return [web.post(PATH, self._take)]

    async def _take(self, request: web.Request) -> web.Response:
        """Keep an uploaded file, which is the body of the request, and answer with its name."""
        secret = visitors.read_secret(request)
        if secret is None:
            raise web.HTTPUnauthorized(text=translate("Open the chat first.", language_of(request)))
        owner = visitors.user_from_secret(secret, "", "").id
        try:
            with self._waiting.hold(request.remote or "", owner):
                data = await self._read_in_turn(request, owner)
        except (TooMany, TimeoutError):
            sentence = "Too many files are being sent at the moment; try again shortly."
            raise web.HTTPTooManyRequests(text=translate(sentence, language_of(request))) from None
        except SlowBody:
            sentence = "The file did not arrive in time. Try it again, or a smaller one."
            raise web.HTTPRequestTimeout(text=translate(sentence, language_of(request))) from None
        filename = visitors.clean_filename(request.query.get("name", ""))
        file = Attachment(filename, data, media_type=request.content_type)
        name = self._uploads.keep(file, owner)
        await self._shared.keep(name, owner, file)
        return web.json_response({"name": name})

    async def _read_in_turn(self, request: web.Request, owner: str) -> bytes:
        """Return the file. Raises TimeoutError if its turn does not come, SlowBody if it arrives too slowly."""
        address = request.remote or ""

        def pace() -> float:
            return BUSY_BYTES_PER_SECOND if self._reading.is_full(address) else SLOW_BYTES_PER_SECOND

        async with asyncio.timeout(TURN_SECONDS) as waiting, self._reading.wait_for(address, owner):
            waiting.reschedule(None)
            async with steady_body(request, self._seconds, pace):
                return await _read(request)


async def _read(request: web.Request) -> bytes:
    data = bytearray()
    async for chunk in request.content.iter_chunked(1 << 16):
        data += chunk
        if len(data) > MAX_UPLOAD_BYTES:
            sentence = "A file may have {most} MB; this one has more."
            text = translate(sentence, language_of(request), most=MAX_UPLOAD_BYTES // 2**20)
            raise web.HTTPRequestEntityTooLarge(MAX_UPLOAD_BYTES, len(data), text=text)
    return bytes(data)
