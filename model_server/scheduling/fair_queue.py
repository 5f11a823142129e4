"""Chooses the next job: the virtual token counter of "Fairness in Serving Large Language Models" (arXiv 2401.00588).

Every user has a counter of the work that was done for them, and the user with the lowest counter is served next. The
counter of a user who comes back after a pause is lifted to the lowest counter among the active users: a pause saves
nothing up, and nobody starves.
The expected cost of running jobs is added when the next job is chosen, as in that paper's variant with predicted
lengths, so that the free slots of a batch do not all go to one user before the first token is written. The lift looks
only at work that was done, which never shrinks: no newcomer stands behind the users who are being served already.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_server.jobs import Event
    from model_server.scheduling.ticket import Ticket


@dataclass(slots=True)
class Account:
    """One user: the cost of the work done for them, and their jobs.

    `last_turn` is the number of their arrival, or of the last beginning or end of a job of theirs. Of users with the
    same counter, the one with the lowest number is served next.
    """

    counter: float = 0.0
    last_turn: int = 0
    waiting: dict[str, Ticket] = field(default_factory=dict)
    running: dict[str, Ticket] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        """True if the user has waiting or running jobs."""
        return bool(self.waiting or self.running)

    @property
    def projected_counter(self) -> float:
        """The counter plus the expected remaining cost of the running jobs; the lowest one is served next."""
        return self.counter + sum(ticket.cost.remaining for ticket in self.running.values())


class FairQueue:
    """The waiting and running jobs of one model, by user. Iterating gives the waiting jobs in their order."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._turns = itertools.count(1)

    def add(self, ticket: Ticket) -> None:
        """Add a waiting job."""
        account = self._accounts.get(ticket.job.user)
        if account is None or not account.is_active:
            account = self._lift_counter(ticket.job.user)
        account.waiting[ticket.job.id] = ticket

    def pop(self) -> Ticket:
        """Return the next waiting job and count it among the running ones from now on."""
        ticket = next(iter(self))
        account = self._accounts[ticket.job.user]
        del account.waiting[ticket.job.id]
        account.running[ticket.job.id] = ticket
        account.last_turn = next(self._turns)
        return ticket

    def charge(self, ticket: Ticket, event: Event) -> None:
        """Add the cost of an event of a job to the counter of its user."""
        self._accounts[ticket.job.user].counter += ticket.cost.record(event)

    def discard(self, ticket: Ticket) -> bool:
        """Forget a job. Return True if it was running."""
        account = self._accounts.get(ticket.job.user)
        if account is None:
            return False
        account.waiting.pop(ticket.job.id, None)
        if account.running.pop(ticket.job.id, None) is None:
            return False
        # Who came while it ran goes first, also if it cost nothing.
        account.last_turn = next(self._turns)
        return True

    @property
    def running(self) -> list[Ticket]:
        """The jobs that the worker has."""
        return [ticket for account in self._accounts.values() for ticket in account.running.values()]

    def find_running(self, job_id: str) -> Ticket | None:
        """Return the running job of that id, or None."""
        candidates = (account.running.get(job_id) for account in self._accounts.values())
        return next(filter(None, candidates), None)

    def waiting_for(self, user: str) -> list[Ticket]:
        """Return the waiting jobs of one user, in their order."""
        account = self._accounts.get(user)
        return list(account.waiting.values()) if account else []

    def __iter__(self) -> Iterator[Ticket]:
        """Iterate over the waiting jobs in the order in which they run if each costs as much as expected."""
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
            ticket = next(queues[user], None)
            if ticket is None:
                heapq.heappop(heap)
                continue
            yield ticket
            heapq.heapreplace(heap, (projected_counter + ticket.cost.remaining, next(turns), user))

    def __len__(self) -> int:
        """Return the number of waiting jobs."""
        return sum(len(account.waiting) for account in self._accounts.values())

    def _lift_counter(self, user: str) -> Account:
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
        account.counter = max(account.counter, floor)
        # Behind those who have waited longer: else later users could pass by them for ever.
        account.last_turn = next(self._turns)
        return account
