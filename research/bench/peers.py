"""Finds the builds of llama.cpp that are compared, and starts their servers.

There are two: the wheel of `xllamacpp`, which is built for AVX2, and `llama-cpp-python`, which `make bench` builds for
this processor together with llama.cpp's own server. The Python server of that package serves one sequence at a time,
so that it would be no match.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model_server.errors import OperatorError
from research.bench.servers import CLIENTS, BenchServer, find_free_port, start_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PEER_CONTEXT = 2048
"""Context of each client of llama.cpp, in tokens."""
WHEEL, NATIVE = "xllamacpp", "llama-cpp-python"
NAMES = {WHEEL: "llama.cpp, wheel", NATIVE: "llama.cpp, native"}
READ_BUILD = {
    WHEEL: "import xllamacpp; print(xllamacpp.get_system_info())",
    NATIVE: "import llama_cpp; print(llama_cpp.llama_print_system_info().decode())",
}


@dataclass(frozen=True, slots=True)
class Peer:
    """A build of llama.cpp. `features`: the processor's that it uses; a generic wheel uses none of the newest."""

    package: str
    features: tuple[str, ...]

    @property
    def name(self) -> str:
        """The heading of its column."""
        return NAMES[self.package]

    def describe(self) -> str:
        """Return its package, version and features."""
        features = ", ".join(self.features) or "an unknown processor"
        return f"{self.name}: {self.package} {importlib.metadata.version(self.package)}, built for {features}"


async def find_peers(instructions: str | None) -> tuple[list[Peer], str]:
    """Return the builds to compare with, and a sentence about the native one if it is left out, else "".

    `instructions`: "avx2" leaves out a native build that uses AVX-512. Raises OperatorError without the wheel.
    """
    require_peer()
    wheel = Peer(WHEEL, await _read_features(WHEEL))
    if find_native_server() is None:
        return [wheel], f"{NATIVE} with llama.cpp's server is not built here, so the wheel alone is compared."
    native = Peer(NATIVE, await _read_features(NATIVE))
    if instructions == "avx2" and any(feature.startswith("AVX512") for feature in native.features):
        sentence = "is built for AVX-512 and was left out; `make bench INSTRUCTIONS=avx2` builds it for AVX2."
        return [wheel], f"{NATIVE} {sentence}"
    return [wheel, native], ""


def require_peer(package: str = WHEEL) -> None:
    """Raise OperatorError if llama.cpp is not installed."""
    if importlib.util.find_spec(package) is None:
        raise OperatorError(f"The comparison needs llama.cpp; install it with pip install {package}.")


def find_native_server(package: str = "llama_cpp") -> Path | None:
    """Return the server that was built with llama-cpp-python, or None."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    server = Path(spec.origin).parent / "lib" / "llama-server"
    return server if server.is_file() else None


@contextlib.asynccontextmanager
async def start_llama_cpp(gguf: Path, threads: int, package: str = WHEEL) -> AsyncIterator[BenchServer]:
    """Run the server of a build with a file. Raises OperatorError if it does not start."""
    port = find_free_port()
    if package == WHEEL:
        numbers = map(str, (port, threads, CLIENTS, PEER_CONTEXT))
        command = ["-m", "research.bench.peer", str(gguf), *numbers]
        worker, environment = "", {}
    else:
        options = {
            "--model": gguf,
            "--host": "127.0.0.1",
            "--port": port,
            "--parallel": CLIENTS,
            "--ctx-size": CLIENTS * PEER_CONTEXT,
            "--threads": threads,
            "--threads-batch": threads,
            "--n-gpu-layers": 0,
        }
        arguments = [str(part) for option in options.items() for part in option]
        server = find_native_server()
        if server is None:
            raise OperatorError(f"{NATIVE} with llama.cpp's server is not built here.")
        command = ["-m", "research.bench.until_eof", str(server), *arguments, "--no-ui"]
        # Some builds of the server do not know that their libraries lie beside them.
        worker, environment = "llama-server", {"LD_LIBRARY_PATH": str(server.parent)}
    async with start_server(NAMES[package], command, environment, port, "/health", {}) as side:
        side.worker = worker
        yield side


async def _read_features(package: str) -> tuple[str, ...]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", READ_BUILD[package]), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    out, _ = await child.communicate()
    return tuple(re.findall(r"(\w+) = 1", out.decode()))
