"""The real gateway with fake engines: `python -m fakes.model_server.gateway PORT FOLDER [API_KEY]`.

Or in the process of the test, with `serving`.
"""

import asyncio
import contextlib
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
from typing import Any

import aiohttp
from fakes.core.stack_dump import show_stacks

from model_server.api.app import serve
from model_server.catalogue import CatalogueEntry
from model_server.files.cache import ModelCache

FACTORY = "fakes.engines.text_engine:create"
PATIENCE_SECONDS = 60
"""When a test that waits gives up; none of them is about time."""


@dataclass(frozen=True)
class Gateway:
    """A running server: its address, its process, and the folder of its models."""

    url: str
    process: subprocess.Popen[bytes]
    folder: Path

    def journal(self) -> list[str]:
        """What the parrot was told, line by line."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "journal").read_text().splitlines()
        return []


@contextlib.contextmanager
def running_gateway(folder: Path, api_key: str | None = None) -> Iterator[Gateway]:
    """A gateway in a process of its own, ready; SIGTERM ends it."""
    port = free_port()
    command = [sys.executable, "-m", "fakes.model_server.gateway", str(port), str(folder), *filter(None, [api_key])]
    process = subprocess.Popen(command, env=environment())
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, api_key)
        yield Gateway(url, process, folder)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)


@contextlib.asynccontextmanager
async def serving(
    folder: Path, store: Any = None, models: Iterable[str] = ("parrot",), **keys: str | None
) -> AsyncIterator[str]:
    """A gateway with fake engines in this process. `keys`: `api_key` and `trusted_key`."""
    chosen = [entry for entry in [*entries(folder), flock(folder), sketcher(folder)] if entry.name in models]
    async with listening(entries=chosen, store=store or ModelCache(folder), factory=FACTORY, **keys) as url:
        yield url


@contextlib.asynccontextmanager
async def listening(**settings: Any) -> AsyncIterator[str]:
    """A gateway in this process that listens, made of what `serve` takes; not waited for to be ready."""
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
    """Whether a model server listens there, ready or not."""
    with contextlib.suppress(aiohttp.ClientError):
        async with aiohttp.request("GET", f"{url}/health/live") as response:
            return response.status == 200
    return False


async def is_ready(url: str) -> bool:
    """Whether every model of the server at `url` is loaded."""
    async with aiohttp.request("GET", f"{url}/health/ready") as response:
        return response.status == 200


async def eventually(happened: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait until something is so."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                seen = happened()
                if seen if isinstance(seen, bool) else await seen:
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        show_stacks()
        raise


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def environment() -> dict[str, str]:
    """For a child process that imports what we can import."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def entries(folder: Path) -> list[CatalogueEntry]:
    """One model of each kind. Their files are empty ones in `folder`, and so is the parrot's journal."""
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
    """Eight parrots that speak at once. Its journal has their steps, too."""
    options = {"journal": str(folder / "journal"), "capacity": 8, "notes_steps": True}
    return CatalogueEntry(
        name="flock", engine="language", description="Repeats", licence="MIT", folder=folder, options=options
    )


def sketcher(folder: Path, **options: float) -> CatalogueEntry:
    """An image model. `options`: `pause`, how long a step takes."""
    return CatalogueEntry(
        name="sketcher", engine="diffusion", description="Sketches", licence="MIT", folder=folder, options=options
    )


def _wait_until_ready(url: str, api_key: str | None) -> None:
    request = urllib.request.Request(f"{url}/health/ready", headers={"Authorization": f"Bearer {api_key}"})
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError),
            urllib.request.urlopen(request, timeout=PATIENCE_SECONDS),
        ):
            return
        time.sleep(0.02)
    raise TimeoutError("The gateway did not become ready.")


async def _main(port: int, folder: Path, api_key: str | None) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serve(
            host="127.0.0.1",
            port=port,
            entries=entries(folder),
            store=ModelCache(folder),
            api_key=api_key,
            factory=FACTORY,
        )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None))
