"""Reads the form that brings a picture: its fields in the form of JSON, and the picture's bytes."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from aiohttp import BodyPartReader
from aiohttp.http_exceptions import HttpProcessingError
from pydantic_core import from_json

from model_server.errors import ApiError
from model_server.images import stamped

if TYPE_CHECKING:
    from aiohttp import web

LARGEST_PICTURE = 16 << 20
LARGEST_FIELD = 1 << 16
MOST_PARTS = 64
CHUNK = 1 << 16
PICTURE = "image"
TEXTS = frozenset(
    ("model", "prompt", "negative_prompt", "size", "layout", "background", "response_format", "output_format", "user")
)
"""Fields that are text; all others are written as in JSON."""


async def read_form(request: web.Request) -> tuple[bytes, bytes]:
    """The fields, as the body of a JSON request, and the encoded picture. Raises ApiError (400) for what is not right.

    A list is written in JSON or, as other clients do, as one part `name[]` for each element. The prompt may be left out
    where the picture was drawn here: then it is the picture's own.
    """
    if request.content_type != "multipart/form-data":
        raise _refusal("The body must be a form (multipart/form-data) that has the picture as its field `image`.")
    try:
        fields, picture = await _read_parts(request)
    except (ValueError, HttpProcessingError) as error:
        raise _refusal("The form is broken; its parts cannot be told apart.") from error
    if picture is None:
        raise _refusal("`image` is missing; send the picture to start from.", PICTURE)
    try:
        made_by = await asyncio.to_thread(stamped, picture)
    except ValueError as error:
        raise _refusal(str(error), PICTURE) from None
    if "prompt" not in fields:
        if not made_by.get("prompt"):
            raise _refusal("`prompt` is missing, and the picture has none of its own; say what to draw.", "prompt")
        fields["prompt"] = made_by["prompt"]
    return json.dumps(fields).encode(), picture


async def _read_parts(request: web.Request) -> tuple[dict[str, Any], bytes | None]:
    fields: dict[str, Any] = {}
    picture: bytes | None = None
    reader = await request.multipart()
    for _ in range(MOST_PARTS):
        part = await reader.next()
        if part is None:
            return fields, picture
        if not isinstance(part, BodyPartReader) or not part.name:
            raise ValueError("a part without a name")
        if part.name == PICTURE:
            limit = f"{LARGEST_PICTURE >> 20} MB"
            picture = await _content(part, LARGEST_PICTURE, f"The picture is larger than {limit}; send a smaller one.")
        else:
            sentence = f"`{part.name[:80]}` is longer than {LARGEST_FIELD:,} bytes."
            _put(fields, part.name, (await _content(part, LARGEST_FIELD, sentence)).decode())
    raise _refusal(f"The form has more than {MOST_PARTS} parts.")


async def _content(part: BodyPartReader, largest: int, sentence: str) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(CHUNK):
        content += chunk
        if len(content) > largest:
            raise _refusal(sentence, part.name)
    return bytes(content)


def _put(fields: dict[str, Any], name: str, text: str) -> None:
    if name.endswith("[]"):
        before = fields.get(name.removesuffix("[]"))
        fields[name.removesuffix("[]")] = [*(before if isinstance(before, list) else ()), _value(text)]
    elif name in TEXTS:
        fields[name] = text
    elif text:
        fields[name] = _value(text)


def _value(text: str) -> Any:
    """What is written as in JSON; text that is not comes back as it is, and whoever checks it can quote it."""
    try:
        # It goes no deeper than whoever reads the request later does; `json` would go on until the stack is full.
        return from_json(text)
    except ValueError:
        return text


def _refusal(sentence: str, param: str | None = None) -> ApiError:
    return ApiError(400, sentence, code="invalid_value", param=param)
