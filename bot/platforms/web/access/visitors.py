"""Who visits: a cookie that makes a user, the name they chose, and the code that lets them in."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
import time
import unicodedata
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from bot.core.messages import User

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

VISITOR_COOKIE = "tempera_visitor"
PASS_COOKIE = "tempera_pass"  # noqa: S105 - a name
COOKIE_SECONDS = 365 * 24 * 3600
SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")
NAME_LENGTH = 32

TRIES, TRIES_SECONDS = 10, 60.0
ADDRESSES = 4096
"""How many addresses are remembered for the limit; the longest unseen are forgotten first."""


def secret_of(request: web.Request) -> str | None:
    """The visitor's secret from the cookie, if there is one."""
    value = request.cookies.get(VISITOR_COOKIE, "")
    return value if SECRET.fullmatch(value) else None


def new_secret() -> str:
    """A secret for a new visitor."""
    return secrets.token_urlsafe(32)


def remember(response: web.StreamResponse, secret: str) -> None:
    """Let the browser keep a visitor's secret."""
    response.set_cookie(VISITOR_COOKIE, secret, max_age=COOKIE_SECONDS, httponly=True, samesite="Strict")


def user_of(secret: str, name: str, locale: str) -> User:
    """The user behind a secret. Others see the id, so the secret cannot be had from it."""
    user_id = hashlib.sha256(secret.encode()).hexdigest()[:16]
    known = locale if LOCALE.fullmatch(locale) else "en"
    return User(user_id, clean_name(name) or f"Guest {user_id[:4]}", locale=known)


def clean_name(name: str, length: int = NAME_LENGTH) -> str:
    """The name in one line of at most `length` characters, without invisible ones."""
    visible = (" " if char.isspace() else char for char in name)
    kept = "".join(char for char in visible if not unicodedata.category(char).startswith("C"))
    return " ".join(kept.split())[:length].strip()


def clean_filename(name: str) -> str:
    """The last part of an uploaded file's name, harmless in any folder."""
    return clean_name(re.split(r"[/\\]", name)[-1].lstrip("."), 120) or "file"


class JoinCode:
    """The code that everybody must know; an empty one asks for nothing."""

    def __init__(self, code: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._code = code.encode()
        self._clock = clock
        self._tries: OrderedDict[str, deque[float]] = OrderedDict()

    @property
    def is_set(self) -> bool:
        """Whether there is a code to ask for."""
        return bool(self._code)

    @property
    def pass_value(self) -> str:
        """What the cookie of those who knew the code holds. Another code makes all of them worthless."""
        return hmac.new(self._code, b"tempera web pass", hashlib.sha256).hexdigest()

    def admits(self, request: web.Request) -> bool:
        """Whether the request comes from somebody who gave the code."""
        given = request.cookies.get(PASS_COOKIE, "")
        return not self.is_set or hmac.compare_digest(given.encode(), self.pass_value.encode())

    def matches(self, typed: str) -> bool:
        """Whether this is the code."""
        return hmac.compare_digest(typed.strip().encode(errors="replace"), self._code)

    def wait(self, address: str) -> float:
        """Count a try from `address`; 0 if it is allowed, else the seconds until the next one is."""
        key, now = _network(address), self._clock()
        tries = self._tries.setdefault(key, deque())
        self._tries.move_to_end(key)
        while tries and now - tries[0] >= TRIES_SECONDS:
            tries.popleft()
        if len(tries) >= TRIES:
            return TRIES_SECONDS - (now - tries[0])
        tries.append(now)
        if len(self._tries) > ADDRESSES:
            self._tries.popitem(last=False)
        return 0.0

    def give_back(self, address: str) -> None:
        """Count the last try from `address` no longer, since it was right: a class may share one address."""
        if tries := self._tries.get(_network(address)):
            tries.pop()


def _network(address: str) -> str:
    """An IPv6 user owns a whole /64, so that is what counts as one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))
