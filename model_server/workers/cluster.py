"""A model whose replicas Ray Serve runs, on this machine or on many: what `Supervisor` is for a single process."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import importlib.util
import logging
import os
import re
import secrets
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from model_server.errors import OperatorError
from model_server.jobs import Chat, Completion, Failed
from model_server.workers.pools import POOLS
from model_server.workers.replica import Replica
from model_server.workers.supervisor import tell_end

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Set

    from model_server.engines.contract import EngineSpec
    from model_server.jobs import Job, Task
    from model_server.scheduling.queue import JobQueue
    from model_server.workers.ipc import Loaded

log = logging.getLogger(__name__)

OBJECT_STORE_BYTES = 80 << 20
"""The least that Ray takes. Jobs and events are sent directly and need none of it."""
MOST_JOBS = 1024
"""A replica's own limit. How many jobs it gets follows from its slots, which are known once it is loaded."""
LEAST_CPUS = 0.01
"""So that no replica takes memory of a head that was started without any, as deploy/ray-service.yaml does."""
DRAIN_SECONDS = 600
"""Time in which a replica that is no longer needed may finish its jobs."""
UPSCALE_SECONDS, DOWNSCALE_SECONDS = 5.0, 120.0
"""Time for which more, or fewer, replicas must have been needed."""
POLL_SECONDS = 2.0
ANSWER_SECONDS = 10.0
"""Time for which a replica is awaited that should answer at once."""
RETRY_SECONDS = 30.0
"""Pause before a model is deployed again, which Ray Serve gives up after a few replicas that could not be loaded."""
LOGGING = {"log_level": "WARNING", "enable_access_log": False}
DEPLOYING = threading.Lock()
PREFIX_CHARACTERS = 1000
"""The beginning of a prompt by which completions of the same text are recognised."""
ENVIRONMENT = {
    # Ray Serve reads these when it is imported, and hands them on to its processes. A call is one gRPC stream without
    # Ray's object store between, and is made and received in the event loop that is there.
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    # Only the gateway sends jobs, so what it counted never gets old.
    "RAY_SERVE_QUEUE_LENGTH_CACHE_TIMEOUT_S": "1e9",
    "RAY_USAGE_STATS_ENABLED": "0",
    # What Ray does without a job takes 5 instead of 10 % of a core with these four.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "5000",
    "RAY_SERVE_AUTOSCALING_METRIC_RECORD_INTERVAL_FACTOR": "1",
    "RAY_enable_metrics_collection": "0",
    # Ray lets its workers, and so the engines, give way to all other programs of the machine, which is 15 for it.
    "RAY_worker_niceness": "0",
    # Ray would let each replica compute with one thread, unless this is set, to whatever it is.
    "OMP_NUM_THREADS": "",
    # Else a replica that was given no graphics card would see all of them, and take the first.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    # A replica starts the engine's process at once, with nothing between fork and exec that gRPC would have to prepare.
    "GRPC_ENABLE_FORK_SUPPORT": "0",
}


@contextmanager
def joined_cluster() -> Iterator[None]:
    """Join the Ray cluster at RAY_ADDRESS, or start one here, whose processes end with the block or with this process.

    Enter it in the main thread: Ray's processes also end with the thread that started them. Raises OperatorError.
    """
    if importlib.util.find_spec("ray") is None:
        raise OperatorError("Ray is not installed. Install it with pip install 'tempera-bot[models,cluster]'.")
    os.environ |= {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    is_own = "RAY_ADDRESS" not in os.environ
    if is_own:
        # Replicas listen on all addresses, for whoever has the token.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    import ray
    from ray import serve

    own = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES, "_node_ip_address": "127.0.0.1"}
    try:
        # In a cluster of others, the log may have the output of this process, which would be told of itself for ever.
        ray.init(logging_level=logging.WARNING, log_to_driver=is_own, **({"address": "local", **own} if is_own else {}))
    except Exception as error:
        # Ray has no class for this; it also gives up where its processes take half a minute to start.
        raise OperatorError(f"The Ray cluster cannot be {'started' if is_own else 'joined'}: {error}") from error
    try:
        serve.start(proxy_location="Disabled", logging_config=LOGGING)
        yield
    finally:
        ray.shutdown()


class ClusterWorker:
    """The replicas of one model. `state` is "ready", or a phrase that says what it is waiting for."""

    def __init__(
        self, spec: EngineSpec, queue: JobQueue, *, factory: str, replicas: tuple[int, int], gpus: float
    ) -> None:
        """There are as many replicas as the queue needs, within `replicas`. Each has `gpus` graphics cards."""
        self.state = "loading"
        self.defaults: Mapping[str, float] = {}
        self.context = 0
        self.slots = 0
        self.memory_bytes = 0
        self._spec = dataclasses.replace(spec, gpu_share=min(gpus or 1.0, 1.0))
        self._queue = queue
        self._factory = factory
        self._least, self._most = replicas
        self._gpus = gpus
        self._handle: Any = None
        self.replicas: Set[str] = frozenset()
        self.places: dict[str, str] = {}
        self._streams: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Keep replicas running until cancelled."""
        from ray import serve

        name = self._spec.name
        POOLS[name] = self
        try:
            await asyncio.to_thread(self._deploy)
            self._handle = serve.get_app_handle(name)
            await self._wait_until_loaded()
            while True:
                await asyncio.sleep(POLL_SECONDS)
                await self._exchange_figures()
        finally:
            del POOLS[name]
            self._queue.close("The server is stopping.", 503, "stopping")
            for stream in list(self._streams.values()):
                stream.cancel()
            await asyncio.to_thread(serve.delete, name, _blocking=False)

    def add(self, job: Job) -> None:
        """Start a job on one of the replicas."""
        self.places[job.id] = ""
        self._streams[job.id] = stream = asyncio.create_task(self._pass_on_events(job))
        stream.add_done_callback(lambda _: self._forget(job.id))

    def remove(self, job_id: str) -> None:
        """Drop a job."""
        if stream := self._streams.get(job_id):
            stream.cancel()

    def note_replicas(self, running: Set[str]) -> None:
        """Note which replicas take jobs."""
        had_any, self.replicas = bool(self.replicas), running
        if not self.slots:
            return
        if running:
            self.state = "ready"
            # Jobs that are done elsewhere, by replicas that finish what they have, take nobody's slot.
            leaving = sum(place != "" and place not in running for place in self.places.values())
            self._queue.attach_worker(self, len(running) * self.slots + leaving)
        elif had_any:
            self.state = "starting again after its process ended"
            self._queue.detach_worker(*tell_end(self._spec.name))

    def _forget(self, job_id: str) -> None:
        del self._streams[job_id]
        if self.places.pop(job_id) not in self.replicas:
            self.note_replicas(self.replicas)

    def _deploy(self) -> None:
        from ray import serve
        from ray.serve.config import AutoscalingConfig, AutoscalingPolicy, RequestRouterConfig

        from model_server.workers.routing import ConversationRouter, scale_by_queue

        # Ray Serve cannot copy the classes of the router and the policy in two threads at a time.
        with DEPLOYING:
            deployment = serve.deployment(
                Replica,
                name=self._spec.name,
                max_ongoing_requests=MOST_JOBS,
                ray_actor_options={"num_cpus": LEAST_CPUS, "num_gpus": self._gpus},
                logging_config=LOGGING,
                graceful_shutdown_timeout_s=DRAIN_SECONDS,
                graceful_shutdown_wait_loop_s=POLL_SECONDS,
                health_check_period_s=POLL_SECONDS,
                request_router_config=RequestRouterConfig(request_router_class=ConversationRouter),
                autoscaling_config=AutoscalingConfig(
                    min_replicas=self._least,
                    max_replicas=self._most,
                    upscale_delay_s=UPSCALE_SECONDS,
                    downscale_delay_s=DOWNSCALE_SECONDS,
                    metrics_interval_s=POLL_SECONDS,
                    look_back_period_s=2 * POLL_SECONDS,
                    policy=AutoscalingPolicy(policy_function=scale_by_queue),
                ),
            )
            application = deployment.bind(self._spec, self._factory)
            target = serve.RunTarget(application, name=self._spec.name, route_prefix=None)
            serve.run_many([target], wait_for_applications_running=False)

    async def _wait_until_loaded(self) -> None:
        while (loaded := await self._describe()) is None:
            await self._note_failure()
        self.slots, self.defaults, self.context = loaded.capacity, loaded.defaults, loaded.context
        log.info("%s is ready.", self._spec.name)
        self.note_replicas(self.replicas)

    async def _describe(self) -> Loaded | None:
        """Return what the first replica tells that is loaded, None if it ended before it could."""
        answer = self._handle.describe.remote()
        loading = asyncio.ensure_future(answer)
        try:
            while not (await asyncio.wait([loading], timeout=POLL_SECONDS))[0]:
                await self._note_failure()
            loaded: Loaded = loading.result()
        except Exception as error:  # noqa: BLE001 - Ray Serve starts another replica, whatever it raises for this one
            log.warning("A replica of %s ended while it started (%s).", self._spec.name, type(error).__name__)
            await asyncio.sleep(POLL_SECONDS)
            return None
        finally:
            loading.cancel()
            answer.cancel()
        return loaded

    async def _note_failure(self) -> None:
        """Say why no replica can be loaded. If Ray Serve has given up, deploy the model again, after a pause."""
        name = self._spec.name
        try:
            reason, is_final = await asyncio.to_thread(_find_failure, name)
            if reason and not self.replicas:
                self.state = f"failed: {reason}"
                self._queue.close(reason, 503, "model_failed")
            if is_final:
                await asyncio.sleep(RETRY_SECONDS)
                await asyncio.to_thread(self._deploy)
        except Exception as error:  # noqa: BLE001 - whatever Ray Serve raises, it is asked again soon
            log.warning("Ray Serve cannot be asked about %s (%s).", name, type(error).__name__)

    async def _exchange_figures(self) -> None:
        """Tell the replicas how many jobs there are, and learn how much memory they take."""
        if not self.replicas:
            self.memory_bytes = 0
            await self._note_failure()
            return
        told = self._handle.broadcast("note_demand", len(self._queue.snapshots()))
        try:
            answers = await told.results_async(timeout_s=ANSWER_SECONDS, return_exceptions=True)
        except Exception as error:  # noqa: BLE001 - whatever Ray Serve raises while replicas end, the others go on
            log.warning("The replicas of %s cannot be asked (%s).", self._spec.name, type(error).__name__)
        else:
            self.memory_bytes = sum(answer for answer in answers if isinstance(answer, int))

    async def _pass_on_events(self, job: Job) -> None:
        conversation = identify_conversation(job.task)
        stream = self._handle.options(method_name="run", stream=True, session_id=conversation).remote(job)
        try:
            async for events in stream:
                for event in events:
                    self._queue.handle_event(event)
        except Exception as error:  # noqa: BLE001 - whatever Ray Serve raises, the job must end
            log.warning("A replica of %s left a job (%s).", self._spec.name, type(error).__name__)
            self._queue.handle_event(Failed(job.id, *tell_end(self._spec.name)))
        finally:
            stream.cancel()


def identify_conversation(task: Task) -> str:
    """Return the same text for all turns of a conversation, "" for what has no beginning that a replica could know."""
    match task:
        case Chat(messages=messages):
            beginning = next((turn.content for turn in messages if turn.role != "system"), "")
        case Completion(prompt=prompt):
            beginning = str(prompt[:PREFIX_CHARACTERS])
        case _:
            return ""
    return hashlib.blake2b(beginning.encode(), digest_size=8).hexdigest()


def _find_failure(name: str) -> tuple[str, bool]:
    """Return why no replica can be loaded, or "", and whether Ray Serve will not try again."""
    from ray import serve

    application = serve.status().applications.get(name)
    deployments = application.deployments.values() if application else ()
    found = re.search(r"LoadFailed: (.*)", "\n".join(deployment.message for deployment in deployments))
    is_final = any(deployment.status == "DEPLOY_FAILED" for deployment in deployments)
    return found[1] if found else "", is_final
