"""Compares the language engine with llama.cpp: the same file, the same number of threads, the same prompts.

All servers run all the time and get requests in turns, one server at a time, because the speed of a machine varies.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from model_server.catalogue import choose
from model_server.errors import OperatorError
from model_server.files.cache import ModelCache
from research.bench.language.company import fill_slots, measure_fairness, measure_sameness
from research.bench.language.goals import find_goals
from research.bench.language.quality import measure_quality, missing_memory
from research.bench.language.report import LanguageResults, PeerResults, notes, rows
from research.bench.language.speeds import compare
from research.bench.language.thread import measure_thread
from research.bench.language.traffic import BandwidthProbe, Traffic
from research.bench.machine import describe_machine, report_stage
from research.bench.peers import find_peers, start_llama_cpp
from research.bench.servers import OtherProcesses, sampling_memory, start_tempera
from research.bench.streams import ask, make_prompt
from research.bench.table import markdown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from model_server.catalogue import CatalogueEntry
    from research.bench.machine import BenchOptions
    from research.bench.peers import Peer
    from research.bench.servers import BenchServer

SLOTS, SLOT_TOKENS = 12, 4096
"""The engine's own defaults on a processor."""


async def language(options: BenchOptions) -> AsyncIterator[str]:
    """Run the comparison and return the text to print, part by part. Raises OperatorError if it cannot be made here."""
    peers, left_out = await find_peers(options.instructions)
    entry, folder, gguf = await asyncio.to_thread(find_model, options)
    described = [describe_machine(options, "torch", "transformers"), *(peer.describe() for peer in peers)]
    yield "\n".join([*described, *([left_out] if left_out else []), ""])
    traffic, quality = await asyncio.to_thread(Traffic.of, gguf), {}
    if missing := missing_memory(traffic):
        yield f"{missing}\n"
    else:
        quality = await measure_quality(options, entry, folder, gguf, native=len(peers) > 1)
    results = await _measure(options, entry, gguf, peers, traffic, quality)
    yield markdown(rows(results, find_goals(options.model, vnni=options.has_vnni())), *(peer.name for peer in peers))
    yield notes(results)


def find_model(options: BenchOptions) -> tuple[CatalogueEntry, Path, Path]:
    """Return the model, the folder that our engine opens, and its GGUF; blocks. Raises OperatorError without one."""
    [entry] = choose(options.catalogue(), [options.model])
    if entry.engine != "language" or entry.gguf is None:
        raise OperatorError(
            f"{options.model} is no language model that comes as a GGUF, which llama.cpp could read too."
        )
    model_cache = ModelCache()
    folder = model_cache.ensure(entry)
    gguf = model_cache.folder / "models" / entry.name / entry.gguf.name
    if not gguf.is_file():
        raise OperatorError(f"llama.cpp needs {gguf.name} itself, which is no longer there; please put it back.")
    return entry, folder, gguf


async def _measure(
    options: BenchOptions,
    entry: CatalogueEntry,
    gguf: Path,
    peers: list[Peer],
    traffic: Traffic,
    quality: dict[str, object],
) -> LanguageResults:
    """Start all servers, and measure everything that needs them."""
    model = options.model
    slots, context = int(entry.options.get("slots", SLOTS)), int(entry.options.get("context", SLOT_TOKENS))
    async with contextlib.AsyncExitStack() as stack:
        ours = await stack.enter_async_context(start_tempera(options))
        theirs = [
            await stack.enter_async_context(start_llama_cpp(gguf, options.threads, peer.package)) for peer in peers
        ]
        sides = [ours, *theirs]
        empty = [await _measure_empty(side, model) for side in sides]
        await stack.enter_async_context(sampling_memory(sides))
        probe, other_processes = BandwidthProbe(options.threads), OtherProcesses(sides)
        speeds, bandwidths = await compare(sides, model, options.runs, probe)
        others = other_processes.cpu_share()
        report_stage("the same seed in company")
        same = await measure_sameness(ours, model)
        report_stage("fairness")
        waited_for = await measure_fairness(ours, model)
        report_stage("a long conversation")
        thread = await measure_thread(ours, model)
        report_stage("memory with full slots")
        filled = await fill_slots(ours, model, slots, context)
        ours.sample_memory()
    return LanguageResults(
        ours=speeds[0],
        peers=[
            PeerResults(side.name, figures, memory, side.peak)
            for side, figures, memory in zip(theirs, speeds[1:], empty[1:], strict=True)
        ],
        memory_empty=empty[0],
        memory_full=ours.peak,
        slots=slots,
        filled=filled,
        traffic=traffic,
        bandwidths=bandwidths,
        others=others,
        same=same,
        waited_for=waited_for,
        thread=thread,
        quality=quality,
    )


async def _measure_empty(side: BenchServer, model: str) -> int:
    """Return the memory of a server in bytes after a short request, which reads all weights once."""
    await ask(side.session, model, make_prompt(1, "empty"), 2)
    return side.sample_memory()
