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
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from model_server.job import (
    Chat,
    Chosen,
    Completion,
    Embed,
    Event,
    Faces,
    Finished,
    Imagine,
    Moderate,
    Progress,
    Started,
    Text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_server.job import Task
    from model_server.ticket import Ticket

OUTPUT_WEIGHT = 2.0
"""A written token costs about as much as this many that are read."""
CHARACTERS_PER_TOKEN = 4
USUAL_PICTURE = 64
USUAL_STEPS = 30
"""The edge in pixels, and the steps, that a picture is counted with when its request names none."""


class Bill:
    """What one job costs its user: tokens read and twice those written, or the pixels of each step of its pictures."""

    def __init__(self, task: Task, usual_output: float) -> None:
        """`usual_output` is how many tokens an answer has here as a rule."""
        self.tokens = 0
        """Tokens written so far."""
        self._task = task
        self._unread = prompt_cost(task)
        self._pixels = picture_cost(task)
        self._drawn = 0.0
        self._output = 0.0
        if isinstance(task, Chat | Completion) and not task.dial:
            limit = task.sampling.max_tokens
            self._output = usual_output if limit is None else min(usual_output, limit)

    @property
    def ahead(self) -> float:
        """What the job is still expected to cost."""
        return self._unread + OUTPUT_WEIGHT * max(0.0, self._output - self.tokens) + self._pixels - self._drawn

    def hear(self, event: Event) -> float:
        """What an event of the job adds to what its user must pay; never below zero."""
        match event:
            case Started(prompt_tokens=tokens):
                self._unread = 0.0
                return float(tokens)
            case Text():
                return self._write(self.tokens + 1)
            case Chosen(steps=steps, width=width, height=height) if isinstance(self._task, Imagine):
                self._pixels = picture_cost(replace(self._task, steps=steps, width=width, height=height))
                return 0.0
            case Progress(step=step, steps=steps):
                return self._draw(self._pixels * step / steps)
            case Finished(completion_tokens=tokens):
                return self._write(tokens) + self._draw(self._pixels)
            case _:
                return 0.0

    def _write(self, tokens: int) -> float:
        new = max(0, tokens - self.tokens)
        self.tokens += new
        return OUTPUT_WEIGHT * new

    def _draw(self, pixels: float) -> float:
        new = max(0.0, pixels - self._drawn)
        self._drawn += new
        return new


def prompt_cost(task: Task) -> float:
    """About how many tokens a task has to read, told from its characters."""
    match task:
        case Chat(messages=messages):
            characters = sum(len(message.content) for message in messages)
        case Completion(prompt=str(prompt)):
            characters = len(prompt)
        case Completion(prompt=ids):
            return float(len(ids))
        case Embed(texts=texts) | Moderate(texts=texts):
            characters = sum(map(len, texts))
        case _:
            return 0.0
    return 1 + characters / CHARACTERS_PER_TOKEN


def picture_cost(task: Task) -> float:
    """The pixels of a task's pictures, once for each step that they take."""
    match task:
        case Faces(count=count, size=size):
            return float(count * (size or USUAL_PICTURE) ** 2)
        case Imagine():
            pixels = (task.width or USUAL_PICTURE) * (task.height or USUAL_PICTURE)
            return float(pixels * sum(steps_of(task)))
        case _:
            return 0.0


def steps_of(task: Imagine) -> list[int]:
    """How many steps each picture of a task takes: a start leaves out the first ones, frames those behind the last."""
    steps: list[float] = [task.steps or USUAL_STEPS] * task.count
    if task.sweep is not None:
        swept = task.sweep.values
        steps = list(swept) if task.sweep.knob == "steps" else [task.steps or USUAL_STEPS] * len(swept)
    part = 1.0 if task.initial is None else task.strength
    taken = [max(1, int(each * part)) for each in steps]
    return [min(each, max(task.frames, default=each)) for each in taken]


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


class Line:
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
