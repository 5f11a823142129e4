"""Streams chats over HTTP and measures them, and makes the prompts for that."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model_server.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import aiohttp

WORDS = (
    *("river", "paper", "garden", "window", "number", "letter", "music", "winter", "bridge", "silver", "market"),
    *("engine", "forest", "candle", "mirror", "harbor", "planet", "village", "doctor", "kitchen", "summer", "pencil"),
    *("castle", "shadow", "button", "farmer", "island", "ticket", "valley", "orange", "bottle", "carpet", "hammer"),
)
"""Words of which most are one token."""
TASK = "Write a long and detailed explanation of how these things could be connected:"
TOKENS_AROUND = 42
"""Approximate length of the chat template and TASK in a prompt."""
Request = tuple[str, dict[str, Any]]
"""The text of a chat and further fields of its request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamResult:
    """One streamed answer: the times of the request, the first and the last text, in seconds, and its tokens."""

    asked: float
    first: float
    last: float
    read: int
    """Tokens of the prompt, of which `cached` came from the cache."""
    cached: int
    written: int
    places: tuple[int, ...] = ()
    """The places in the queue that the server reported, in order."""
    tokens: tuple[str, ...] = ()
    """The text of each written token, if the request asked for log-probabilities."""

    @property
    def wait(self) -> float:
        """Seconds to the first text."""
        return self.first - self.asked

    @property
    def rate(self) -> float:
        """Tokens per second once the first one is there."""
        return (self.written - 1) / (self.last - self.first) if self.last > self.first else 0.0


def make_prompt(tokens: int, seed: object) -> str:
    """Return a prompt of about `tokens` tokens that asks for a long text; each seed gives other words."""
    chosen = random.Random(str(seed)).choices(WORDS, k=max(1, tokens - TOKENS_AROUND))  # noqa: S311 - no secret
    return f"{' '.join(chosen)}\n{TASK}"


async def ask(
    session: aiohttp.ClientSession, model: str, prompt: str | list[dict[str, str]], tokens: int, **fields: Any
) -> StreamResult:
    """Stream one answer of at most `tokens` tokens to a text or to the messages of a chat.

    Raises OperatorError if the server refuses.
    """
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt,
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True, "include_progress": True},
    } | fields
    asked, texts, usage = time.perf_counter(), list[float](), dict[str, Any]()
    places, named = list[int](), list[str]()
    async with session.post("/v1/chat/completions", json=body) as response:
        if response.status != 200:
            raise OperatorError(f"The model server refused: {await read_error(response)}")
        async for line in response.content:
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line.removeprefix(b"data: "))
            if "error" in chunk:
                raise OperatorError(f"The model server failed: {chunk['error']['message']}")
            usage = chunk.get("usage") or usage
            if queue := (chunk.get("tempera") or {}).get("queue"):
                places.append(queue["place"])
            for choice in chunk.get("choices", ()):
                if choice["delta"].get("content"):
                    texts.append(time.perf_counter())
                named += [token["token"] for token in (choice.get("logprobs") or {}).get("content") or ()]
    if not texts:
        raise OperatorError("The model server sent no text.")
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


async def ask_together(
    session: aiohttp.ClientSession,
    model: str,
    requests: Sequence[Request],
    tokens: int,
    *,
    delay: float = 0.0,
) -> list[StreamResult]:
    """Stream the answers to texts with their fields at the same time, or each `delay` seconds after the one before."""

    async def ask_later(index: int, text: str, fields: dict[str, Any]) -> StreamResult:
        await asyncio.sleep(index * delay)
        return await ask(session, model, text, tokens, **fields)

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(ask_later(index, *request)) for index, request in enumerate(requests)]
    return [task.result() for task in running]


async def read_error(response: aiohttp.ClientResponse) -> str:
    """Return the sentence of an error response, or its status."""
    try:
        return str((await response.json(content_type=None))["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"status {response.status}."
