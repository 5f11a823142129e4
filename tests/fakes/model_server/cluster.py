"""A cluster gateway with fake engines and a tiny model: `python -m fakes.model_server.cluster PORT FOLDER [MODEL …]`.

FOLDER has what `write_tiny_models` wrote. The models of `fakes.model_server.gateway` have one replica each there.
"""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from fakes.engines import text_engine
from fakes.model_server.gateway import PATIENCE_SECONDS, Gateway, entries, environment, free_port, wait_until_ready
from fakes.model_server.linked_cache import CATALOGUE

from model_server.__main__ import cancel_at_eof
from model_server.api.app import serve
from model_server.catalogue import CatalogueEntry, load_catalogue
from model_server.engines import factory
from model_server.engines.contract import Engine, EngineSpec
from model_server.files.cache import ModelCache
from model_server.workers import cluster

TINY_CHAT = "tiny-chat"
FAKES = ("parrot", "painter", "ruler", "judge", "flock", "grower")
STARTS, START_SECONDS = 3, 200
SLOTS, STEP_SECONDS = 2, 0.2
"""What each replica of `flock` and `grower` does at once, and the time of a step there."""


def require_ray() -> None:
    """Skip the test if Ray is not installed; with CI=true it fails then."""
    if find_spec("ray") is None:
        assert os.environ.get("CI") != "true", "Ray is missing; make test installs it"
        pytest.skip("Ray is not installed; pip install 'ray[serve]' installs it.")


@contextlib.contextmanager
def running_cluster(folder: Path, *real_models: str) -> Iterator[Gateway]:
    """Run the gateway and its cluster in processes of their own, wait until all is ready, and end them.

    It serves the models below, or these of the catalogue with two replicas each.
    """
    require_ray()
    port = free_port()
    command = [sys.executable, "-m", "fakes.model_server.cluster", str(port), str(folder), *real_models]
    url = f"http://127.0.0.1:{port}"
    process = _start(command, url)
    try:
        yield Gateway(url, process, folder)
    finally:
        _end(process)


def _start(command: Sequence[str], url: str) -> subprocess.Popen[bytes]:
    """Return the process of the gateway once it is ready.

    On a busy machine Ray gives up when one of its processes needs 15 seconds to start. Then the gateway starts again.
    """
    for _ in range(STARTS):
        # It ends when its standard input does, so that nothing is left if the test run is killed.
        process = subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE)
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                wait_until_ready(url, None, 5)
                return process
        _end(process)
    raise TimeoutError("The cluster did not become ready.")


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(PATIENCE_SECONDS)
    finally:
        process.kill()


def find_processes(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return all processes below the gateway: Ray's own, replicas and engines."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def create(spec: EngineSpec) -> Engine:
    """Return a fake engine for the fake models, and a real one for others."""
    return text_engine.create(spec) if spec.name in FAKES else factory.create(spec)


def cluster_entries(folder: Path) -> list[CatalogueEntry]:
    """Return the models: `flock` and the tiny one with two replicas, `grower` with one to three."""
    tiny = load_catalogue(folder / "tiny.toml")[TINY_CHAT]
    journal = str(folder / "flock-{pid}")
    flock = {"capacity": SLOTS, "pause": STEP_SECONDS, "journal": journal, "notes_steps": True}
    return [
        *entries(folder),
        tiny.model_copy(update={"replicas": (2, 2), "options": {"slots": 1}}),
        text_model("flock", folder, (2, 2), **flock),
        text_model("grower", folder, (1, 3), capacity=SLOTS, pause=STEP_SECONDS),
    ]


def text_model(name: str, folder: Path, replicas: tuple[int, int], **options: float | str) -> CatalogueEntry:
    """Return a fake text model with so few and so many replicas."""
    return CatalogueEntry(
        name=name,
        engine="language",
        description="Repeats",
        licence="MIT",
        folder=folder,
        options=options,
        replicas=replicas,
    )


def real_entries(names: Sequence[str]) -> list[CatalogueEntry]:
    """Return models of the catalogue, each with two replicas and one slot in each of them."""
    catalogue = load_catalogue(CATALOGUE)
    entries = [catalogue[name].model_copy(update={"replicas": (2, 2)}) for name in names]
    return [
        entry.model_copy(update={"options": {**entry.options, "slots": 1}}) if entry.engine == "language" else entry
        for entry in entries
    ]


async def _main(port: int, folder: Path, real_models: Sequence[str]) -> None:
    task = asyncio.current_task()
    assert task is not None
    threading.Thread(target=cancel_at_eof, args=(asyncio.get_running_loop(), task), daemon=True).start()
    with contextlib.suppress(asyncio.CancelledError):
        await serve(
            host="127.0.0.1",
            port=port,
            entries=real_entries(real_models) if real_models else cluster_entries(folder),
            model_cache=ModelCache() if real_models else ModelCache(folder / "cache"),
            api_key=None,
            cluster=True,
            factory="fakes.model_server.cluster:create",
        )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    # Tests need not wait for Ray as long as people would.
    os.environ["RAY_SERVE_CONTROL_LOOP_INTERVAL_S"] = "0.1"
    cluster.UPSCALE_SECONDS = cluster.DOWNSCALE_SECONDS = cluster.POLL_SECONDS = 0.5
    with cluster.joined_cluster():
        asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
