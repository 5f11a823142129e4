"""Pictures on the wire: how a request for them is posted, and what their stream of events says."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import aiohttp

from bot.core.model_events import Drawn, EncodedPrompt, Preview, Step, Waiting

if TYPE_CHECKING:
    from collections.abc import Mapping

LINE_BUFFER_BYTES = 1 << 25
"""Bytes. A line of the stream holds a whole file, and may have twice as many."""


def build_form(body: Mapping[str, Any], source: bytes) -> aiohttp.FormData:
    """`body` as a form with the picture `source`: lists as JSON, all else as text."""
    made = aiohttp.FormData()
    made.add_field("image", source, filename="source.png", content_type="image/png")
    for name, value in body.items():
        made.add_field(name, value if isinstance(value, str) else json.dumps(value))
    return made


class PictureStream:
    """Turns the chunks of one stream into events.

    What makes no sense raises AttributeError, KeyError, TypeError or ValueError.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._files: list[bytes] = []
        self._last: Mapping[str, Any] = {}

    def read(self, chunk: Mapping[str, Any]) -> Waiting | Step | Preview | None:
        """What one chunk says, if it is news."""
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
        return None

    def drawn(self) -> Drawn:
        """What all of it came to."""
        made = self._last["tempera"]
        return Drawn(
            model=self._model,
            files=tuple(self._files),
            media_type=f"image/{self._last['output_format']}",
            seed=int(made["seed"]),
            seconds=float(made["seconds"]),
            steps=int(made["steps"]),
            guidance=float(made["guidance"]),
            width=int(made["width"]),
            height=int(made["height"]),
            sampler=str(made["sampler"]),
            strength=made.get("strength"),
            guided_by=str(made["guided_by"]),
            prompt=_read_prompt(made["prompt"]),
            negative_prompt=_read_prompt(made["negative_prompt"]) if made.get("negative_prompt") else None,
            starts=bool(made.get("starts", True)),
            shows=bool(made.get("shows", True)),
        )


def _decode_file(chunk: Mapping[str, Any]) -> bytes:
    return base64.b64decode(chunk["b64_json"], validate=True)


def _read_prompt(read: Mapping[str, Any]) -> EncodedPrompt:
    tokens, dropped = (tuple(map(str, read[name])) for name in ("tokens", "dropped"))
    return EncodedPrompt(tokens, dropped, int(read["limit"]), tuple(map(str, read.get("unknown", ()))))
