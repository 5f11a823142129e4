"""Requests to the gateway and the parsing of its responses, for tests."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from model_server.errors import ApiError

CHAT = "/v1/chat/completions"


def chat(prompt: str, **fields: Any) -> dict[str, Any]:
    """Return the request body of a chat of one turn."""
    return {"model": "parrot", "messages": [{"role": "user", "content": prompt}], **fields}


async def error_of(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """Return the error of a response, which must have OpenAI's shape."""
    body = await response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert "\n" not in body["error"]["message"]
    return dict(body["error"])


async def events_of(response: aiohttp.ClientResponse) -> AsyncIterator[Any]:
    """Iterate over the data of the events of a stream; `[DONE]` is a text."""
    async for line in response.content:
        if line.startswith(b"data: "):
            data = line.removeprefix(b"data: ").strip()
            yield data.decode() if data == b"[DONE]" else json.loads(data)


async def collect(http: aiohttp.ClientSession, body: dict[str, Any]) -> list[Any]:
    """Return all events of a stream, which must start with status 200."""
    async with http.post(CHAT, json=body) as response:
        assert response.status == 200
        return [event async for event in events_of(response)]


def refused(make: Callable[..., object], fields: dict[str, Any], sentence: str, param: str = "") -> None:
    """Check that a mistake is told in this sentence, and that the error names the field that it begins with."""
    with pytest.raises(ApiError) as error:
        make(**fields)
    assert (error.value.status, error.value.message) == (400, sentence)
    assert error.value.param == (param or sentence.split("`")[1])
