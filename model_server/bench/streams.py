"""Chats over HTTP as a client sees them, and the texts that are asked about."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model_server.catalogue import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import aiohttp

WORDS = (
    *("river", "paper", "garden", "window", "number", "letter", "music", "winter", "bridge", "silver", "market"),
    *("engine", "forest", "candle", "mirror", "harbor", "planet", "village", "doctor", "kitchen", "summer", "pencil"),
    *("castle", "shadow", "button", "farmer", "island", "ticket", "valley", "orange", "bottle", "carpet", "hammer"),
)
"""Most are one token each."""
TASK = "Write a long and detailed explanation of how these things could be connected:"
TOKENS_AROUND = 42
"""About what the chat template and TASK take of a prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamResult:
    """One streamed answer. When it was asked for, and when its first and its last text came, in seconds."""

    asked: float
    first: float
    last: float
    read: int
    """Tokens of the prompt, `cached` of which needed no work."""
    cached: int
    written: int
    places: tuple[int, ...] = ()
    """In the queue, as they were told one after the other."""
    tokens: tuple[str, ...] = ()
    """What was written, one by one, where it was asked for."""

    @property
    def wait(self) -> float:
        """Seconds to the first text."""
        return self.first - self.asked

    @property
    def rate(self) -> float:
        """Tokens per second once the first one is there."""
        return (self.written - 1) / (self.last - self.first) if self.last > self.first else 0.0


def prompt(tokens: int, seed: object) -> str:
    """A request for a long text whose prompt has about so many tokens; another seed, another text from the start."""
    chosen = random.Random(str(seed)).choices(WORDS, k=max(1, tokens - TOKENS_AROUND))  # noqa: S311 - no secret
    return f"{' '.join(chosen)}\n{TASK}"


async def ask(session: aiohttp.ClientSession, model: str, text: str, tokens: int, **fields: Any) -> StreamResult:
    """One answer of at most `tokens` tokens. Raises StoreError when the server refuses."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True, "include_progress": True},
    } | fields
    asked, texts, usage = time.perf_counter(), list[float](), dict[str, Any]()
    places, named = list[int](), list[str]()
    async with session.post("/v1/chat/completions", json=body) as response:
        if response.status != 200:
            raise StoreError(f"The model server refused: {await _refusal(response)}")
        async for line in response.content:
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line.removeprefix(b"data: "))
            if "error" in chunk:
                raise StoreError(f"The model server failed: {chunk['error']['message']}")
            usage = chunk.get("usage") or usage
            if queue := (chunk.get("tempera") or {}).get("queue"):
                places.append(queue["place"])
            for choice in chunk.get("choices", ()):
                if choice["delta"].get("content"):
                    texts.append(time.perf_counter())
                named += [token["token"] for token in (choice.get("logprobs") or {}).get("content") or ()]
    if not texts:
        raise StoreError("The model server sent no text.")
    return StreamResult(
        asked=asked,
        first=texts[0],
        last=texts[-1],
        read=usage.get("prompt_tokens", 0),
        cached=(usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0),
        written=usage.get("completion_tokens", len(texts)),
        places=tuple(places),
        tokens=tuple(named),
    )


async def together(
    session: aiohttp.ClientSession, model: str, texts: Sequence[str], tokens: int, *, apart: float = 0.0
) -> list[StreamResult]:
    """Answers to texts that are asked at once, or each `apart` seconds after the one before."""

    async def later(place: int, text: str) -> StreamResult:
        await asyncio.sleep(place * apart)
        return await ask(session, model, text, tokens)

    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(later(place, text)) for place, text in enumerate(texts)]
    return [task.result() for task in asked]


async def _refusal(response: aiohttp.ClientResponse) -> str:
    try:
        return str((await response.json(content_type=None))["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"status {response.status}."
