"""Starts the servers that are compared in processes of their own, and measures their memory and CPU time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
import psutil

from model_server.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from research.bench.machine import BenchOptions

CLIENTS = 8
"""Requests that are sent at once."""
POLL_SECONDS = 0.5
START_TIMEOUT_SECONDS = 900.0
"""A first start compiles; vLLM's takes minutes on a busy machine."""
STOP_TIMEOUT_SECONDS = 10.0


@dataclass(slots=True)
class BenchServer:
    """A server that is ready. `session` has the key by which our server believes user names."""

    name: str
    session: aiohttp.ClientSession
    process: psutil.Process
    worker: str = ""
    """A word in the command line of the child that holds the model; empty if the process itself holds it."""
    peak: int = 0
    """The highest memory that was sampled, in bytes."""

    def sample_memory(self) -> int:
        """Return the memory of the process that holds the model in bytes, which also goes into `peak`."""
        memory = 0
        holders = self.process.children(recursive=True) if self.worker else [self.process]
        for holder in holders:
            with contextlib.suppress(psutil.Error):
                if self.worker in " ".join(holder.cmdline()):
                    memory += holder.memory_info().rss
        self.peak = max(self.peak, memory)
        return memory


class OtherProcesses:
    """Measures the CPU time of all other processes of the machine, which make the results worse."""

    def __init__(self, servers: Sequence[BenchServer]) -> None:
        self._roots = [psutil.Process(), *(server.process for server in servers)]
        self._began = time.monotonic()
        self._busy, self._own = self._seconds()

    def cpu_share(self) -> float:
        """Return the share of the machine's CPU time that others took since this was created, from 0 to 1."""
        busy, own = self._seconds()
        others = (busy - self._busy) - (own - self._own)
        return max(0.0, others / ((time.monotonic() - self._began) * (psutil.cpu_count() or 1)))

    def _seconds(self) -> tuple[float, float]:
        whole = psutil.cpu_times()._asdict()
        busy = sum(whole.get(kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq", "steal"))
        children = [child for root in self._roots[1:] for child in root.children(recursive=True)]
        own = [process.cpu_times() for process in (*self._roots, *children)]
        return busy, sum(times.user + times.system for times in own)


@contextlib.asynccontextmanager
async def start_tempera(options: BenchOptions, also: Sequence[str] = ()) -> AsyncIterator[BenchServer]:
    """Run `tempera-models serve` with one model, and with those that are named in `also`."""
    port, key = find_free_port(), secrets.token_hex(16)
    command = ["-m", "model_server", "serve", "--model", options.model, "--port", str(port), "--exit-on-eof"]
    command += [f"--catalogue={overlay}" for overlay in options.overlays]
    command += [f"--model={name}" for name in also]
    environment = {"OMP_NUM_THREADS": str(options.threads), "TEMPERA_MODEL_SERVER__TRUSTED_KEY": key}
    environment |= options.restriction
    headers = {"Authorization": f"Bearer {os.environ.get('TEMPERA_MODEL_SERVER__API_KEY') or key}"}
    async with start_server("Tempera", command, environment, port, "/health/ready", headers) as side:
        side.worker = "model_server.workers.worker"
        yield side


@contextlib.asynccontextmanager
async def sampling_memory(servers: Sequence[BenchServer]) -> AsyncIterator[None]:
    """Sample the memory of the servers regularly until the block ends."""

    async def sample() -> None:
        while True:
            for server in servers:
                server.sample_memory()
            await asyncio.sleep(POLL_SECONDS)

    sampler = asyncio.create_task(sample())
    try:
        yield
    finally:
        sampler.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sampler


@contextlib.asynccontextmanager
async def start_server(
    name: str, command: list[str], environment: dict[str, str], port: int, ready: str, headers: dict[str, str]
) -> AsyncIterator[BenchServer]:
    """Run `python COMMAND`, which ends when its standard input is closed; it is ready when `ready` has status 200.

    Raises OperatorError if it ends, or is not ready in time.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | environment,
    )
    # llama.cpp closes a connection that idles while others have their turn; a request that just then takes it fails.
    timeout, connector = aiohttp.ClientTimeout(total=None), aiohttp.TCPConnector(limit=0, force_close=True)
    log = asyncio.create_task(_read_last_line(child))
    try:
        async with aiohttp.ClientSession(
            f"http://127.0.0.1:{port}", headers=headers, timeout=timeout, connector=connector
        ) as session:
            given_up = time.monotonic() + START_TIMEOUT_SECONDS
            while not await _is_ready(session, ready):
                if child.returncode is not None:
                    raise OperatorError(f"{name} ended before anything was measured: {await log}")
                if time.monotonic() > given_up:
                    raise OperatorError(f"{name} was not ready after {START_TIMEOUT_SECONDS:.0f} seconds.")
                await asyncio.sleep(POLL_SECONDS)
            yield BenchServer(name, session, psutil.Process(child.pid))
    finally:
        await _stop(child)
        await log


async def _read_last_line(child: asyncio.subprocess.Process) -> str:
    """Return the child's last line on stderr. Reads all along, because a full pipe would block the child."""
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


async def _stop(child: asyncio.subprocess.Process) -> None:
    assert child.stdin is not None  # noqa: S101 - it was started with a pipe
    child.stdin.close()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
            await child.wait()
    except TimeoutError:
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(child.pid).children(recursive=True):
                process.kill()
        child.kill()
        await child.wait()


def find_free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
