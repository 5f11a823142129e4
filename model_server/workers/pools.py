"""The replicas of each model as the gateway counts them.

Ray Serve makes the routers itself, of a copy of their class and of all that its module holds. Only what they reach
through another module is shared with the rest of the process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Set


class Pool(Protocol):
    """The replicas of one model as the gateway counts them."""

    slots: int
    """Number of jobs that one replica does at once."""
    places: dict[str, str]
    """The replica that each unfinished job was sent to, by the id of the job; "" before that."""

    def note_replicas(self, running: Set[str]) -> None:
        """Note which replicas take jobs."""


POOLS: dict[str, Pool] = {}
"""The pools by the names of their models."""
