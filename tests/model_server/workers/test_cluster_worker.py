"""The replicas of one model, with a Ray Serve that loads none at first."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.model_server.cluster import require_ray
from fakes.model_server.gateway import FACTORY, eventually

from model_server.engines.contract import EngineSpec
from model_server.scheduling.queue import JobQueue
from model_server.workers.cluster import ClusterWorker
from model_server.workers.ipc import Loaded

LOADED = Loaded(2, {}, 64)


class Serve:
    """Ray Serve, as far as a worker uses it, and the handle of its one model."""

    def __init__(self) -> None:
        self.deployed = 0
        self.deployment: Any = None
        self.status_of_model = "UPDATING"
        self.message = ""
        self.loaded = asyncio.Event()
        self.describe = SimpleNamespace(remote=lambda: asyncio.ensure_future(self._describe()))

    async def _describe(self) -> Loaded:
        await self.loaded.wait()
        return LOADED

    def broadcast(self, method: str, jobs: int) -> Any:
        """Return what one replica answers whose process takes no memory."""
        return SimpleNamespace(results_async=lambda **options: asyncio.sleep(0, [0]))

    def run_many(self, targets: list[Any], **options: bool) -> None:
        self.deployed += 1
        self.deployment = targets[0].target._bound_deployment
        self.status_of_model = "UPDATING"

    def status(self) -> Any:
        deployment = SimpleNamespace(status=self.status_of_model, message=self.message)
        return SimpleNamespace(applications={"parrot": SimpleNamespace(deployments={"parrot": deployment})})

    def give_up(self) -> None:
        """Tell that all replicas failed, and that there will be no more."""
        self.status_of_model = "DEPLOY_FAILED"
        self.message = "RuntimeError: Traceback (most recent call last):\nLoadFailed: The card is taken.\n"


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    require_ray()
    made = Serve()
    monkeypatch.setattr("model_server.workers.cluster.POLL_SECONDS", 0.02)
    monkeypatch.setattr("ray.serve.run_many", made.run_many)
    monkeypatch.setattr("ray.serve.status", made.status)
    monkeypatch.setattr("ray.serve.get_app_handle", lambda name: made)
    monkeypatch.setattr("ray.serve.delete", lambda name, _blocking: None)
    return made


@contextlib.asynccontextmanager
async def running(queue: JobQueue, *, gpus: float = 0) -> AsyncIterator[ClusterWorker]:
    spec = EngineSpec(name="parrot", engine="language", folder=Path())
    worker = ClusterWorker(spec, queue, factory=FACTORY, replicas=(1, 1), gpus=gpus)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_what_ray_serve_gave_up_is_deployed_again(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_server.workers.cluster.RETRY_SECONDS", 0.1)
    queue = JobQueue()
    async with running(queue) as worker:
        await eventually(lambda: serve.deployed == 1)
        for times in (2, 3):
            serve.give_up()
            await eventually(lambda times=times: serve.deployed == times)
            assert (worker.state, queue.is_open) == ("failed: The card is taken.", False)
        serve.loaded.set()
        worker.note_replicas({"a"})
        await eventually(lambda: worker.state == "ready")
        assert (queue.is_open, queue.capacity, serve.deployed) == (True, 2, 3)


async def test_a_model_whose_replicas_cannot_be_replaced_has_failed(serve: Serve) -> None:
    serve.loaded.set()
    queue = JobQueue()
    async with running(queue) as worker:
        worker.note_replicas({"a"})
        await eventually(lambda: worker.state == "ready")
        worker.note_replicas(set())
        assert (worker.state, queue.is_open) == ("starting again after its process ended", True)
        serve.message = "LoadFailed: The card is taken."
        await eventually(lambda: worker.state == "failed: The card is taken.")
        assert not queue.is_open
        worker.note_replicas({"b"})
        assert (worker.state, queue.is_open) == ("ready", True)


@pytest.mark.parametrize(("gpus", "share"), [(0, 1), (0.25, 0.25), (1, 1), (2, 1)])
async def test_an_engine_knows_its_share_of_a_graphics_card(serve: Serve, gpus: float, share: float) -> None:
    async with running(JobQueue(), gpus=gpus):
        await eventually(lambda: serve.deployed == 1)
    assert serve.deployment.ray_actor_options["num_gpus"] == gpus
    assert serve.deployment.init_args[0].gpu_share == share
