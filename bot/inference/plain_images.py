"""Pictures of servers by others, in OpenAI's Images API: finished, from words alone, and nothing about their making."""

from __future__ import annotations

import asyncio
import base64
import io
import time
from typing import TYPE_CHECKING, Any

from bot.core.errors import ModelError, ModelUnavailable
from bot.core.model_events import Drawn
from bot.inference.responses import checked_format
from bot.provenance.labelling import label_picture
from bot.provenance.metadata import find_media_type
from http_server.wire import EncodedPrompt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.inference.upstreams.routing import Target

MAX_PIXELS = 1 << 25
"""More than models draw, and little enough to be decoded."""
FORMATS = ("PNG", "JPEG", "WEBP")
UNKNOWN_OPTIONS = ("guidance", "negative", "references", "seed", "steps")
"""Options of a drawing that the Images API does not have."""
WORDS_ALONE = "“{model}” draws finished pictures from words alone: no variations, no single steps, no sweeps."
NO_PICTURE = "“{upstream}” sent no picture that I can show. Please ask again; another model may do better."


def require_plain(target: Target, fields: Mapping[str, Any], source: bytes | None) -> None:
    """Raise ModelError if a request asks for more than a finished picture of some words."""
    if source is not None or fields.get("sweep") or fields.get("layout") in ("strip", "animation"):
        raise ModelError(WORDS_ALONE, model=target.name)


async def draw_plain(target: Target, fields: Mapping[str, Any]) -> Drawn:
    """Return one picture of the words in `fields`, which are those of our own server. Raises ModelError."""
    upstream = target.upstream
    # The size is left to the model, since each draws others.
    request = {"model": target.model, "prompt": fields["prompt"], "n": 1, "response_format": "b64_json"}
    began = time.monotonic()
    dialect, path = await upstream.dialect(), "/images/generations"
    try:
        answer = await upstream.request("POST", path, dialect.adapt(request))
    except ModelError as error:
        if (simpler := dialect.simpler(error, dialect.adapt(request))) is None:
            raise
        # Some refuse to be told that they shall send files, and send them.
        answer = await upstream.request("POST", path, simpler.adapt(request))
    with checked_format(upstream.shown_name):
        encoded = answer["data"][0].get("b64_json") or ""
    # An address in its place is not followed, wherever it leads.
    read = await asyncio.to_thread(_read_picture, encoded, target.name)
    if read is None:
        raise ModelUnavailable(NO_PICTURE, upstream=upstream.shown_name)
    file, media_type, (width, height) = read
    return Drawn(
        model=target.name,
        files=(file,),
        media_type=media_type,
        seed=int(fields["seed"]),
        seconds=time.monotonic() - began,
        steps=0,
        guidance=0.0,
        width=width,
        height=height,
        sampler="",
        guided_by="nothing",
        prompt=EncodedPrompt((), (), 0),
        starts=False,
        shows=False,
        repeats=False,
        left_out=UNKNOWN_OPTIONS,
        sent_to=target.sent_to,
    )


def _read_picture(encoded: object, model: str) -> tuple[bytes, str, tuple[int, int]] | None:
    """Return a picture with a label, its media type and its size; None for what is none or too large. Blocks."""
    from PIL import Image

    try:
        data = base64.b64decode(str(encoded), validate=True)
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size
        if width * height > MAX_PIXELS:
            return None
        file = label_picture(data, {"model": model, "size": f"{width}x{height}"})
        return file, find_media_type(file), (width, height)
    except Exception:  # noqa: BLE001 - Pillow raises many types for damaged files
        return None
