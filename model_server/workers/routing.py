"""Which replica of a model gets a job, and how many replicas there should be. Ray Serve calls both."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from ray.serve.request_router import RequestRouter

from model_server.workers import pools

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ray.serve.config import AutoscalingContext
    from ray.serve.request_router import PendingRequest, ReplicaID, RunningReplica

AWAY_SECONDS = 5.0
"""Time for which a replica that cannot be reached is left alone."""


class ConversationRouter(RequestRouter):  # type: ignore[misc] # Ray has no complete types
    """Sends the jobs of one conversation to one replica, which has read its beginning before, if a slot is free there.

    Other jobs go to the replica with the fewest. The replica of a conversation follows from rendezvous hashing: when
    replicas come or go, only the conversations that they win or lose change their place.
    """

    _listed: Sequence[RunningReplica] = ()
    """The replicas that Ray Serve named last."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Return the chosen replica, then the others."""
        pool = pools.POOLS.get(self.app_name)
        if pool is None or pending_request is None:
            return [candidate_replicas]
        pending_request.routing_context.should_backoff = True
        self._place(pending_request, "")
        # What was chosen counts at once: the next choice may come before Ray Serve has sent the job.
        jobs = Counter(pool.places.values())
        conversation = pending_request.metadata.session_id
        key = conversation or pending_request.metadata.internal_request_id
        replicas = sorted(candidate_replicas, key=lambda replica: _weigh(key, replica), reverse=True)
        if replicas and not (conversation and jobs[replicas[0].replica_id.unique_id] < pool.slots):
            # Equally busy ones stay in the order of their weights.
            replicas.sort(key=lambda replica: jobs[replica.replica_id.unique_id])
        if replicas:
            self._place(pending_request, replicas[0].replica_id.unique_id)
        return [[replica] for replica in replicas]

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: Any) -> None:
        """Note where a job is done."""
        super().on_request_routed(pending_request, replica_id, result)
        self._place(pending_request, replica_id.unique_id)

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """Take over which replicas accept jobs."""
        super().update_replicas(replicas)
        self._listed = replicas
        cache = self.replica_queue_len_cache
        for replica in replicas:
            # All jobs come from here, so a new replica has none. Ray Serve would ask it, again and again if it is busy.
            if cache.get(replica.replica_id) is None:
                cache.update(replica.replica_id, 0)
        self._tell()

    def on_replica_actor_died(self, replica_id: ReplicaID) -> None:
        """Forget a replica that ended, before Ray Serve has noticed it everywhere."""
        super().on_replica_actor_died(replica_id)
        self._tell()

    def on_replica_actor_unavailable(self, replica_id: ReplicaID) -> None:
        """Do the same for one that cannot be reached, but try it again later, unless Ray Serve has dropped it."""
        super().on_replica_actor_unavailable(replica_id)
        self.on_replica_actor_died(replica_id)
        # Ray Serve names the replicas only when they change, so one that lives would not come back by itself.
        self._event_loop.call_later(AWAY_SECONDS, lambda: self.update_replicas(list(self._listed)))

    def _place(self, request: PendingRequest, replica: str) -> None:
        pool = pools.POOLS.get(self.app_name)
        for job in request.args:
            # A job that was cancelled meanwhile has no place any more.
            if pool is not None and job.id in pool.places:
                pool.places[job.id] = replica

    def _tell(self) -> None:
        if pool := pools.POOLS.get(self.app_name):
            pool.note_replicas({replica_id.unique_id for replica_id in self.curr_replicas})


def _weigh(key: str, replica: RunningReplica) -> bytes:
    return hashlib.blake2b(f"{key} {replica.replica_id.unique_id}".encode(), digest_size=8).digest()


def scale_by_queue(context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
    """Return how many replicas the jobs in the gateway's queue fill."""
    measured = context.aggregated_metrics or {}
    jobs, slots = (max(measured.get(name, {}).values(), default=0) for name in ("jobs", "slots"))
    return (math.ceil(jobs / slots) if slots else context.target_num_replicas), {}
