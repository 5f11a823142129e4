"""The wire format of pictures: the form of a request, and the stream of events that answers it."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import suppress
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import aiohttp

from bot.core.model_events import Drawn, Preview, Step, Waiting
from bot.inference.responses import read_as
from bot.provenance.labelling import label_picture
from bot.provenance.metadata import find_media_type
from http_server.wire import NearestDrawing, PictureFacts, ReferenceDrawing

if TYPE_CHECKING:
    from collections.abc import Mapping

JPEG_SIGNATURE = b"\xff\xd8"
LINE_BUFFER_BYTES = 1 << 25
"""The buffer for one line of the stream, which has a whole file; a line may be twice as long."""
MAX_DRAWINGS, MAX_DRAWING_BYTES, MAX_CREDIT_CHARACTERS = 8, 1 << 18, 100
"""Limits of the drawings that a model looked at: their number, the file of each, and each text about it."""


def build_form(body: Mapping[str, Any], source: bytes) -> aiohttp.FormData:
    """Return `body` as a form with the picture `source`: strings as they are, other values as JSON."""
    form = aiohttp.FormData()
    kind = "jpeg" if source.startswith(JPEG_SIGNATURE) else "png"
    form.add_field("image", source, filename=f"source.{kind}", content_type=f"image/{kind}")
    for name, value in body.items():
        form.add_field(name, value if isinstance(value, str) else json.dumps(value))
    return form


class PictureStream:
    """Converts the chunks of one stream to events.

    A chunk in an unknown format raises AttributeError, KeyError, TypeError or ValueError.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._files: list[bytes] = []
        self._last: Mapping[str, Any] = {}
        self._looked_at: dict[ReferenceDrawing, None] = {}
        self._nearest: NearestDrawing | None = None

    def read(self, chunk: Mapping[str, Any]) -> Waiting | Step | Preview | None:
        """Return the event in a chunk; None if it has none for the user."""
        news = chunk.get("tempera") or {}
        match chunk.get("type"):
            case "tempera.progress" if queue := news.get("queue"):
                return Waiting(int(queue["place"]), queue.get("eta_s"))
            case "tempera.progress":
                return Step(int(news["step"]), int(news["steps"]))
            case "image_generation.partial_image":
                return Preview(_decode_file(chunk), int(news["step"]), int(news["steps"]))
            case "image_generation.completed":
                self._files.append(_decode_file(chunk))
                self._last = chunk
                self._looked_at |= dict.fromkeys(map(_read_drawing, news.get("looked_at", ())[:MAX_DRAWINGS]))
                if len(self._files) == 1 and (nearest := news.get("nearest")):
                    self._nearest = NearestDrawing(_read_drawing(nearest), float(nearest["distance"]))
        return None

    def result(self) -> Drawn:
        """Return the finished pictures, once the stream has ended."""
        facts = self._last["tempera"]
        drawn = read_as(PictureFacts, facts)
        return Drawn(
            model=self._model,
            files=tuple(self._files),
            media_type=f"image/{self._last['output_format']}",
            seed=int(facts["seed"]),
            seconds=float(facts["seconds"]),
            guided_by=str(facts["guided_by"]),
            looked_at=tuple(self._looked_at)[:MAX_DRAWINGS],
            nearest=self._nearest,
            **{field.name: getattr(drawn, field.name) for field in fields(drawn)},
        )


async def label_preview(preview: Preview, model: str) -> Preview:
    """Return a preview whose picture has a label."""
    return replace(preview, png=await asyncio.to_thread(label_picture, preview.png, {"model": model}))


async def label_drawn(drawn: Drawn) -> Drawn:
    """Return finished pictures with labels."""
    facts = {
        "model": drawn.model,
        "seed": str(drawn.seed),
        "steps": str(drawn.steps),
        "guidance": f"{drawn.guidance:g}",
        "sampler": drawn.sampler,
        "size": f"{drawn.width}x{drawn.height}",
        **({} if drawn.strength is None else {"strength": f"{drawn.strength:g}"}),
        **({"parts": str(len(drawn.parts))} if drawn.parts else {}),
        **({"references": str(drawn.references)} if drawn.references else {}),
        **({"enlarged_by": drawn.enlarged_by} if drawn.enlarged_by else {}),
    }
    files = tuple([await asyncio.to_thread(label_picture, file, facts) for file in drawn.files])
    media_type = drawn.media_type
    with suppress(ValueError):
        media_type = find_media_type(files[0])
    return replace(drawn, files=files, media_type=media_type)


def _decode_file(chunk: Mapping[str, Any]) -> bytes:
    return base64.b64decode(chunk["b64_json"], validate=True)


def _read_drawing(told: Mapping[str, Any]) -> ReferenceDrawing:
    picture = base64.b64decode(told["picture"], validate=True)
    if len(picture) > MAX_DRAWING_BYTES:
        raise ValueError("a drawing is too large")
    thing, drawing_set, author, licence = (
        " ".join(str(told[name]).split())[:MAX_CREDIT_CHARACTERS] for name in ("thing", "set", "author", "licence")
    )
    return ReferenceDrawing(thing, drawing_set, author, licence, picture)
