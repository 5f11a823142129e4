"""A router to compare with: each job goes to the replica after the last one's, whatever it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_server.workers.routing import ConversationRouter

if TYPE_CHECKING:
    from ray.serve.request_router import PendingRequest, RunningReplica


class RoundRobin(ConversationRouter):
    """Sends jobs to all replicas in turn."""

    _turn = 0

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Return the replica whose turn it is, then the others."""
        chosen = await super().choose_replicas(candidate_replicas, pending_request)
        self._turn += 1
        ordered = sorted(candidate_replicas, key=lambda replica: replica.replica_id.unique_id)
        return [[ordered[self._turn % len(ordered)]], *chosen] if ordered else chosen
