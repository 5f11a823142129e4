"""Limits of the web chat, so that neither one visitor nor one address can take what all others need."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from http_server.addresses import network_of, stands_for_many
from http_server.listening import LIMITS, Limits
from http_server.shares import AddressShares

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

MAX_REMEMBERED = 4096
"""Number of visitors and of networks whose rate is known; the one that was silent for the longest is dropped first."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much of something there is in all, and how much of it one address and one visitor may hold."""

    most: int
    of_address: int
    of_visitor: int


@dataclass(frozen=True, slots=True)
class MessageRate:
    """How many messages may come at once, and how many a second in the long run."""

    burst: float
    per_second: float


@dataclass(frozen=True, slots=True)
class WebLimits:
    """All limits of one web chat.

    A school is one address. Its 200 visitors have two pages each, and type at the same time.
    """

    pages: Capacity = Capacity(1000, 500, 20)
    uploads: Capacity = Capacity(16, 8, 2)
    """Uploads that are read at the same time, each into memory."""
    waiting_uploads: Capacity = Capacity(400, 200, 10)
    """Uploads that are read or wait for that."""
    waiting: Capacity = Capacity(300, 100, 1)
    """Newcomers who wait to be let in."""
    upload_seconds: float = 30.0
    """The window of time in which the pace of an upload is measured."""
    distributions: Capacity = Capacity(64, 32, 4)
    """Distributions that are computed at the same time for the dial.

    A page sends a new request while the one that it gave up may still be computed.
    """
    messages: MessageRate = MessageRate(200, 20)
    messages_of_address: MessageRate = MessageRate(4000, 400)
    connections: Limits = LIMITS


WEB_LIMITS = WebLimits()


class TooMany(Exception):
    """Somebody holds too much already; `of_visitor` is true if it is the visitor's own."""

    def __init__(self, *, of_visitor: bool) -> None:
        super().__init__()
        self.of_visitor = of_visitor


class Shares:
    """Counts what visitors and addresses hold, such as open pages. A visitor without a name counts by address alone."""

    def __init__(self, capacity: Capacity) -> None:
        self._of_visitor = capacity.of_visitor
        self._addresses = AddressShares(capacity.most, capacity.of_address)
        self._visitors: Counter[str] = Counter()
        self._freed = asyncio.Event()

    @property
    def is_unused(self) -> bool:
        """True if nobody holds anything."""
        return not self._visitors

    def is_full(self, address: str) -> bool:
        """Return whether this address can hold no more."""
        return self._addresses.is_full(address)

    @contextmanager
    def hold(self, address: str, visitor: str) -> Iterator[None]:
        """Count one more while the context lasts. Raises TooMany if the visitor, the address or all have too many."""
        if self._visitors[visitor] >= self._of_visitor:
            raise TooMany(of_visitor=True)
        if not self._addresses.add(address):
            raise TooMany(of_visitor=False)
        self._visitors[visitor] += 1
        try:
            yield
        finally:
            self._addresses.remove(address)
            self._visitors[visitor] -= 1
            if not self._visitors[visitor]:
                del self._visitors[visitor]
            self._freed.set()
            self._freed = asyncio.Event()

    @asynccontextmanager
    async def wait_for(self, address: str, visitor: str) -> AsyncIterator[None]:
        """Wait until the visitor may hold one more, and count it while the context lasts."""
        while self._visitors[visitor] >= self._of_visitor or self.is_full(address):
            await self._freed.wait()
        with self.hold(address, visitor):
            yield


class RateMeter:
    """Measures how quickly each sender sends. Times are those of `clock`, in seconds."""

    def __init__(self, rate: MessageRate, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._senders: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def count(self, sender: str, weight: float = 1.0) -> float:
        """Count a message. Returns how far the sender is above the burst: 0 if the message is within it, 1 at twice it.

        A heavier message counts for several.
        """
        now = self._clock()
        level, counted_at = self._senders.pop(sender, (0.0, now))
        level = max(0.0, level - (now - counted_at) * self._rate.per_second) + weight
        self._senders[sender] = level, now
        if len(self._senders) > MAX_REMEMBERED:
            self._senders.popitem(last=False)
        return max(0.0, level / self._rate.burst - 1)


class MessageLimit:
    """The limit of what one page may send: all pages of its visitor count, and all pages of its address."""

    def __init__(self, of_visitors: RateMeter, of_addresses: RateMeter, visitor: str, address: str) -> None:
        self.address = address
        """Where the page is."""
        self._counts = [(of_visitors, visitor)]
        if not stands_for_many(address):
            self._counts.append((of_addresses, network_of(address)))

    def count(self, weight: float = 1.0) -> float:
        """Count a message. Returns how far it is above what may come at once, as `RateMeter.count` does."""
        return max(meter.count(sender, weight) for meter, sender in self._counts)
