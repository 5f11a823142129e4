"""The page that plays one round of forger and detective slowly, and the pairs of faces that it shows."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.core.errors import Busy, UserError
from bot.core.messages import Request
from bot.inference.faces import FACE_PIXELS
from bot.platforms.web.access.limits import Shares, TooMany
from bot.platforms.web.chat.services import DUEL_COMMAND

if TYPE_CHECKING:
    from bot.core.model_events import DuelSheet
    from bot.platforms.web.access.limits import WebLimits
    from bot.platforms.web.chat.services import WebServices

MAX_SEED, MAX_SNAPSHOT = 2**31 - 1, 150


class PairRequest(BaseModel):
    """A request for a forged face and a real one, as both networks were at one snapshot of their training."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    seed: int = Field(ge=0, le=MAX_SEED)
    snapshot: int = Field(ge=0, le=MAX_SNAPSHOT)


class DuelPage:
    """Routes of the page. It is there for everybody who may use /duel in the room that it was opened from."""

    def __init__(self, services: WebServices, limits: WebLimits) -> None:
        self._services = services
        self._drawing = Shares(limits.distributions)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.get("/duel/pair", self._serve_pair)]

    async def _serve_pair(self, request: web.Request) -> web.Response:
        user = self._services.identify_request(request)
        place = self._services.place_of(user, request.query.get("room", ""))
        bot, user = self._services.bot, self._services.bot.admission.resolve_user(user, place)
        async with self._services.recording(user, DUEL_COMMAND, place):
            asked = Request(user=user, place=place, address=self._services.address_of(request))
            bot.admission.resolve_command(asked, bot.registry.find(DUEL_COMMAND))
            wanted = _parse(request)
            try:
                with self._drawing.hold(request.remote or "", user.id):
                    drawn = await bot.models.duel(seed=wanted.seed, count=2, snapshot=wanted.snapshot, user=user.id)
            except TooMany:
                sentence = "Too many faces are being drawn for this page at the moment; try again shortly."
                raise Busy(sentence, 1) from None
        return web.json_response(await asyncio.to_thread(_pair_json, drawn))


def _parse(request: web.Request) -> PairRequest:
    try:
        return PairRequest.model_validate(dict(request.query))
    except ValidationError:
        raise UserError("The page needs a seed and the number of a snapshot; open it anew.") from None


def _pair_json(drawn: DuelSheet) -> dict[str, Any]:
    """Return both faces of a sheet of two, each with the detective's verdict. Blocks."""
    from PIL import Image

    faces = {}
    with Image.open(io.BytesIO(drawn.png), formats=("PNG",)) as sheet:
        for number, (is_real, verdict) in enumerate(zip(drawn.real, drawn.verdicts, strict=True)):
            # The numbers of the faces stand below them, and a gap is between them.
            edge = min(sheet.height, FACE_PIXELS)
            left = 0 if number == 0 else sheet.width - edge
            file = io.BytesIO()
            sheet.crop((left, 0, left + edge, edge)).convert("RGB").save(file, "PNG")
            png = base64.b64encode(file.getvalue()).decode()
            faces["real" if is_real else "forged"] = {"png": png, "verdict": verdict}
    return faces
