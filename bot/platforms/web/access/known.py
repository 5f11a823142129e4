"""What moderators decided about visitors, as it is stored: who was let in, who got a name, whose visit was ended."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from bot.core.errors import DatabaseUnavailable
from bot.settings.builtin import DAY_SECONDS
from bot.storage.key_value import NumberedStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from bot.storage.database import Database

NAMESPACE = "web visitors"
"""The namespace in the key-value store. No plugin has it, since their names contain no spaces."""
UNSEEN_SECONDS = 30 * DAY_SECONDS
"""How long this is kept of somebody who does not come any more."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored of one visitor. `seen` is when they were last here, to the day, in seconds since the epoch."""

    name: str = ""
    """The name that a moderator gave them; they cannot choose another."""
    name_by: str = ""
    """What that moderator is called; "" once their data is deleted."""
    namer: str = ""
    """The id of that moderator."""
    let_in: bool = False
    """True if a moderator let them in, or they were here when newcomers had to begin to wait."""
    ended: bool = False
    """True if a moderator ended their visit, and they have not joined again."""
    seen: float = 0.0


NOTHING = Known()


class KnownVisitors:
    """What is stored of visitors, cached in memory. `refresh` reads what other processes changed."""

    def __init__(
        self, database: Database, tell: Callable[[], None] = lambda: None, clock: Callable[[], float] = time.time
    ) -> None:
        """`tell` is called after each change that is made here."""
        self._store = NumberedStore(database, NAMESPACE, tell)
        self._clock = clock
        # What two changes at once know of a visitor must not be what neither of them has changed.
        self._changing = asyncio.Lock()

    def __getitem__(self, user_id: str) -> Known:
        value = self._store.values.get(user_id)
        return NOTHING if value is None else Known(**value)

    async def refresh(self) -> None:
        """Read what other processes changed, and delete what is stored of those who do not come any more."""
        await self._store.refresh()
        before = self._clock() - UNSEEN_SECONDS
        for user_id in [one for one, value in self._store.values.items() if value["seen"] < before]:
            await self._store.put(user_id, None)

    async def change(self, user_id: str, **changes: Any) -> None:
        """Store changes of what is known of a visitor, who is here or about to come."""
        async with self._changing:
            await self._store.refresh()
            known = replace(self[user_id], **changes, seen=self._clock())
            await self._store.put(user_id, None if known == replace(NOTHING, seen=known.seen) else asdict(known))

    async def note_visit(self, user_id: str) -> None:
        """Store that a visitor of whom something is stored has come, once a day; not while nothing can be stored."""
        known = self[user_id]
        if known != NOTHING and known.seen < self._clock() - DAY_SECONDS:
            # The chat opens from memory then, and the next visit is noted.
            with suppress(DatabaseUnavailable):
                await self.change(user_id)

    async def forget(self, user_id: str) -> None:
        """Delete what is stored of a visitor, and their name where they gave one to others."""
        if self[user_id] != NOTHING:
            await self._store.put(user_id, None)
        for other, value in dict(self._store.values).items():
            if value.get("namer") == user_id:
                await self._store.put(other, {**value, "namer": "", "name_by": ""})
