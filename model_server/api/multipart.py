"""Reads a multipart form with an image: the fields as JSON, and the bytes of the image."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from aiohttp import BodyPartReader
from aiohttp.http_exceptions import HttpProcessingError
from pydantic_core import from_json

from model_server.errors import invalid_value
from model_server.images import read_stamp

if TYPE_CHECKING:
    from aiohttp import web

MAX_PICTURE_BYTES = 16 << 20
MAX_FIELD_BYTES = 1 << 16
MAX_PARTS = 64
CHUNK_BYTES = 1 << 16
PICTURE = "image"
TEXT_FIELDS = frozenset(
    ("model", "prompt", "negative_prompt", "size", "layout", "background", "response_format", "output_format", "user")
)
"""Fields that are plain text; all others are written as JSON."""


async def read_form(request: web.Request) -> tuple[bytes, bytes]:
    """Return the fields, as the body of a JSON request, and the encoded image. Raises ApiError (400) for a bad form.

    A list is written as JSON or, as other clients do, as one part `name[]` for each element. The prompt may be left out
    if the image was drawn by this server; then the prompt that is stored in the image counts.
    """
    if request.content_type != "multipart/form-data":
        raise invalid_value("The body must be a form (multipart/form-data) that has the picture as its field `image`.")
    try:
        fields, picture = await _read_parts(request)
    except (ValueError, HttpProcessingError) as error:
        raise invalid_value("The form is broken; its parts cannot be told apart.") from error
    if picture is None:
        raise invalid_value("`image` is missing; send the picture to start from.", PICTURE)
    try:
        made_by = await asyncio.to_thread(read_stamp, picture)
    except ValueError as error:
        raise invalid_value(str(error), PICTURE) from None
    if "prompt" not in fields:
        if not made_by.get("prompt"):
            raise invalid_value("`prompt` is missing, and the picture has none of its own; say what to draw.", "prompt")
        fields["prompt"] = made_by["prompt"]
    return json.dumps(fields).encode(), picture


async def _read_parts(request: web.Request) -> tuple[dict[str, Any], bytes | None]:
    fields: dict[str, Any] = {}
    picture: bytes | None = None
    reader = await request.multipart()
    for _ in range(MAX_PARTS):
        part = await reader.next()
        if part is None:
            return fields, picture
        if not isinstance(part, BodyPartReader) or not part.name:
            raise ValueError("a part without a name")
        if part.name == PICTURE:
            limit = f"{MAX_PICTURE_BYTES >> 20} MB"
            picture = await _read_content(
                part, MAX_PICTURE_BYTES, f"The picture is larger than {limit}; send a smaller one."
            )
        else:
            sentence = f"`{part.name[:80]}` is longer than {MAX_FIELD_BYTES:,} bytes."
            _add_field(fields, part.name, (await _read_content(part, MAX_FIELD_BYTES, sentence)).decode())
    raise invalid_value(f"The form has more than {MAX_PARTS} parts.")


async def _read_content(part: BodyPartReader, max_bytes: int, sentence: str) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(CHUNK_BYTES):
        content += chunk
        if len(content) > max_bytes:
            raise invalid_value(sentence, part.name)
    return bytes(content)


def _add_field(fields: dict[str, Any], name: str, text: str) -> None:
    if name.endswith("[]"):
        before = fields.get(name.removesuffix("[]"))
        fields[name.removesuffix("[]")] = [*(before if isinstance(before, list) else ()), _parse_value(text)]
    elif name in TEXT_FIELDS:
        fields[name] = text
    elif text:
        fields[name] = _parse_value(text)


def _parse_value(text: str) -> Any:
    """Parse JSON; return other text as it is, so that validation can quote it."""
    try:
        # pydantic's parser limits the depth; `json` would recurse until the stack is full.
        return from_json(text)
    except ValueError:
        return text
