"""The real gateway in a process of its own, with fake engines, for all tests of a session."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

PATIENCE_SECONDS = 60
"""When a test that waits gives up; none of them is about time."""


@dataclass(frozen=True)
class Names:
    """The models that a server under test offers."""

    chat: str
    faces: str
    embeddings: str


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


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(f"{url}/health/ready"):
            return
        time.sleep(0.1)
    pytest.fail("the gateway did not become ready")


@contextlib.contextmanager
def running_gateway(folder: Path) -> Iterator[Gateway]:
    """A gateway from start to SIGTERM."""
    port = free_port()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen([sys.executable, "-m", "fakes.gateway", str(port), str(folder)], env=environment)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}")
        yield Gateway(f"http://127.0.0.1:{port}", process, folder)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)


async def eventually(happened: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            seen = happened()
            if seen if isinstance(seen, bool) else await seen:
                return
            await asyncio.sleep(0.02)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that many tests share; each leaves it working."""
    with running_gateway(tmp_path_factory.mktemp("models")) as running:
        yield running


@pytest.fixture(scope="session")
def server_url(gateway: Gateway) -> str:
    """Where a server with all kinds of models answers."""
    return gateway.url


@pytest.fixture(scope="session")
def names() -> Names:
    """What the models at `server_url` are called."""
    return Names(chat="parrot", faces="painter", embeddings="ruler")


@pytest.fixture
async def http(server_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A plain client of `server_url`."""
    async with aiohttp.ClientSession(server_url) as session:
        yield session
