"""Visitors of the web chat: the cookie that identifies them, the name that they chose, and the join code."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
import unicodedata
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from bot.core.messages import User
from bot.platforms.web.access.client_address import network_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

VISITOR_COOKIE = "tempera_visitor"
PASS_COOKIE = "tempera_pass"  # noqa: S105 - a name
COOKIE_SECONDS = 365 * 24 * 3600
SECRET_PATTERN = re.compile(r"[A-Za-z0-9_-]{43}")
LOCALE_PATTERN = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")
MAX_NAME_CHARS = 32

MAX_TRIES, TRIES_SECONDS = 10, 60.0
MAX_ADDRESSES = 4096
"""Number of networks whose tries are remembered; the one that has not tried for the longest time is dropped first."""


def read_secret(request: web.Request) -> str | None:
    """Return the visitor's secret from the cookie; None if there is no valid one."""
    value = request.cookies.get(VISITOR_COOKIE, "")
    return value if SECRET_PATTERN.fullmatch(value) else None


def create_secret() -> str:
    """Return a random secret for a new visitor."""
    return secrets.token_urlsafe(32)


def read_or_create_secret(request: web.Request) -> str:
    """Return the visitor's secret from the cookie, or a new one if there is none."""
    return read_secret(request) or create_secret()


def set_visitor_cookie(response: web.StreamResponse, secret: str) -> None:
    """Store a visitor's secret in the browser."""
    response.set_cookie(VISITOR_COOKIE, secret, max_age=COOKIE_SECONDS, httponly=True, samesite="Strict")


def user_from_secret(secret: str, name: str, locale: str) -> User:
    """Return the user who has this secret. Their id is a hash, since others see it and must not learn the secret."""
    user_id = hashlib.sha256(secret.encode()).hexdigest()[:16]
    known = locale if LOCALE_PATTERN.fullmatch(locale) else "en"
    return User(user_id, clean_name(name) or f"Guest {user_id[:4]}", locale=known)


def clean_name(name: str, length: int = MAX_NAME_CHARS) -> str:
    """Return the name on one line of at most `length` characters, without invisible ones."""
    visible = (" " if char.isspace() else char for char in name)
    kept = "".join(char for char in visible if not unicodedata.category(char).startswith("C"))
    return " ".join(kept.split())[:length].strip()


def clean_filename(name: str) -> str:
    """Return the last part of an uploaded file's path, as a name that is safe in any folder."""
    return clean_name(re.split(r"[/\\]", name)[-1].lstrip("."), 120) or "file"


class JoinCode:
    """The join code, with a limit on wrong tries. An empty code admits everybody."""

    def __init__(self, code: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._code = code.encode()
        self._clock = clock
        self._tries: OrderedDict[str, deque[float]] = OrderedDict()

    @property
    def is_set(self) -> bool:
        """True if there is a code to ask for."""
        return bool(self._code)

    @property
    def pass_value(self) -> str:
        """The value of the pass cookie, which those get who gave the code. A new code makes earlier cookies invalid."""
        return hmac.new(self._code, b"tempera web pass", hashlib.sha256).hexdigest()

    def admits(self, request: web.Request) -> bool:
        """Return whether the request comes from somebody who gave the code, or no code is set."""
        given = request.cookies.get(PASS_COOKIE, "")
        return not self.is_set or hmac.compare_digest(given.encode(), self.pass_value.encode())

    def matches(self, typed: str) -> bool:
        """Return whether this is the code."""
        return hmac.compare_digest(typed.strip().encode(errors="replace"), self._code)

    def count_try(self, address: str) -> float:
        """Count a try from `address`. Returns 0 if it is allowed, else the seconds until the next one is."""
        key, now = network_of(address), self._clock()
        tries = self._tries.setdefault(key, deque())
        self._tries.move_to_end(key)
        while tries and now - tries[0] >= TRIES_SECONDS:
            tries.popleft()
        if len(tries) >= MAX_TRIES:
            return TRIES_SECONDS - (now - tries[0])
        tries.append(now)
        if len(self._tries) > MAX_ADDRESSES:
            self._tries.popitem(last=False)
        return 0.0

    def forgive_try(self, address: str) -> None:
        """Uncount the last try from `address`, which was right: a whole class may share one address."""
        if tries := self._tries.get(network_of(address)):
            tries.pop()
