"""The real gateway with fake engines: `python -m fakes.model_server.gateway PORT FOLDER [API_KEY] [sketcher]`.

`serving` runs it in the process of the test.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import psutil
from fakes.core.stack_dump import show_stacks

from http_server.tracing import set_up_tracing
from model_server.api.app import serve
from model_server.catalogue import CatalogueEntry
from model_server.files.cache import ModelCache

Result = TypeVar("Result")

FACTORY = "fakes.engines.text_engine:create"
GIVEN_GATEWAY = "TEMPERA_TEST_GATEWAY"
"""The environment variable with the address, the process id and the folder of a gateway that runs already."""
PATIENCE_SECONDS = 60
"""Time after which a waiting test gives up."""

FIRST_PORT, PORTS_OF_WORKER = 20_000, 1_000
"""Below the ports that the system gives out. Each worker of pytest has its own."""
PORTS = itertools.count(os.getpid())


@dataclass(frozen=True)
class Gateway:
    """A running server: its address, its process, and the folder of its models."""

    url: str
    process: subprocess.Popen[bytes] | psutil.Process
    folder: Path

    def journal(self) -> list[str]:
        """Return the lines that the parrot wrote to its journal."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "journal").read_text().splitlines()
        return []


@contextlib.contextmanager
def running_gateway(
    folder: Path, api_key: str | None = None, port: int = 0, *, sketches: bool = False
) -> Iterator[Gateway]:
    """Run a gateway in a process of its own, wait until it is ready, and end it with SIGTERM.

    It has an image model as well if it `sketches`.
    """
    port = port or free_port()
    more = [api_key or "", "sketcher"] if sketches else filter(None, [api_key])
    command = [sys.executable, "-m", "fakes.model_server.gateway", str(port), str(folder), *more]
    process = subprocess.Popen(command, env=environment())
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, api_key)
        yield Gateway(url, process, folder)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)


@contextlib.asynccontextmanager
async def serving(
    folder: Path, model_cache: Any = None, models: Iterable[str] = ("parrot",), **settings: Any
) -> AsyncIterator[str]:
    """Run a gateway with fake engines in this process; yield its address. `settings` are arguments of `serve`."""
    chosen = [entry for entry in [*entries(folder), flock(folder), sketcher(folder)] if entry.name in models]
    async with listening(
        entries=chosen, model_cache=model_cache or ModelCache(folder), factory=FACTORY, **settings
    ) as url:
        yield url


@contextlib.asynccontextmanager
async def listening(**settings: Any) -> AsyncIterator[str]:
    """Run a gateway in this process with arguments of `serve`; yield its address once it listens, ready or not."""
    port = free_port()
    task = asyncio.create_task(serve(**{"host": "127.0.0.1", "port": port, "api_key": None, **settings}))
    try:
        url = f"http://127.0.0.1:{port}"
        await eventually(lambda: answers(url))
        yield url
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def answers(url: str) -> bool:
    """Return whether a model server listens there, ready or not."""
    with contextlib.suppress(aiohttp.ClientError):
        async with aiohttp.request("GET", f"{url}/health/live") as response:
            return response.status == 200
    return False


async def is_ready(url: str) -> bool:
    """Return whether every model of the server at `url` is loaded."""
    async with aiohttp.request("GET", f"{url}/health/ready") as response:
        return response.status == 200


async def eventually(condition: Callable[[], Awaitable[Result] | Result]) -> Result:
    """Wait until `condition` returns something that is true, and return it."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                result = condition()
                if found := await result if isinstance(result, Awaitable) else result:
                    return found
                await asyncio.sleep(0.02)
    except TimeoutError:
        show_stacks()
        raise


def free_port() -> int:
    """Return a port that nobody listens on, and that nobody else is given in the meantime."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for _ in range(PORTS_OF_WORKER):
        port = FIRST_PORT + worker * PORTS_OF_WORKER + next(PORTS) % PORTS_OF_WORKER
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError("No port is free.")


def environment() -> dict[str, str]:
    """Return the environment for a child process with the import path of this one."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def entries(folder: Path) -> list[CatalogueEntry]:
    """Return one model of each kind. Their files in `folder` are empty; the parrot's journal is there, too."""
    for name in ("config.json", "model.safetensors"):
        (folder / name).touch()
    options = {"journal": str(folder / "journal")}
    return [
        CatalogueEntry(
            name="parrot", engine="language", description="Repeats", licence="MIT", folder=folder, options=options
        ),
        CatalogueEntry(name="painter", engine="face", description="Draws", licence="MIT", folder=folder),
        CatalogueEntry(name="ruler", engine="embedding", description="Measures", licence="MIT", folder=folder),
        CatalogueEntry(name="judge", engine="moderation", description="Judges", licence="MIT", folder=folder),
    ]


def flock(folder: Path) -> CatalogueEntry:
    """Return a text model with eight slots, whose journal has the steps as well."""
    options = {"journal": str(folder / "journal"), "capacity": 8, "notes_steps": True}
    return CatalogueEntry(
        name="flock", engine="language", description="Repeats", licence="MIT", folder=folder, options=options
    )


def sketcher(folder: Path, **options: float) -> CatalogueEntry:
    """Return an image model. The option `pause` is the time of a step in seconds."""
    return CatalogueEntry(
        name="sketcher", engine="diffusion", description="Sketches", licence="MIT", folder=folder, options=options
    )


def wait_until_ready(url: str, api_key: str | None, patience: float = PATIENCE_SECONDS) -> None:
    """Wait until every model of the server at `url` is loaded."""
    request = urllib.request.Request(f"{url}/health/ready", headers={"Authorization": f"Bearer {api_key}"})
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError),
            urllib.request.urlopen(request, timeout=PATIENCE_SECONDS),
        ):
            return
        time.sleep(0.02)
    raise TimeoutError("The gateway did not become ready.")


async def _main(port: int, folder: Path, api_key: str | None = None, drawing: str = "") -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serve(
            host="127.0.0.1",
            port=port,
            entries=[*entries(folder), *([sketcher(folder)] if drawing else [])],
            model_cache=ModelCache(folder),
            api_key=api_key or None,
            factory=FACTORY,
        )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    set_up_tracing("tempera-models")
    asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
