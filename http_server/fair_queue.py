"""Chooses the next request: the virtual token counter of "Fairness in Serving Large Language Models".

Every user has a counter of the work that was done for them, and the user with the lowest counter is served next. The
counter of a user who comes back after a pause is lifted to the lowest counter among the active users: a pause saves
nothing up, and nobody starves.
The expected cost of running requests is added when the next one is chosen, as in the variant of that paper (arXiv
2401.00588) with predicted lengths, so that the free slots of a batch do not all go to one user before the first token
is written. The lift looks only at work that was done, which never shrinks: no newcomer stands behind the users who are
being served already.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTPUT_WEIGHT = 2
"""The cost of a written token, in tokens read."""
CHARACTERS_PER_TOKEN = 4
MAX_WAITING, MAX_WAITING_PER_USER = 256, 64
"""Requests that may wait in one queue, and those of one user."""


class Entry(Protocol):
    """One request. Entries are told apart by their identity."""

    @property
    def user(self) -> str:
        """Who is charged for it."""

    @property
    def remaining_cost(self) -> float:
        """The cost that is still expected of it."""


EntryT = TypeVar("EntryT", bound=Entry)


@dataclass(slots=True)
class Account(Generic[EntryT]):
    """One user: the cost of the work done for them, and their requests by identity.

    `last_turn` is the number of their arrival, or of the last beginning or end of a request of theirs. Of users with
    the same counter, the one with the lowest number is served next.
    """

    counter: float = 0.0
    last_turn: int = 0
    waiting: dict[int, EntryT] = field(default_factory=dict)
    running: dict[int, EntryT] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        """True if the user has waiting or running requests."""
        return bool(self.waiting or self.running)

    @property
    def projected_counter(self) -> float:
        """The counter plus the expected remaining cost of the running requests; the lowest one is served next."""
        return self.counter + sum(entry.remaining_cost for entry in self.running.values())


class FairQueue(Generic[EntryT]):
    """The waiting and running requests, by user. Iterating gives the waiting ones in their order."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account[EntryT]] = {}
        self._turns = itertools.count(1)

    def add(self, entry: EntryT) -> None:
        """Add a waiting request."""
        account = self._accounts.get(entry.user)
        if account is None or not account.is_active:
            account = self._lift_counter(entry.user)
        account.waiting[id(entry)] = entry

    def pop(self) -> EntryT:
        """Return the next waiting request and count it among the running ones from now on."""
        entry = next(iter(self))
        account = self._accounts[entry.user]
        account.running[id(entry)] = account.waiting.pop(id(entry))
        account.last_turn = next(self._turns)
        return entry

    def charge(self, entry: EntryT, cost: float) -> None:
        """Add a cost of a request to the counter of its user."""
        self._accounts[entry.user].counter += cost

    def discard(self, entry: EntryT) -> bool:
        """Forget a request. Return True if it was running."""
        account = self._accounts.get(entry.user)
        if account is None:
            return False
        account.waiting.pop(id(entry), None)
        if account.running.pop(id(entry), None) is None:
            return False
        # Who came while it ran goes first, also if it cost nothing.
        account.last_turn = next(self._turns)
        return True

    @property
    def running(self) -> list[EntryT]:
        """The requests that are worked on."""
        return [entry for account in self._accounts.values() for entry in account.running.values()]

    def waiting_for(self, user: str) -> list[EntryT]:
        """Return the waiting requests of one user, in their order."""
        account = self._accounts.get(user)
        return list(account.waiting.values()) if account else []

    def __iter__(self) -> Iterator[EntryT]:
        """Iterate over the waiting requests in the order in which they run if each costs as much as expected."""
        queues = {user: iter(account.waiting.values()) for user, account in self._accounts.items()}
        heap = [
            (account.projected_counter, account.last_turn, user)
            for user, account in self._accounts.items()
            if account.waiting
        ]
        heapq.heapify(heap)
        turns = itertools.count(max((account.last_turn for account in self._accounts.values()), default=0) + 1)
        while heap:
            projected_counter, _, user = heap[0]
            entry = next(queues[user], None)
            if entry is None:
                heapq.heappop(heap)
                continue
            yield entry
            heapq.heapreplace(heap, (projected_counter + entry.remaining_cost, next(turns), user))

    def __len__(self) -> int:
        """Return the number of waiting requests."""
        return sum(len(account.waiting) for account in self._accounts.values())

    def _lift_counter(self, user: str) -> Account[EntryT]:
        """Return the account of a user who arrives or comes back, with its counter lifted.

        Accounts of absent users whose counter a lift would change anyway are forgotten.
        """
        active = [account.counter for account in self._accounts.values() if account.is_active]
        floor = min(active, default=0.0)
        self._accounts = {
            other: account
            for other, account in self._accounts.items()
            if account.is_active or (active and account.counter > floor)
        }
        account = self._accounts.setdefault(user, Account(floor))
        # Behind those who have waited longer: else later users could pass by them for ever.
        account.last_turn = next(self._turns)
        return account
