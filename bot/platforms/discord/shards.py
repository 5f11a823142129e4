"""Shards that several processes divide among themselves, and the pace at which all of them together begin sessions.

The database holds which process has which shard. A shard whose process is dead is free, and others take it.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from bot.platforms.discord.convert.requests import PLATFORM
from bot.storage.key_value import Store

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence, Set

    from bot.app import Bot
    from bot.config.shards import ShardPlan

ROUND_SECONDS = 3.0
"""How often a process looks which shards it has to serve."""
HANDOVER_SECONDS = 15.0
"""How long a process still serves a shard after another one has begun its session, which has to get ready.

What both receive is handled once.
"""
START_SECONDS = 60.0
"""How long after its start a process with a range takes none of other ranges, since others may be starting, too."""
IDENTIFY_SECONDS = 5.25
"""Shortest time between two sessions in one of Discord's buckets: its five seconds, and what clocks may differ."""
MAX_WAIT_SECONDS = 3600.0
"""A longer wait for a session is an error of a clock, which is not waited for."""
DIVISION, SESSIONS = "shards", "sessions"
"""Keys in the store: which process has which shard, and when each bucket's last session began."""


def divide(
    before: Mapping[str, Any] | None,
    count: int,
    me: str,
    living: Collection[str],
    ids: Collection[int] | None = None,
    *,
    helps: bool = True,
    served: Collection[int] = (),
) -> dict[str, Any]:
    """Return the division of `count` shards after the turn of the process `me`, which takes free ones or gives some up.

    It has the ids of all `processes` that share shards, the `ranges` of those that have their own, which are `ids`, the
    holder of each shard that has one, and who has `begun` its session, as `me` has those that are `served`. What is in
    no range is for those that share, and if there are none, for those with ranges; `me` takes none of it if it does not
    help.
    """
    known = before if before is not None and before["count"] == count else {"processes": [], "holders": {}}
    ranges = {one: own for one, own in known.get("ranges", {}).items() if one in living and one != me}
    sharing = {one for one in known["processes"] if one in living and one != me}
    holders = {shard: one for shard, one in known["holders"].items() if one in {*ranges, *sharing, me}}
    if ids is None:
        sharing.add(me)
    else:
        # Others give way. Of two with the same range, the second one waits until the first one is gone.
        holders |= {shard: me for shard in map(str, ids) if shard not in ranges.get(holders.get(shard, ""), ())}
        ranges[me] = list(map(str, ids))
    left = sorted(set(map(str, range(count))).difference(*ranges.values()), key=int)
    takers = sorted(sharing or ranges)
    if me in takers and helps:
        _share(holders, left, me, takers)
    else:
        holders = {shard: one for shard, one in holders.items() if one != me or shard not in left}
    begun = {shard: one for shard, one in known.get("begun", {}).items() if holders.get(shard) == one}
    begun |= {shard: me for shard in map(str, served) if holders.get(shard) == me}
    return {"count": count, "processes": sorted(sharing), "ranges": ranges, "holders": holders, "begun": begun}


def _share(holders: dict[str, str], shards: Sequence[str], me: str, processes: Sequence[str]) -> None:
    """Change the holders of `shards` so that `me` has its share.

    Each process takes its turn again and again, so that their numbers of shards soon differ by one at most.
    """
    held = {one: [shard for shard in shards if holders.get(shard) == one] for one in processes}
    # Where the shards cannot be divided evenly, those who have most keep one more.
    ranking = sorted(processes, key=lambda one: (-len(held[one]), one))
    share = len(shards) // len(processes) + (ranking.index(me) < len(shards) % len(processes))
    for shard in held[me][share:]:
        del holders[shard]
    free = [shard for shard in shards if shard not in holders]
    holders |= dict.fromkeys(free[: max(0, share - len(held[me]))], me)


class ShardLeases:
    """The shards of this process: its own range, and its part of those that several processes divide."""

    def __init__(self, bot: Bot, plan: ShardPlan) -> None:
        self.plan = plan
        self._instance = bot.instance
        self._store = Store(bot.database, PLATFORM)
        self._since = time.monotonic()

    async def renew(self, served: Collection[int]) -> tuple[Sequence[int], Set[int]]:
        """Take free shards, and give up some to others who have too few; `served` are those with a session here.

        Returns those of this process now, and those whose session another process has begun that has them.
        """
        living, me = await self._instance.find_living(), self._instance.id
        helps = self.plan.ids is None or time.monotonic() - self._since >= START_SECONDS
        turn = partial(
            divide, count=self.plan.count, me=me, living=living, ids=self.plan.ids, helps=helps, served=served
        )
        # Most rounds change nothing, and then nobody has to wait for the database.
        before = await self._store.get(DIVISION)
        after = turn(before)
        if after != before:
            after = await self._store.change(DIVISION, turn)
        mine = sorted(int(shard) for shard, holder in after["holders"].items() if holder == me)
        return mine, {int(shard) for shard, one in after["begun"].items() if one != me}

    async def give_up(self) -> None:
        """Leave the shards of this process to others, since it ends."""
        me = self._instance.id

        def leave(before: dict[str, Any] | None) -> dict[str, Any] | None:
            if before is None:
                return None
            holders = {shard: holder for shard, holder in before["holders"].items() if holder != me}
            ranges = {one: own for one, own in before["ranges"].items() if one != me}
            processes = [one for one in before["processes"] if one != me]
            return {**before, "processes": processes, "ranges": ranges, "holders": holders}

        await self._store.change(DIVISION, leave)


class SessionStarts:
    """Lets one session after another begin in each of the buckets that Discord's max_concurrency stands for."""

    def __init__(self, bot: Bot, max_concurrency: int) -> None:
        self._buckets = max(1, max_concurrency)
        self._store = Store(bot.database, PLATFORM)

    async def wait_for(self, shard: int) -> None:
        """Return when a session of this shard may begin, whichever process began the last one."""
        bucket = str(shard % self._buckets)
        moments: dict[str, float] = {}

        def take(before: dict[str, float] | None) -> dict[str, float]:
            now = time.time()
            moment = max(now, (before or {}).get(bucket, 0.0) + IDENTIFY_SECONDS)
            moments[bucket] = now if moment > now + MAX_WAIT_SECONDS else moment
            return (before or {}) | moments

        await self._store.change(SESSIONS, take)
        await asyncio.sleep(max(0.0, moments[bucket] - time.time()))
