"""The diffusion engine beside the bare loop of the same network, and beside diffusers' own pipeline.

All take turns: ours is asked over HTTP by up to eight users at once; the others run in a process of their own, which
nobody asks meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil

from model_server.bench.machine import machine, say
from model_server.bench.sides import CLIENTS, BenchServer, Neighbours, tempera
from model_server.bench.table import Goal, TableRow, markdown
from model_server.catalogue import StoreError, choose
from model_server.files.cache import ModelCache

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import aiohttp

    from model_server.bench.machine import BenchOptions
    from model_server.catalogue import CatalogueEntry

DRAW = "/v1/images/generations"
STEPS, GUIDANCE = 30, 4.0
LONG_STEPS = 150
THINGS = ("apple", "cat", "house", "rocket", "tree", "fish", "guitar", "crown", "car", "heart", "clock", "key")
LARGEST_LINE = 1 << 24


@dataclass(slots=True)
class DiffusionSpeeds:
    """What was measured, run by run. Seconds of one picture; pictures in a second for eight users."""

    alone: list[float] = field(default_factory=list)
    loop: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    stock: list[float] = field(default_factory=list)
    """One after the other, in the pipeline's default numbers; `stock_served` in those that ours computes in."""
    stock_served: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionResults:
    """All of one comparison."""

    figures: DiffusionSpeeds
    dtype: str
    preview: int
    """The step after which the first preview came."""
    freed: int
    """How many steps the others took until a slot that was given up was at work again."""
    passes: tuple[float, float]
    """Seconds of a forward pass for one picture, and for eight."""
    others: float
    """The part of the machine that other processes took meanwhile, from 0 to 1."""


class Peer:
    """The process that measures what ours is compared with."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child

    async def ask(self, **wanted: Any) -> Any:
        """One measurement."""
        assert self.child.stdin is not None  # noqa: S101 - it was started with a pipe
        self.child.stdin.write(json.dumps(wanted).encode() + b"\n")
        return (await self.hear())["seconds"]

    async def hear(self) -> dict[str, Any]:
        """Its next line. Raises StoreError when it has ended."""
        assert self.child.stdout is not None  # noqa: S101 - it was started with a pipe
        if line := await self.child.stdout.readline():
            heard: dict[str, Any] = json.loads(line)
            return heard
        raise StoreError("The process that is compared with ended; the reason is above.")


@contextlib.asynccontextmanager
async def peer(entry: CatalogueEntry, folder: Path, threads: int) -> AsyncIterator[Peer]:
    """A peer that is about to load the same files."""
    spec = {
        "name": entry.name,
        "engine": entry.engine,
        "folder": str(folder),
        "device": entry.device,
        "dtype": entry.dtype,
        "options": entry.options,
    }
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "model_server.engines.diffusion.baseline", json.dumps(spec)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ
        | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive", "TRANSFORMERS_VERBOSITY": "error"},
        limit=LARGEST_LINE,
    )
    try:
        yield Peer(child)
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def diffusion(wanted: BenchOptions) -> AsyncIterator[str]:
    """What to print, part by part. Raises StoreError when the comparison cannot be made here."""
    [entry] = choose(wanted.catalogue(), [wanted.model])
    if entry.engine != "diffusion":
        raise StoreError(f"{wanted.model} draws no pictures of prompts.")
    folder = await asyncio.to_thread(ModelCache().ensure, entry)
    yield f"{machine(wanted, 'torch', 'diffusers')}\n"
    async with contextlib.AsyncExitStack() as stack:
        say("nothing yet, both sides are loading")
        theirs = await stack.enter_async_context(peer(entry, folder, wanted.threads))
        ours = await stack.enter_async_context(tempera(wanted))
        dtype = (await theirs.hear())["dtype"]
        neighbours = Neighbours([ours, BenchServer("diffusers", ours.session, psutil.Process(theirs.child.pid))])
        figures = await compare(ours.session, theirs, wanted.model, wanted.runs)
        say("previews and slots")
        results = DiffusionResults(
            figures=figures,
            dtype=dtype,
            preview=await measure_preview(ours.session, wanted.model),
            freed=await measure_freed(ours.session, wanted.model),
            passes=tuple(await theirs.ask(what="passes", rows=[2, 2 * CLIENTS])),
            others=neighbours.share(),
        )
    yield markdown(rows(results), "diffusers")
    yield _notes(results)


async def compare(session: aiohttp.ClientSession, theirs: Peer, model: str, runs: int) -> DiffusionSpeeds:
    """The figures of all sides, which take turns."""
    figures = DiffusionSpeeds()
    await _draw(session, model, "warm", 0)
    await theirs.ask(what="loop", prompt="warm", seed=0, steps=2, guidance=GUIDANCE)
    for run in range(runs):
        say(f"speed, run {run + 1} of {runs}")
        prompts = [f"a {THINGS[(run + number) % len(THINGS)]} of run {run}" for number in range(CLIENTS)]
        figures.alone.append(await _draw(session, model, prompts[0] + " alone", run))
        once = {"prompt": prompts[0], "seed": run, "steps": STEPS, "guidance": GUIDANCE}
        figures.loop.append(await theirs.ask(what="loop", **once))
        began = time.perf_counter()
        await asyncio.gather(*(_draw(session, model, prompt, seed) for seed, prompt in enumerate(prompts)))
        figures.together.append(CLIENTS / (time.perf_counter() - began))
        many = {"prompts": prompts, "steps": STEPS, "guidance": GUIDANCE}
        figures.stock.append(CLIENTS / await theirs.ask(what="stock", dtype="default", **many))
        figures.stock_served.append(CLIENTS / await theirs.ask(what="stock", dtype="served", **many))
    return figures


async def _draw(session: aiohttp.ClientSession, model: str, prompt: str, seed: int) -> float:
    """The seconds that one picture took, from the question to the last byte of the answer."""
    began = time.perf_counter()
    body = {"model": model, "prompt": prompt, "seed": seed, "steps": STEPS, "guidance": GUIDANCE, "user": str(seed)}
    async with session.post(DRAW, json=body) as response:
        answer = await response.json()
        if response.status != 200:
            raise StoreError(f"The model server refused: {answer['error']['message']}")
    return time.perf_counter() - began


class DrawStream:
    """One picture that comes as a stream, read in the background."""

    def __init__(self, session: aiohttp.ClientSession, model: str, user: str, **fields: Any) -> None:
        body = {"model": model, "prompt": "a cat", "seed": 1, "guidance": GUIDANCE, "stream": True, "user": user}
        self.job = ""
        self.step = 0
        self.preview = 0
        """The step of the first one."""
        self._news = asyncio.Condition()
        self._task = asyncio.create_task(self._read(session, body | fields))

    async def until(self, step: int, *, or_waiting: bool = False) -> None:
        """Wait until it has taken `step` steps, or until it is in the queue."""
        async with self._news:
            await self._news.wait_for(lambda: self._task.done() or self.step >= step or (or_waiting and bool(self.job)))
        if self._task.done():
            await self._task

    async def end(self) -> None:
        """Leave it, wherever it is."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def whole(self) -> None:
        """Wait for its end."""
        await self._task

    async def _read(self, session: aiohttp.ClientSession, body: dict[str, Any]) -> None:
        async with session.post(DRAW, json=body) as response:
            async for line in response.content:
                if line.startswith(b"data: {"):
                    await self._hear(json.loads(line[6:]))

    async def _hear(self, event: dict[str, Any]) -> None:
        if "error" in event:
            raise StoreError(f"The model server failed: {event['error']['message']}")
        told = event["tempera"]
        async with self._news:
            self.job, self.step = told["job"], told.get("step", 0)
            if "partial_image_index" in event and not self.preview:
                self.preview = self.step
            self._news.notify_all()


async def measure_preview(session: aiohttp.ClientSession, model: str) -> int:
    """The step after which the first preview comes."""
    drawing = DrawStream(session, model, "one", steps=STEPS, partial_images=3)
    await drawing.whole()
    return drawing.preview


async def measure_freed(session: aiohttp.ClientSession, model: str) -> int:
    """With all slots taken: the steps that somebody else takes from a cancelled job to the first step of the next."""
    async with session.get("/v1/queue") as response:
        capacity = next(lane["capacity"] for lane in (await response.json())["data"] if lane["model"] == model)
    running = [DrawStream(session, model, f"user {number}", steps=LONG_STEPS) for number in range(capacity)]
    waiting: DrawStream | None = None
    try:
        for drawing in running:
            await drawing.until(1)
        waiting = DrawStream(session, model, "late", steps=LONG_STEPS)
        await waiting.until(1, or_waiting=True)
        async with session.delete(f"/v1/jobs/{running[0].job}") as response:
            await response.read()
        before = running[-1].step
        await waiting.until(1)
        # The newcomer's own first step is one of them.
        return running[-1].step - before - 1
    finally:
        for drawing in filter(None, [*running, waiting]):
            with contextlib.suppress(StoreError):
                await drawing.end()


def rows(results: DiffusionResults) -> list[TableRow]:
    """The table's rows with the goals. Medians over the runs."""
    figures = results.figures
    alone, loop = statistics.median(figures.alone), statistics.median(figures.loop)
    together = statistics.median(figures.together)
    stock, stock_served = statistics.median(figures.stock), statistics.median(figures.stock_served)
    return [
        TableRow(
            what=f"one picture, {STEPS} steps with guidance, seconds; beside the bare loop",
            ours=f"{alone:.2f}",
            theirs=f"{loop:.2f}",
            judged=alone / loop,
            ratio=True,
            goal=Goal("≤", 1.1),
        ),
        TableRow(
            what=f"{CLIENTS} users at once, pictures/s; beside the pipeline as it comes, one after the other",
            ours=f"{together:.2f}",
            theirs=f"{stock:.2f}",
            judged=together / stock,
            ratio=True,
            goal=Goal("≥", 1.5),
        ),
        TableRow(
            what=f"the same beside the pipeline in {results.dtype}",
            ours=f"{together:.2f}",
            theirs=f"{stock_served:.2f}",
            judged=together / stock_served,
            ratio=True,
            goal=Goal("≥", 1.0),
        ),
        TableRow(
            what="the first preview comes after step",
            ours=str(results.preview),
            judged=results.preview,
            goal=Goal("≤", 3),
        ),
        TableRow(
            what="steps until a cancelled picture's slot is at work again",
            ours=str(results.freed),
            judged=results.freed,
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
