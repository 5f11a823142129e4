"""The queue in front of an upstream by others, which is fair between people as our model server's queue is.

The work of a request is its prompt's tokens and twice those of its answer.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bot.core.errors import Busy
from http_server.fair_queue import CHARACTERS_PER_TOKEN, MAX_WAITING, MAX_WAITING_PER_USER, OUTPUT_WEIGHT, FairQueue

if TYPE_CHECKING:
    from collections.abc import Callable

EXPECTED_OUTPUT_TOKENS = 100
"""How long an answer is taken to become, as long as nobody knows."""
RETRY_SECONDS = 5.0
MINUTE = 60.0


@dataclass(slots=True, eq=False)
class Ticket:
    """One request. `output` are the tokens of its answer so far; `place` 0 means that it may run."""

    user: str
    prompt: int
    output: int = 0
    place: int = 0
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def change(self) -> None:
        """Wait until the request is at another place."""
        self.moved.clear()
        await self.moved.wait()

    @property
    def remaining_cost(self) -> float:
        """What it costs if its answer becomes as long as usual."""
        return self.prompt + OUTPUT_WEIGHT * max(EXPECTED_OUTPUT_TOKENS, self.output)

    @property
    def cost(self) -> float:
        """What it has cost so far."""
        return self.prompt + OUTPUT_WEIGHT * self.output


class UpstreamQueue:
    """Lets `at_once` requests run, and `tokens_a_minute` of prompts and answers, if that is not 0."""

    def __init__(self, at_once: int, tokens_a_minute: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._at_once = at_once
        self._budget = _Budget(tokens_a_minute, clock) if tokens_a_minute else None
        self._requests: FairQueue[Ticket] = FairQueue()
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, user: str, prompt_characters: int) -> Ticket:
        """Return the ticket of a request, which `leave` gets back in any case. Raises Busy if too many wait already."""
        own = self._requests.waiting_for(user)
        if len(self._requests) >= MAX_WAITING or len(own) >= MAX_WAITING_PER_USER:
            sentence = "Too many requests are waiting already; please try again in {seconds} seconds."
            raise Busy(sentence, RETRY_SECONDS, seconds=round(RETRY_SECONDS))
        ticket = Ticket(user, prompt_characters // CHARACTERS_PER_TOKEN + 1)
        self._requests.add(ticket)
        self._advance()
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Forget a request, and count what it cost."""
        if self._requests.discard(ticket):
            self._requests.charge(ticket, ticket.cost)
            if self._budget is not None:
                self._budget.spend(ticket.output)
        self._advance()

    def _advance(self) -> None:
        """Let run what may run, and tell the others their places."""
        requests = self._requests
        while requests and len(requests.running) < self._at_once and self._has_tokens_for(next(iter(requests))):
            ticket = requests.pop()
            if self._budget is not None:
                self._budget.spend(ticket.prompt)
            _move(ticket, 0)
        for place, ticket in enumerate(requests, 1):
            _move(ticket, place)

    def _has_tokens_for(self, ticket: Ticket) -> bool:
        """Return whether a request may begin; if not, look again when it may."""
        if self._budget is None or not (seconds := self._budget.seconds_until(ticket.prompt)):
            return True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._advance)
        return False


class _Budget:
    """Tokens that come back evenly over a minute. It may be overdrawn, since no answer tells its length before."""

    def __init__(self, a_minute: int, clock: Callable[[], float]) -> None:
        self._a_minute = a_minute
        self._clock = clock
        self._left = float(a_minute)
        self._counted_at = clock()

    def spend(self, tokens: float) -> None:
        """Take tokens out."""
        self._refill()
        self._left -= tokens

    def seconds_until(self, tokens: float) -> float:
        """Return the time until so many tokens are there, or as many as there ever are; 0 if they are."""
        self._refill()
        missing = min(tokens, self._a_minute) - self._left
        return max(0.0, missing) * MINUTE / self._a_minute

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(self._a_minute, self._left + (now - self._counted_at) * self._a_minute / MINUTE)
        self._counted_at = now


def _move(ticket: Ticket, place: int) -> None:
    if ticket.place != place:
        ticket.place = place
        ticket.moved.set()
