"""The newcomers who wait until a moderator lets them in. Only memory has them: after a restart they knock again."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from bot.platforms.web.access.limits import Capacity

STALE_SECONDS = 180.0
"""How long somebody whose page no longer asks counts as waiting. A page in the background asks once a minute."""
TURNED_AWAY_SECONDS = 300.0
"""How long somebody who was told “not now” cannot knock again."""
MAX_TURNED_AWAY = 1000


@dataclass(slots=True)
class Waiting:
    """A newcomer who waits. `address` is "" where many people may have the same one."""

    id: str
    address: str
    since: float
    seen: float


class WaitingRoom:
    """The newcomers who wait, in the order in which they knocked, and those who were turned away lately."""

    def __init__(self, capacity: Capacity, clock: Callable[[], float] = time.time) -> None:
        self._capacity = capacity
        self._clock = clock
        self._waiting: dict[str, Waiting] = {}
        self._turned_away: OrderedDict[str, float] = OrderedDict()
        self.listeners: set[Callable[[], None]] = set()
        """Called whenever somebody begins to wait or waits no longer."""

    @property
    def waiting(self) -> Sequence[Waiting]:
        """Those who wait, whoever knocked first first."""
        return tuple(self._waiting.values())

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._waiting

    def check(self, user_id: str, address: str) -> None:
        """Raise UserError if this visitor cannot wait: they were turned away just now, or too many wait."""
        if (minutes := self.minutes_turned_away(user_id)) > 0:
            one = "Not now. You can knock again in a minute."
            raise UserError(one, "Not now. You can knock again in {count} minutes.", count=minutes)
        if user_id in self._waiting:
            return
        same = sum(one.address == address for one in self._waiting.values())
        if len(self._waiting) >= self._capacity.most or (address and same >= self._capacity.of_address):
            raise UserError("Too many people are waiting already. Try again when some of them have been let in.")

    def knock(self, user_id: str, address: str) -> None:
        """Let a visitor wait, whom `check` has allowed to."""
        now = self._clock()
        if user_id in self._waiting:
            self._waiting[user_id].seen = now
            return
        self._waiting[user_id] = Waiting(user_id, address, now, now)
        self._notify()

    def note(self, user_id: str) -> None:
        """Note that the page of somebody who waits has asked."""
        if user_id in self._waiting:
            self._waiting[user_id].seen = self._clock()

    @property
    def turned_away(self) -> Mapping[str, float]:
        """Those who cannot knock again yet, each with when they can, in seconds since the epoch."""
        return {one: until for one, until in self._turned_away.items() if until > self._clock()}

    def adopt_turned_away(self, turned_away: Mapping[str, float]) -> None:
        """Let nobody wait here whom another process has turned away."""
        self._turned_away |= turned_away
        while len(self._turned_away) > MAX_TURNED_AWAY:
            self._turned_away.popitem(last=False)
        self.remove(turned_away.keys())

    def minutes_turned_away(self, user_id: str) -> int:
        """Return how many minutes somebody cannot knock; 0 if they can."""
        left = self._turned_away.get(user_id, 0.0) - self._clock()
        return max(0, -int(-left // 60))

    def turn_away(self, user_ids: Collection[str]) -> None:
        """Let nobody of these wait any longer, nor knock again soon."""
        for user_id in user_ids:
            self._turned_away[user_id] = self._clock() + TURNED_AWAY_SECONDS
            if len(self._turned_away) > MAX_TURNED_AWAY:
                self._turned_away.popitem(last=False)
        self.remove(user_ids)

    def remove(self, user_ids: Collection[str]) -> None:
        """Let nobody of these wait any longer."""
        found = [one for one in user_ids if self._waiting.pop(one, None) is not None]
        if found:
            self._notify()

    def drop_stale(self) -> Sequence[str]:
        """Remove those whose pages have closed, and return their ids."""
        before = self._clock() - STALE_SECONDS
        gone = [one.id for one in self._waiting.values() if one.seen < before]
        self.remove(gone)
        return gone

    def _notify(self) -> None:
        for listener in tuple(self.listeners):
            listener()
