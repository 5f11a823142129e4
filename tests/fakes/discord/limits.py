"""Rate limits, with their headers and 429s, and errors that a test asks for."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

VIA = {"Via": "1.1 google"}
"""A header of Discord's own responses; discord.py does not retry a 429 without it, which a proxy has sent."""


@dataclass
class Rule:
    """A number of requests in a number of seconds, for each channel, guild or webhook separately."""

    method: str
    glob: str
    limit: int
    seconds: float
    windows: dict[str, tuple[float, int]] = field(default_factory=dict)
    """By major parameter: the end of the window, and the remaining requests in it."""

    def take(self, path: str) -> tuple[dict[str, str], float]:
        """Count a request; return the headers, and how many seconds to wait if it is one too many."""
        major = "/".join(path.split("/")[1 : 4 if path.startswith(("/webhooks", "/interactions")) else 3])
        clock = time.monotonic()
        ends, left = self.windows.get(major, (0.0, 0))
        if clock >= ends:
            ends, left = clock + self.seconds, self.limit
        wait = ends - clock
        exceeded = left == 0
        left = max(0, left - 1)
        self.windows[major] = (ends, left)
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Reset": f"{time.time() + wait:.3f}",
            "X-RateLimit-Reset-After": f"{wait:.3f}",
            "X-RateLimit-Bucket": f"{abs(hash((self.method, self.glob))):x}",
        }
        return headers, wait if exceeded else 0.0


@dataclass
class Refusal:
    """An error for the next `times` requests that match."""

    method: str
    glob: str
    status: int
    body: dict[str, Any]
    headers: dict[str, str]
    times: int


class Limits:
    """`exceeded` lists the requests that were one too many."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.refusals: list[Refusal] = []
        self.exceeded: list[str] = []
        self._rest: dict[str, Rule] = {}

    def refusal(self, method: str, path: str) -> Refusal | None:
        """Return the error that a test asked for, and count it."""
        for refusal in self.refusals:
            if refusal.times and refusal.method == method and fnmatchcase(path, refusal.glob):
                refusal.times -= 1
                return refusal
        return None

    def take(self, method: str, path: str) -> tuple[dict[str, str], float]:
        """Count a request by the first rule that matches; return its headers and the seconds to wait."""
        for rule in self.rules:
            if rule.method == method and fnmatchcase(path, rule.glob):
                break
        else:
            shape = "/".join("*" if part.isdigit() else part for part in path.split("/")[:5])
            shape = shape if not path.startswith(("/webhooks", "/interactions")) else path.split("/")[1]
            rule = self._rest.setdefault(f"{method} {shape}", Rule(method, shape, 10_000, 1.0))
        headers, wait = rule.take(path)
        if wait:
            self.exceeded.append(f"{method} {path}")
        return headers, wait
