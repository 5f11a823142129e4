"""Who is a moderator of the web chat, and the links that make one: each works once, and only for a while."""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import TYPE_CHECKING

from bot.core.errors import UserError
from bot.storage.key_value import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from bot.storage.database import Database

SPACE = "web chat"
"""What the web chat keeps is apart from what plugins do: none of these has a name with a space."""
LINKS, PEOPLE = "sign-in links", "moderators"
LINK_SECONDS = 3600.0
USED = 0.0


class WebModerators:
    """The visitors who signed in as teachers. Reading needs no database; `start` reads it."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._store = Store(database, SPACE)
        self._clock = clock
        self._people: frozenset[str] = frozenset()

    async def start(self) -> None:
        """Read who they are, also when another process may have changed it."""
        self._people = frozenset(await self._store.items(scope=PEOPLE))

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._people

    async def new_code(self) -> str:
        """A code that signs somebody in, once and within the next hour. Only its hash is stored."""
        now = self._clock()
        old = [key for key, until in (await self._store.items(scope=LINKS)).items() if until < now]
        await self._store.delete(*old, scope=LINKS)
        code = secrets.token_urlsafe(24)
        await self._store.set(_hashed(code), now + LINK_SECONDS, scope=LINKS)
        return code

    async def sign_in(self, code: str, user_id: str) -> None:
        """Make a visitor a moderator. Raises UserError if the code is none, was used, or is too old."""

        def take(until: float | None) -> float:
            if until is None or until < self._clock():
                sentence = "This link was used already or is too old. `tempera teacher-link` prints a new one."
                raise UserError(sentence)
            return USED

        await self._store.change(_hashed(code.strip()), take, scope=LINKS)
        await self._store.set(user_id, self._clock(), scope=PEOPLE)
        await self.start()

    async def sign_out(self, user_id: str) -> None:
        """Take a moderator's rights away."""
        await self._store.delete(user_id, scope=PEOPLE)
        await self.start()


def _hashed(code: str) -> str:
    return hashlib.sha256(code.encode(errors="replace")).hexdigest()


def link(address: str, code: str) -> str:
    """The address to open. The code stands behind the #, which browsers keep to themselves."""
    return f"{address}/teacher#{code}"
