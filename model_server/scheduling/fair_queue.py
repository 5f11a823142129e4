"""Whose job is next: the virtual token counter of "Fairness in Serving Large Language Models" (arXiv 2401.00588).

Every user has a count of the work that was done for them, and the lowest count is served next. Who comes back after a
while starts at the lowest count among those who are there: being away saves nothing up, and starves nobody.
What is expected of the jobs that run counts too when the next one is chosen, as that paper's variant with predicted
lengths does, so that the free slots of a batch do not all go to one user before the first token is there. The lift
looks only at what was really done, which never shrinks: no newcomer is behind those who are at work already.
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
    """One user: what was done for them, and their jobs. `turn` is when they were last served, counted in jobs."""

    count: float = 0.0
    turn: int = 0
    waiting: dict[str, Ticket] = field(default_factory=dict)
    running: dict[str, Ticket] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether there is anything to do for them."""
        return bool(self.waiting or self.running)

    @property
    def weight(self) -> float:
        """What decides when they are served: what they paid, and what is expected of their running jobs."""
        return self.count + sum(ticket.bill.ahead for ticket in self.running.values())


class FairQueue:
    """The jobs of one lane. Which of those that wait is next is decided here alone."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._turns = itertools.count(1)

    def add(self, ticket: Ticket) -> None:
        """Let it wait."""
        account = self._accounts.get(ticket.job.user)
        if account is None or not account.active:
            account = self._lifted(ticket.job.user)
        account.waiting[ticket.job.id] = ticket

    def take(self) -> Ticket:
        """The next one, which runs from now on."""
        ticket = next(iter(self))
        account = self._accounts[ticket.job.user]
        del account.waiting[ticket.job.id]
        account.running[ticket.job.id] = ticket
        account.turn = next(self._turns)
        return ticket

    def charge(self, ticket: Ticket, event: Event) -> None:
        """Add what happened to a job to its user's count."""
        self._accounts[ticket.job.user].count += ticket.bill.hear(event)

    def discard(self, ticket: Ticket) -> bool:
        """Let it neither wait nor run any longer; whether it ran."""
        account = self._accounts.get(ticket.job.user)
        if account is None:
            return False
        account.waiting.pop(ticket.job.id, None)
        return account.running.pop(ticket.job.id, None) is not None

    @property
    def running(self) -> list[Ticket]:
        """Those that the worker has."""
        return [ticket for account in self._accounts.values() for ticket in account.running.values()]

    def find_running(self, job_id: str) -> Ticket | None:
        """The one of that id, if the worker has it."""
        held = (account.running.get(job_id) for account in self._accounts.values())
        return next(filter(None, held), None)

    def waiting_for(self, user: str) -> list[Ticket]:
        """Those of one user that wait, in their order."""
        account = self._accounts.get(user)
        return list(account.waiting.values()) if account else []

    def __iter__(self) -> Iterator[Ticket]:
        """Those that wait, in the order in which they would be taken if every job cost what is expected of it."""
        queues = {user: iter(account.waiting.values()) for user, account in self._accounts.items()}
        heap = [(account.weight, account.turn, user) for user, account in self._accounts.items() if account.waiting]
        heapq.heapify(heap)
        turns = itertools.count(max((account.turn for account in self._accounts.values()), default=0) + 1)
        while heap:
            weight, _, user = heap[0]
            ticket = next(queues[user], None)
            if ticket is None:
                heapq.heappop(heap)
                continue
            yield ticket
            heapq.heapreplace(heap, (weight + ticket.bill.ahead, next(turns), user))

    def __len__(self) -> int:
        """How many wait."""
        return sum(len(account.waiting) for account in self._accounts.values())

    def _lifted(self, user: str) -> Account:
        """The account of somebody who comes, or comes back; those that a lift would change anyway are forgotten."""
        active = [account.count for account in self._accounts.values() if account.active]
        floor = min(active, default=0.0)
        self._accounts = {
            other: account
            for other, account in self._accounts.items()
            if account.active or (active and account.count > floor)
        }
        account = self._accounts.setdefault(user, Account(floor))
        account.count = max(account.count, floor)
        return account
