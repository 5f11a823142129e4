"""Compares the diffusion engine with the bare loop of the same network, and with diffusers' own pipeline.

They take turns: our server gets HTTP requests of up to eight users at once; the other two run in a process of their
own, which is idle meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil

from model_server.catalogue import choose
from model_server.errors import OperatorError
from model_server.files.cache import ModelCache
from research.bench.machine import child_environment, describe_machine, report_stage, spec_as_json
from research.bench.servers import CLIENTS, BenchServer, OtherProcesses, start_tempera
from research.bench.streams import read_error
from research.bench.table import Goal, TableRow, markdown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import aiohttp

    from model_server.catalogue import CatalogueEntry
    from research.bench.machine import BenchOptions

GENERATIONS_PATH = "/v1/images/generations"
STEPS, GUIDANCE = 30, 4.0
LONG_STEPS = 150
THINGS = ("apple", "cat", "house", "rocket", "tree", "fish", "guitar", "crown", "car", "heart", "clock", "key")
MAX_LINE_BYTES = 1 << 24


@dataclass(slots=True)
class DiffusionSpeeds:
    """The speeds of each run: seconds for one picture, or pictures per second for eight users."""

    alone: list[float] = field(default_factory=list)
    loop: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    stock: list[float] = field(default_factory=list)
    """The pipeline, one picture after the other, in its default dtype; `stock_served` is in the dtype of our engine."""
    stock_served: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionResults:
    """All results of one comparison."""

    figures: DiffusionSpeeds
    dtype: str
    preview: int
    """The step after which the first preview came."""
    slot_release_steps: int
    """Steps that other users took until the slot of a cancelled job was in use again."""
    passes: tuple[float, float]
    """Seconds of a forward pass for one picture, and for eight."""
    others: float
    """The share of the machine's CPU time that other processes took meanwhile, from 0 to 1."""


class PeerProcess:
    """The process that runs the bare loop and diffusers' pipeline."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child

    async def ask(self, **request: Any) -> Any:
        """Return the seconds of one measurement, or of several."""
        assert self.child.stdin is not None  # noqa: S101 - it was started with a pipe
        self.child.stdin.write(json.dumps(request).encode() + b"\n")
        return (await self.read_reply())["seconds"]

    async def read_reply(self) -> dict[str, Any]:
        """Return its next line. Raises OperatorError if the process has ended."""
        assert self.child.stdout is not None  # noqa: S101 - it was started with a pipe
        if line := await self.child.stdout.readline():
            reply: dict[str, Any] = json.loads(line)
            return reply
        raise OperatorError("The process that is compared with ended; the reason is above.")


@contextlib.asynccontextmanager
async def start_peer(entry: CatalogueEntry, folder: Path, threads: int) -> AsyncIterator[PeerProcess]:
    """Start a peer process, which begins to load the same files."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "research.bench.baseline", spec_as_json(entry, folder)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(threads) | {"TRANSFORMERS_VERBOSITY": "error"},
        limit=MAX_LINE_BYTES,
    )
    try:
        yield PeerProcess(child)
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def diffusion(options: BenchOptions) -> AsyncIterator[str]:
    """Run the comparison and return the text to print, part by part. Raises OperatorError if it cannot be made here."""
    [entry] = choose(options.catalogue(), [options.model])
    if entry.engine != "diffusion":
        raise OperatorError(f"{options.model} draws no pictures of prompts.")
    folder = await asyncio.to_thread(ModelCache().ensure, entry)
    yield f"{describe_machine(options, 'torch', 'diffusers')}\n"
    async with contextlib.AsyncExitStack() as stack:
        report_stage("nothing yet, both sides are loading")
        theirs = await stack.enter_async_context(start_peer(entry, folder, options.threads))
        ours = await stack.enter_async_context(start_tempera(options))
        dtype = (await theirs.read_reply())["dtype"]
        other_processes = OtherProcesses(
            [ours, BenchServer("diffusers", ours.session, psutil.Process(theirs.child.pid))]
        )
        figures = await compare(ours.session, theirs, options.model, options.runs)
        report_stage("previews and slots")
        results = DiffusionResults(
            figures=figures,
            dtype=dtype,
            preview=await measure_preview(ours.session, options.model),
            slot_release_steps=await measure_slot_release(ours.session, options.model),
            passes=tuple(await theirs.ask(what="passes", rows=[2, 2 * CLIENTS])),
            others=other_processes.cpu_share(),
        )
    yield markdown(rows(results), "diffusers")
    yield _notes(results)


async def compare(session: aiohttp.ClientSession, theirs: PeerProcess, model: str, runs: int) -> DiffusionSpeeds:
    """Measure the speeds of all sides, which take turns."""
    figures = DiffusionSpeeds()
    await _draw(session, model, "warm", 0)
    await theirs.ask(what="loop", prompt="warm", seed=0, steps=2, guidance=GUIDANCE)
    for run in range(runs):
        report_stage(f"speed, run {run + 1} of {runs}")
        prompts = [f"a {THINGS[(run + number) % len(THINGS)]} of run {run}" for number in range(CLIENTS)]
        figures.alone.append(await _draw(session, model, prompts[0] + " alone", run))
        once = {"prompt": prompts[0], "seed": run, "steps": STEPS, "guidance": GUIDANCE}
        figures.loop.append(await theirs.ask(what="loop", **once))
        started = time.perf_counter()
        await asyncio.gather(*(_draw(session, model, prompt, seed) for seed, prompt in enumerate(prompts)))
        figures.together.append(CLIENTS / (time.perf_counter() - started))
        many = {"prompts": prompts, "steps": STEPS, "guidance": GUIDANCE}
        figures.stock.append(CLIENTS / await theirs.ask(what="stock", dtype="default", **many))
        figures.stock_served.append(CLIENTS / await theirs.ask(what="stock", dtype="served", **many))
    return figures


async def _draw(session: aiohttp.ClientSession, model: str, prompt: str, seed: int) -> float:
    """Draw one picture; return the seconds from the request to the last byte of the response."""
    started = time.perf_counter()
    body = {"model": model, "prompt": prompt, "seed": seed, "steps": STEPS, "guidance": GUIDANCE, "user": str(seed)}
    async with session.post(GENERATIONS_PATH, json=body) as response:
        if response.status != 200:
            raise OperatorError(f"The model server refused: {await read_error(response)}")
        await response.read()
    return time.perf_counter() - started


class DrawStream:
    """One streamed picture, read in the background."""

    def __init__(self, session: aiohttp.ClientSession, model: str, user: str, **fields: Any) -> None:
        body = {"model": model, "prompt": "a cat", "seed": 1, "guidance": GUIDANCE, "stream": True, "user": user}
        self.job = ""
        self.step = 0
        self.preview = 0
        """The step of the first preview; 0 until it came."""
        self._changed = asyncio.Condition()
        self._task = asyncio.create_task(self._read(session, body | fields))

    async def wait_for_step(self, step: int, *, or_queued: bool = False) -> None:
        """Wait until `step` steps are done, or, with `or_queued`, until the job is in the queue."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._task.done() or self.step >= step or (or_queued and bool(self.job))
            )
        if self._task.done():
            await self._task

    async def cancel(self) -> None:
        """Close the stream, which cancels the job."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def wait(self) -> None:
        """Wait until the picture is finished."""
        await self._task

    async def _read(self, session: aiohttp.ClientSession, body: dict[str, Any]) -> None:
        async with session.post(GENERATIONS_PATH, json=body) as response:
            async for line in response.content:
                if line.startswith(b"data: {"):
                    await self._handle_event(json.loads(line[6:]))

    async def _handle_event(self, event: dict[str, Any]) -> None:
        if "error" in event:
            raise OperatorError(f"The model server failed: {event['error']['message']}")
        progress = event["tempera"]
        async with self._changed:
            self.job, self.step = progress["job"], progress.get("step", 0)
            if "partial_image_index" in event and not self.preview:
                self.preview = self.step
            self._changed.notify_all()


async def measure_preview(session: aiohttp.ClientSession, model: str) -> int:
    """Return the step after which the first preview comes."""
    drawing = DrawStream(session, model, "one", steps=STEPS, partial_images=3)
    await drawing.wait()
    return drawing.preview


async def measure_slot_release(session: aiohttp.ClientSession, model: str) -> int:
    """Return the steps that another user's job takes from the cancellation of a job to the first step of the next.

    All slots are in use.
    """
    async with session.get("/v1/queue") as response:
        capacity = next(queue["capacity"] for queue in (await response.json())["data"] if queue["model"] == model)
    running = [DrawStream(session, model, f"user {number}", steps=LONG_STEPS) for number in range(capacity)]
    waiting: DrawStream | None = None
    try:
        for drawing in running:
            await drawing.wait_for_step(1)
        waiting = DrawStream(session, model, "late", steps=LONG_STEPS)
        await waiting.wait_for_step(1, or_queued=True)
        async with session.delete(f"/v1/jobs/{running[0].job}") as response:
            await response.read()
        before = running[-1].step
        await waiting.wait_for_step(1)
        # The first step of the waiting job is one of them.
        return running[-1].step - before - 1
    finally:
        for drawing in filter(None, [*running, waiting]):
            with contextlib.suppress(OperatorError):
                await drawing.cancel()


def rows(results: DiffusionResults) -> list[TableRow]:
    """Return the rows of the table with their goals. Figures are medians over the runs."""
    figures = results.figures
    alone, loop = statistics.median(figures.alone), statistics.median(figures.loop)
    together = statistics.median(figures.together)
    stock, stock_served = statistics.median(figures.stock), statistics.median(figures.stock_served)
    return [
        TableRow(
            what=f"one picture, {STEPS} steps with guidance, seconds; beside the bare loop",
            ours=f"{alone:.2f}",
            theirs=(f"{loop:.2f}",),
            figure=alone / loop,
            ratio=True,
            goal=Goal("≤", 1.1),
        ),
        TableRow(
            what=f"{CLIENTS} users at once, pictures/s; beside the pipeline as it comes, one after the other",
            ours=f"{together:.2f}",
            theirs=(f"{stock:.2f}",),
            figure=together / stock,
            ratio=True,
            goal=Goal("≥", 3.0),
        ),
        TableRow(
            what=f"the same beside the pipeline in {results.dtype}",
            ours=f"{together:.2f}",
            theirs=(f"{stock_served:.2f}",),
            figure=together / stock_served,
            ratio=True,
            goal=Goal("≥", 1.0),
        ),
        TableRow(
            what="the first preview comes after step",
            ours=str(results.preview),
            figure=results.preview,
            goal=Goal("≤", 3),
        ),
        TableRow(
            what="steps until a cancelled picture's slot is at work again",
            ours=str(results.slot_release_steps),
            figure=results.slot_release_steps,
            goal=Goal("≤", 1),
        ),
    ]


def _notes(results: DiffusionResults) -> str:
    figures, (one, eight) = results.figures, results.passes
    lines = (
        ("one picture, s", figures.alone),
        ("the bare loop, s", figures.loop),
        (f"{CLIENTS} users, pictures/s", figures.together),
        ("the pipeline as it comes, pictures/s", figures.stock),
        (f"the pipeline in {results.dtype}, pictures/s", figures.stock_served),
    )
    bound = (
        f"- served in {results.dtype}. A pass of the network takes {1000 * one:.0f} ms for one picture and "
        f"{1000 * eight:.0f} ms for {CLIENTS}: it alone allows {CLIENTS / (STEPS * eight):.2f} pictures/s, "
        f"{CLIENTS * one / eight:.2f} times what it would one by one, and is what bounds {CLIENTS} users"
    )
    return "\n".join(
        [
            "",
            *(f"- {what}, run by run: {', '.join(f'{seconds:.2f}' for seconds in values)}" for what, values in lines),
            bound,
            f"- other processes took {results.others:.0%} of the machine meanwhile",
        ]
    )
