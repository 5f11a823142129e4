"""What was asked, what was promised, how it ended, and which disturbance it met."""

from __future__ import annotations

import itertools
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

UNDISTURBED = "nothing"
MARK = re.compile(r"\bq(\d+)x\b")
"""Stands in the words of each request, so that its rows and messages are found."""
SETTLE_SECONDS = 2.0
"""How long after its end a disturbance still counts for what ends then."""
KILL_OF_BOT = "kill -9 of the bot"
KNOWN_GAP = frozenset({"Discord", "Slack"})
"""Platforms on which the bot acknowledges what is asked a moment before it stores it. A kill in this moment leaves no
trace of the request. The table counts them, and they are not taken for a broken promise.
"""
GAP_SECONDS = 10.0
"""How long that moment may be, on a machine that is busy with what is tried here."""
REPEATED_AFTER_KILL = 1
"""How many requests may be answered twice after one kill."""


@dataclass
class Seen:
    """What a person sees of their request: how many final messages, and the rows that stand in what they see."""

    finals: int = 0
    is_shown: bool = False
    """Whether there is any message, final or not."""
    rows: set[int] = field(default_factory=set)


@dataclass(eq=False)
class Asked:
    """One request. `look` returns what the person sees of it at the moment."""

    number: int
    platform: str
    kind: str
    words: str
    sent: float = field(default_factory=time.monotonic)
    acknowledged: float = 0.0
    """When it was; 0 if it was not."""
    ended: float = 0.0
    """When its newest final message was there; 0 if there is none."""
    finals: int = 0
    """How many final messages there were then."""
    look: Callable[[], Seen] = Seen

    def __str__(self) -> str:
        return f"{self.kind} {self.number} on {self.platform} (“{self.words[:40]}”)"


@dataclass
class Disturbance:
    """Something that was done to a program, from its beginning until everything worked again."""

    name: str
    began: float
    ended: float = 0.0


@dataclass
class Tally:
    """The figures of one kind of disturbance: a row of the table."""

    times: int = 0
    acknowledged: int = 0
    answered: int = 0
    told_why: int = 0
    cut_short: int = 0
    repeated: int = 0
    stuck: int = 0
    lost: int = 0
    unstored: int = 0
    """How many the bot was killed for between the acknowledgement and the storage; see KNOWN_GAP."""

    @property
    def ended(self) -> int:
        """How many ended in a final message."""
        return self.answered + self.told_why + self.cut_short


class Ledger:
    """All requests and all disturbances of a run."""

    def __init__(self) -> None:
        self.requests: list[Asked] = []
        self.disturbances: list[Disturbance] = []
        self.complaints: list[str] = []
        """Sentences about what went wrong beside requests."""
        self._numbers = itertools.count(1)

    def open(self, platform: str, kind: str, words: str) -> Asked:
        """Note a request that is about to be sent; its words begin with its mark."""
        number = next(self._numbers)
        asked = Asked(number, platform, kind, f"q{number}x {words}")
        self.requests.append(asked)
        return asked

    def begin(self, name: str) -> Disturbance:
        """Note that a disturbance begins."""
        self.disturbances.append(Disturbance(name, time.monotonic()))
        return self.disturbances[-1]

    def met(self, asked: Asked) -> str:
        """Return the name of the last disturbance that a request met before its end, or UNDISTURBED.

        One that never ended met the first disturbance after it was sent.
        """
        later = [one for one in self.disturbances if one.ended + SETTLE_SECONDS > asked.sent]
        met = [one for one in later if one.began < asked.ended] if asked.ended else later[:1]
        return met[-1].name if met else UNDISTURBED

    def repeated_by(self, asked: Asked) -> str:
        """Return the name of the disturbance after which a request was answered again.

        A kill of the bot comes first: an answer whose end could not be stored before it is marked as cut short after
        it, whatever happens meanwhile.
        """
        kills = (one for one in self.disturbances if one.name == KILL_OF_BOT)
        return KILL_OF_BOT if any(asked.sent < one.began < asked.ended for one in kills) else self.met(asked)

    def was_in_gap(self, asked: Asked) -> bool:
        """Return whether the bot was killed a moment after it acknowledged a request that has not ended."""
        if asked.ended or asked.platform not in KNOWN_GAP:
            return False
        kills = (one.began for one in self.disturbances if one.name == KILL_OF_BOT)
        return any(0 <= kill - asked.acknowledged < GAP_SECONDS for kill in kills)

    def judge(self, rows: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Tally], list[str]]:
        """Return the table, and a sentence for each broken promise. `rows` are those of the table `messages`."""
        stored = {row["id"]: row for row in rows}
        answers: dict[int, list[Mapping[str, Any]]] = {}
        for row in stored.values():
            question = stored.get(row["parent"] or 0)
            if row["role"] == "assistant" and question is not None and (mark := _mark_of(question)):
                answers.setdefault(mark, []).append(row)
        table = {name: Tally() for name in (UNDISTURBED, *dict.fromkeys(one.name for one in self.disturbances))}
        for one in self.disturbances:
            table[one.name].times += 1
        problems = list(self.complaints)
        for asked in self.requests:
            if asked.acknowledged:
                met = self.met(asked)
                found = answers.get(asked.number, [])
                if not found and self.was_in_gap(asked):
                    table[KILL_OF_BOT].acknowledged += 1
                    table[KILL_OF_BOT].unstored += 1
                    continue
                table[self.repeated_by(asked)].repeated += max(len(found), asked.look().finals, 1) - 1
                if problem := _count(asked, table[met], found, stored):
                    problems.append(f"After “{met}”: {problem}")
        for name, tally in table.items():
            allowed = REPEATED_AFTER_KILL * tally.times if name.startswith("kill") else 0
            if tally.repeated > allowed:
                problems.append(f"After “{name}”, {tally.repeated} requests were answered twice; {allowed} may be.")
        return table, problems

    def unacknowledged(self) -> Counter[str]:
        """Return how many requests were never promised anything, by platform."""
        return Counter(asked.platform for asked in self.requests if not asked.acknowledged)


def _mark_of(question: Mapping[str, Any]) -> int:
    found = MARK.search(f"{question['text']} {question['options']}")
    return int(found[1]) if found else 0


def _count(
    asked: Asked, tally: Tally, answers: list[Mapping[str, Any]], stored: Mapping[int, Mapping[str, Any]]
) -> str:
    """Count one request that was acknowledged, and return a sentence if a promise was broken."""
    seen, states = asked.look(), {answer["state"] for answer in answers}
    tally.acknowledged += 1
    if gone := sorted(seen.rows - stored.keys()):
        tally.lost += 1
        return f"{asked} was shown with row {gone[0]}, which is not stored any more."
    if not seen.finals and not answers and not seen.is_shown:
        tally.lost += 1
        return f"{asked} was acknowledged, and there is neither a row nor a message of it."
    if not seen.finals or states & {"queued", "running"}:
        tally.stuck += 1
        where = f"its rows are {sorted(states)}" if answers else "no row was stored"
        return f"{asked} has no final message; {where}."
    if not answers or states == {"failed"}:
        tally.told_why += 1
    elif "done" in states or "stopped" in states:
        tally.answered += 1
    else:
        tally.cut_short += 1
    return ""


HEADINGS = (
    "disturbance",
    "times",
    "acknowledged",
    "ended",
    "of these answered",
    "told why not",
    "marked as cut short",
    "answered twice",
    "stuck",
    "lost",
    "killed before it was stored",
)


def as_markdown(table: Mapping[str, Tally]) -> str:
    """Return the table as a page of the documentation has it."""
    lines = [f"| {' | '.join(HEADINGS)} |", f"| --- |{' ---: |' * (len(HEADINGS) - 1)}"]
    total = Tally()
    for name, tally in table.items():
        for figure in vars(total):
            setattr(total, figure, getattr(total, figure) + getattr(tally, figure))
        lines.append(_line(name, tally))
    return "\n".join([*lines, _line("**all**", total)])


def _line(name: str, tally: Tally) -> str:
    ended = (tally.answered, tally.told_why, tally.cut_short, tally.repeated)
    cells = (name, tally.times or "", tally.acknowledged, tally.ended, *ended, tally.stuck, tally.lost, tally.unstored)
    return f"| {' | '.join(map(str, cells))} |"
