"""The join code, the pass of those who gave it, and the limit on wrong tries."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from bot.platforms.web.access.visitors import COOKIE_SECONDS, is_secure
from http_server.addresses import network_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

PASS_COOKIE = "tempera_pass"  # noqa: S105 - a name
MAX_TRIES, TRIES_SECONDS = 10, 60.0
MAX_ADDRESSES = 4096
"""Number of networks whose tries are remembered; the one that has not tried for the longest time is dropped first."""


class JoinCode:
    """The join code. An empty code admits everybody.

    Its pass is a hash with a random `key`, so that whoever has seen a pass cannot try codes against it on a machine of
    their own. Another code makes earlier passes invalid.
    """

    def __init__(self, code: str, key: bytes) -> None:
        self._key = key
        self._pass = self._sign(code) if code else ""

    @property
    def is_set(self) -> bool:
        """True if there is a code to give."""
        return bool(self._pass)

    def admits(self, request: web.Request) -> bool:
        """Return whether the request comes from somebody who gave the code, or no code is set."""
        given = request.cookies.get(PASS_COOKIE, "")
        return not self._pass or hmac.compare_digest(given.encode(errors="replace"), self._pass.encode())

    def matches(self, typed: str) -> bool:
        """Return whether this is the code, or no code is set."""
        return not self._pass or hmac.compare_digest(self._sign(typed.strip()), self._pass)

    def set_pass_cookie(self, request: web.Request, response: web.StreamResponse) -> None:
        """Store the pass in the browser that sent `request`."""
        if self._pass:
            # Lax, so that following a link to the chat does not ask for the code again.
            response.set_cookie(
                PASS_COOKIE,
                self._pass,
                max_age=COOKIE_SECONDS,
                httponly=True,
                samesite="Lax",
                secure=is_secure(request),
            )

    def _sign(self, code: str) -> str:
        return hmac.new(self._key, b"tempera web pass\0" + code.encode(errors="replace"), hashlib.sha256).hexdigest()


class WrongTries:
    """Wrong codes, counted by network, so that whoever tries one after another is told to wait.

    Only wrong codes count, and a right one is accepted at any time: a whole school may share one address, and none of
    its pupils shall be able to keep the others out. So it is not this limit that keeps strangers from guessing but the
    length of the codes (`MIN_JOIN_CODE_CHARS`).
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tries: OrderedDict[str, deque[float]] = OrderedDict()

    def count(self, address: str) -> float:
        """Count a wrong code from `address`. Returns the seconds to wait before the next one; 0 for no wait."""
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
