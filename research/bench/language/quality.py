"""Measures the loss of the served weights, and that of llama.cpp with the same file, in processes of their own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import psutil

from model_server.errors import OperatorError
from research.bench.language.quality_texts import read_texts
from research.bench.machine import child_environment, report_stage, spec_as_json

if TYPE_CHECKING:
    from pathlib import Path

    from model_server.catalogue import CatalogueEntry
    from research.bench.language.traffic import Traffic
    from research.bench.machine import BenchOptions

REFERENCE_BYTES = 4.5
"""Memory that the reference takes while it is read, for each parameter: in float32, and one matrix twice."""
SERVED_BYTES = 2.0
"""The same for the served weights, whatever their format."""


def missing_memory(traffic: Traffic) -> str:
    """Return a sentence if there is too little memory for the reference in float32, else ""."""
    needed, free = (REFERENCE_BYTES + SERVED_BYTES) * traffic.parameters, psutil.virtual_memory().available
    if needed <= free:
        return ""
    return (
        f"Quality was not measured: the weights in float32 need {needed / 1e9:.0f} GB of free memory, and there are "
        f"{free / 1e9:.0f} GB."
    )


async def measure_quality(
    options: BenchOptions, entry: CatalogueEntry, folder: Path, gguf: Path, *, native: bool
) -> dict[str, Any]:
    """Return the report of research/bench/language/losses.py; `native`: with the loss of llama.cpp."""
    environment = child_environment(options.threads) | options.restriction
    arguments = ["research.bench.language.losses", spec_as_json(entry, folder), str(gguf)]
    # Logits take hundreds of megabytes, for which /tmp may be too small.
    with tempfile.TemporaryDirectory(dir=gguf.parent) as logits:
        if native:
            report_stage("quality of llama.cpp")
            module = ["research.bench.language.peer_logits", str(gguf), str(options.threads), logits]
            await _run(module, environment, json.dumps(read_texts()))
            arguments.append(logits)
        report_stage("quality")
        out = await _run(arguments, environment)
    report: dict[str, Any] = json.loads(out.splitlines()[-1])
    return report


async def _run(module: list[str], environment: dict[str, str], text: str = "") -> str:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *module), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    out, _ = await child.communicate(text.encode())
    if child.returncode:
        raise OperatorError("The quality of the served weights could not be measured; the reason is above.")
    return out.decode()
