"""Moderators of the web chat, and the links that make a visitor one: each works once, within an hour."""

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

NAMESPACE = "web chat"
"""The namespace of the web chat in the key-value store. No plugin has it, since their names contain no spaces."""
LINKS_SCOPE, MODERATORS_SCOPE = "sign-in links", "moderators"
LINK_SECONDS = 3600.0
USED = 0.0
"""Stored as the expiry time of a code that was used."""


class WebModerators:
    """Ids of the visitors who signed in as teachers, cached in memory; `reload` reads them from the database."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._store = Store(database, NAMESPACE)
        self._clock = clock
        self._ids: frozenset[str] = frozenset()

    async def reload(self) -> None:
        """Read the ids from the database, where another process may have changed them."""
        self._ids = frozenset(await self._store.items(scope=MODERATORS_SCOPE))

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._ids

    async def create_code(self) -> str:
        """Create a code that signs one visitor in within the next hour. Only its hash is stored."""
        now = self._clock()
        expired = [key for key, until in (await self._store.items(scope=LINKS_SCOPE)).items() if until < now]
        await self._store.delete(*expired, scope=LINKS_SCOPE)
        code = secrets.token_urlsafe(24)
        await self._store.set(_hash(code), now + LINK_SECONDS, scope=LINKS_SCOPE)
        return code

    async def sign_in(self, code: str, user_id: str) -> None:
        """Make a visitor a moderator. Raises UserError if the code is unknown, used or too old."""

        def mark_used(until: float | None) -> float:
            if until is None or until < self._clock():
                sentence = "This link was used already or is too old. `tempera teacher-link` prints a new one."
                raise UserError(sentence)
            return USED

        await self._store.change(_hash(code.strip()), mark_used, scope=LINKS_SCOPE)
        await self._store.set(user_id, self._clock(), scope=MODERATORS_SCOPE)
        await self.reload()

    async def sign_out(self, user_id: str) -> None:
        """Take the rights of a moderator from a visitor."""
        await self._store.delete(user_id, scope=MODERATORS_SCOPE)
        await self.reload()


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode(errors="replace")).hexdigest()


def teacher_link(address: str, code: str) -> str:
    """Return the link for a teacher. The code stands after the #, which browsers do not send to the server."""
    return f"{address}/teacher#{code}"
