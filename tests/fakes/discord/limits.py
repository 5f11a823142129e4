"""Rate limits as headers tell them and 429s enforce them, and refusals that a test asks for."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

VIA = {"Via": "1.1 google"}
"""Discord's own answers have this; a 429 without it comes from a wall before Discord, and nobody retries it."""


@dataclass
class Rule:
    """So many requests in so many seconds, for each channel, guild or webhook on its own."""

    method: str
    glob: str
    limit: int
    seconds: float
    windows: dict[str, tuple[float, int]] = field(default_factory=dict)
    """By major parameter: when the window ends, and how many are left in it."""

    def take(self, path: str) -> tuple[dict[str, str], float]:
        """Count one request: the headers that tell of it, and how long to wait if it was one too many."""
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
    """The next `times` requests that match are answered like this."""

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
        """The refusal that was asked for, once less."""
        for refusal in self.refusals:
            if refusal.times and refusal.method == method and fnmatchcase(path, refusal.glob):
                refusal.times -= 1
                return refusal
        return None

    def take(self, method: str, path: str) -> tuple[dict[str, str], float]:
        """Count one request by the first rule that it falls under."""
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
