"""The setting that says which of Discord's shards a process serves: “0-3/8”, or “auto/8”."""

from __future__ import annotations

import re
from dataclasses import dataclass

SHARDS = re.compile(r"(?:(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?|auto)/(?P<count>\d{1,5})")


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """How many shards there are in all, and the `ids` of those of this process.

    Without `ids`, all processes with such a plan divide the shards among themselves.
    """

    count: int
    ids: tuple[int, ...] | None = None


def parse_shards(text: str) -> ShardPlan:
    """Return what the setting says. Raises ValueError if it is not understood."""
    match = SHARDS.fullmatch(text.replace(" ", ""))
    if match is None:
        raise ValueError(
            "it must be like “0-3/8”, for the shards 0 to 3 of 8, or “auto/8”, for a share of 8 that the processes "
            "agree on"
        )
    count = int(match["count"])
    if match["first"] is None:
        if not count:
            raise ValueError("there must be at least one shard, as in “auto/1”")
        return ShardPlan(count)
    first, last = int(match["first"]), int(match["last"] or match["first"])
    if not first <= last < count:
        raise ValueError(f"of {count} shards, a process can have a range within 0-{count - 1}, the lower number first")
    return ShardPlan(count, tuple(range(first, last + 1)))
