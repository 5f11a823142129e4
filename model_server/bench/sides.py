"""The two servers that are compared, each in processes of its own, started for the measurement and ended after it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
import psutil

from model_server.catalogue import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from model_server.bench.machine import BenchOptions

PEER = "xllamacpp"
CLIENTS = 8
PEER_CONTEXT = 2048
"""Tokens that llama.cpp holds for each client."""
LOOK_SECONDS = 0.5
GRACE_SECONDS = 10.0


@dataclass(slots=True)
class BenchServer:
    """A server that is ready. `session` is trusted with the names of users where there are any."""

    name: str
    session: aiohttp.ClientSession
    process: psutil.Process
    worker: str = ""
    """A word in the command of the child that holds the model; none where the process itself does."""
    peak: int = 0
    """The most memory that it was seen to have, in bytes."""

    def look(self) -> None:
        """Note how much memory it has now."""
        holders = self.process.children(recursive=True) if self.worker else [self.process]
        for holder in holders:
            with contextlib.suppress(psutil.Error):
                if self.worker in " ".join(holder.cmdline()):
                    self.peak = max(self.peak, holder.memory_info().rss)


class Neighbours:
    """What everything else on the machine does meanwhile, for it makes figures worse."""

    def __init__(self, sides: Sequence[BenchServer]) -> None:
        self._roots = [psutil.Process(), *(side.process for side in sides)]
        self._began = time.monotonic()
        self._busy, self._own = self._seconds()

    def share(self) -> float:
        """The part of the machine's processors that others took since this was made, from 0 to 1."""
        busy, own = self._seconds()
        others = (busy - self._busy) - (own - self._own)
        return max(0.0, others / ((time.monotonic() - self._began) * (psutil.cpu_count() or 1)))

    def _seconds(self) -> tuple[float, float]:
        whole = psutil.cpu_times()._asdict()
        busy = sum(whole.get(kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq", "steal"))
        children = [child for root in self._roots[1:] for child in root.children(recursive=True)]
        own = [process.cpu_times() for process in (*self._roots, *children)]
        return busy, sum(times.user + times.system for times in own)


def need_peer(package: str = PEER) -> None:
    """Raises StoreError when llama.cpp is not installed."""
    if importlib.util.find_spec(package) is None:
        raise StoreError(f"The comparison needs llama.cpp; install it with pip install {package}.")


async def peer_build() -> str:
    """Which instructions llama.cpp was built for: a wheel for every processor uses none of the newest."""
    code = f"import {PEER}; print({PEER}.get_system_info())"
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    out, _ = await child.communicate()
    flags = re.findall(r"(\w+) = 1", out.decode())
    return ", ".join(flags) or "an unknown processor"


@contextlib.asynccontextmanager
async def tempera(wanted: BenchOptions) -> AsyncIterator[BenchServer]:
    """`tempera-models serve` with one model."""
    port, key = _free_port(), secrets.token_hex(16)
    command = ["-m", "model_server", "serve", "--model", wanted.model, "--port", str(port), "--exit-on-eof"]
    command += [f"--catalogue={overlay}" for overlay in wanted.overlays]
    environment = {"OMP_NUM_THREADS": str(wanted.threads), "TEMPERA_MODEL_SERVER__TRUSTED_KEY": key}
    headers = {"Authorization": f"Bearer {os.environ.get('TEMPERA_MODEL_SERVER__API_KEY') or key}"}
    async with _running("Tempera", command, environment, port, "/health/ready", headers) as side:
        side.worker = "model_server.workers.worker"
        yield side


@contextlib.asynccontextmanager
async def llama_cpp(gguf: Path, threads: int) -> AsyncIterator[BenchServer]:
    """llama.cpp's server with the same file. Raises StoreError when it is not installed."""
    need_peer()
    port = _free_port()
    command = ["-m", "model_server.bench.peer", str(gguf), *map(str, (port, threads, CLIENTS, PEER_CONTEXT))]
    async with _running("llama.cpp", command, {}, port, "/health", {}) as side:
        yield side


@contextlib.asynccontextmanager
async def watched(sides: Sequence[BenchServer]) -> AsyncIterator[None]:
    """Look at the sides' memory again and again, until the block ends."""

    async def watch() -> None:
        while True:
            for side in sides:
                side.look()
            await asyncio.sleep(LOOK_SECONDS)

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher


@contextlib.asynccontextmanager
async def _running(
    name: str, command: list[str], environment: dict[str, str], port: int, ready: str, headers: dict[str, str]
) -> AsyncIterator[BenchServer]:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | environment,
    )
    timeout, connector = aiohttp.ClientTimeout(total=None), aiohttp.TCPConnector(limit=0)
    log = asyncio.create_task(_last_lines(child))
    try:
        async with aiohttp.ClientSession(
            f"http://127.0.0.1:{port}", headers=headers, timeout=timeout, connector=connector
        ) as session:
            while not await _is_ready(session, ready):
                if child.returncode is not None:
                    raise StoreError(f"{name} ended before anything was measured: {await log}")
                await asyncio.sleep(LOOK_SECONDS)
            yield BenchServer(name, session, psutil.Process(child.pid))
    finally:
        await _end(child)
        await log


async def _last_lines(child: asyncio.subprocess.Process) -> str:
    """What the child said last; read all along, because a full pipe would stop it."""
    assert child.stderr is not None  # noqa: S101 - it was started with a pipe
    last = b""
    while line := await child.stderr.readline():
        last = line.strip() or last
    return last.decode(errors="replace")


async def _is_ready(session: aiohttp.ClientSession, path: str) -> bool:
    try:
        async with session.get(path) as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        child.terminate()
    try:
        async with asyncio.timeout(GRACE_SECONDS):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
