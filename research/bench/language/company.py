"""Measures what other users' requests do to one's own: to its tokens, to its place in the queue, and to the memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from research.bench.servers import CLIENTS
from research.bench.streams import Request, StreamResult, ask, ask_together, make_prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from research.bench.servers import BenchServer

SHORT = 50
"""Length of a prompt in tokens."""
SAME_TOKENS = 16
SAME_PROMPTS = 50
STAGGER_SECONDS = 0.15
MANY_REQUESTS = 50
FILL_SHARE = 0.93
"""The share of a slot that a prompt fills. Its exact length is not known beforehand, and there must be room for it."""


async def measure_sameness(side: BenchServer, model: str, delay: float = STAGGER_SECONDS) -> int:
    """Count the prompts, of SAME_PROMPTS, with the same tokens alone, from the cache, in a batch and staggered.

    `delay` is the time between staggered requests, in seconds.
    """
    shared = {"temperature": 0.8, "logprobs": True}
    requests = [(make_prompt(SHORT, f"same {number}"), shared | {"seed": number}) for number in range(SAME_PROMPTS)]
    alone, again = [], []
    for text, fields in requests:
        alone.append(await ask(side.session, model, text, SAME_TOKENS, **fields))
        again.append(await ask(side.session, model, text, SAME_TOKENS, **fields))
    batched, staggered = [], []
    for begin in range(0, SAME_PROMPTS, CLIENTS):
        group = requests[begin : begin + CLIENTS]
        batched += await ask_together(side.session, model, group, SAME_TOKENS)
        staggered += await ask_together(side.session, model, group, SAME_TOKENS, delay=delay)
    return sum(
        first.cached < cached.cached
        and bool(first.tokens)
        and first.tokens == cached.tokens == other.tokens == late.tokens
        for first, cached, other, late in zip(alone, again, batched, staggered, strict=True)
    )


async def measure_fairness(side: BenchServer, model: str) -> int:
    """Return the worst place in the queue of a single request while another user has MANY_REQUESTS."""

    async def one_of_many(number: int) -> StreamResult:
        # Different lengths keep the slots from becoming free all at once.
        tokens = 8 + 5 * (number % CLIENTS)
        return await ask(side.session, model, make_prompt(SHORT, f"many {number}"), tokens, user="many")

    many = [asyncio.create_task(one_of_many(number)) for number in range(MANY_REQUESTS)]
    try:
        await _wait_for_requests(side, many)
        other = await ask(side.session, model, make_prompt(SHORT, "one"), 8, user="one")
        await asyncio.gather(*many)
    finally:
        for task in many:
            task.cancel()
    return max(other.places, default=0)


async def fill_slots(side: BenchServer, model: str, slots: int, context: int) -> int:
    """Fill all slots of a server with one prompt and different ends; return the fewest tokens that one holds then.

    The prompt is computed once and copied to the other slots, which takes as much memory as different prompts.
    """
    prompt = make_prompt(int(FILL_SHARE * context), "fill")
    first = await ask(side.session, model, prompt, 1)
    left = context - first.read - 2 * len(str(slots)) - 2
    requests: list[Request] = [(f"{prompt} {number}", {}) for number in range(slots)]
    answers = await ask_together(side.session, model, requests, left)
    return min(answer.read + answer.written for answer in answers)


async def _wait_for_requests(side: BenchServer, requests: Sequence[asyncio.Task[StreamResult]]) -> None:
    """Wait until the server has received all requests, or has answered one already."""
    seen: set[str] = set()
    while len(seen) < len(requests) and not any(request.done() for request in requests):
        async with side.session.get("/v1/queue") as response:
            seen |= {job["id"] for queue in (await response.json())["data"] for job in queue["jobs"]}
        await asyncio.sleep(0.02)
