"""The language engine beside llama.cpp: the same file, the same threads, the same questions, one after the other.

Both servers are up all the time and only one of them is asked at any time, in turns, because machines have moods.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from model_server.bench.machine import machine, say
from model_server.bench.sides import (
    CLIENTS,
    PEER,
    BenchServer,
    Neighbours,
    llama_cpp,
    need_peer,
    peer_build,
    tempera,
    watched,
)
from model_server.bench.streams import StreamResult, ask, prompt, together
from model_server.bench.table import Goal, TableRow, markdown
from model_server.catalogue import StoreError, choose
from model_server.files.cache import ModelCache

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from model_server.bench.machine import BenchOptions
    from model_server.catalogue import CatalogueEntry

SHORT, LONG = 50, 400
"""Tokens of a prompt."""
ALONE_TOKENS, TOGETHER_TOKENS, SAME_TOKENS = 96, 64, 16
SAME_PROMPTS = 50
STAGGER_SECONDS = 0.15
MANY_REQUESTS = 50


@dataclass(slots=True)
class LanguageSpeeds:
    """What was measured of one side, run by run. Seconds, and tokens per second."""

    alone: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    wait: list[float] = field(default_factory=list)
    wait_cached: list[float] = field(default_factory=list)
    prompts: list[int] = field(default_factory=list)
    """Tokens that the long prompts really had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageResults:
    """All of one comparison."""

    ours: LanguageSpeeds
    theirs: LanguageSpeeds
    memory: int
    """Bytes that our worker had at most; `their_memory` for the whole of llama.cpp."""
    their_memory: int
    others: float
    """The part of the machine that other processes took while the two were compared, from 0 to 1."""
    same: int
    waited_for: int
    quality: dict[str, Any]
    """`kl` in nats, `top1` from 0 to 1, `positions`, and `served`, which says with what numbers."""


async def language(wanted: BenchOptions) -> AsyncIterator[str]:
    """What to print, part by part. Raises StoreError when the comparison cannot be made here."""
    need_peer()
    model, threads = wanted.model, wanted.threads
    [entry] = choose(wanted.catalogue(), [model])
    if entry.engine != "language" or entry.gguf is None:
        raise StoreError(f"{model} is no language model that comes as a GGUF, which llama.cpp could read too.")
    store = ModelCache()
    folder = await asyncio.to_thread(store.ensure, entry)
    gguf = store.cache / "models" / entry.name / entry.gguf.name
    if not gguf.is_file():
        raise StoreError(f"llama.cpp needs {gguf.name} itself, which is no longer there; please put it back.")
    yield f"{machine(wanted, 'torch', 'transformers', PEER)} (built for {await peer_build()})\n"
    say("quality")
    quality = await measure_quality(entry, folder, threads)
    async with contextlib.AsyncExitStack() as stack:
        ours = await stack.enter_async_context(tempera(wanted))
        theirs = await stack.enter_async_context(llama_cpp(gguf, threads))
        await stack.enter_async_context(watched([ours, theirs]))
        neighbours = Neighbours([ours, theirs])
        our_figures, their_figures = await compare(ours, theirs, model, wanted.runs)
        others = neighbours.share()
        say("the same seed in company")
        same = await measure_sameness(ours, model)
        say("fairness")
        waited_for = await measure_fairness(ours, model)
    results = LanguageResults(
        ours=our_figures,
        theirs=their_figures,
        memory=ours.peak,
        their_memory=theirs.peak,
        same=same,
        waited_for=waited_for,
        quality=quality,
        others=others,
    )
    yield markdown(rows(results), "llama.cpp")
    yield _notes(results)


async def compare(
    ours: BenchServer, theirs: BenchServer, model: str, runs: int
) -> tuple[LanguageSpeeds, LanguageSpeeds]:
    """The figures of both sides; they take turns, and in who begins."""
    figures = {ours.name: LanguageSpeeds(), theirs.name: LanguageSpeeds()}
    for side in (ours, theirs):
        await ask(side.session, model, prompt(SHORT, "warm"), 8)
    measures: list[Callable[[BenchServer, str, str, LanguageSpeeds], Awaitable[None]]] = [_alone, _together, _waits]
    for run in range(runs):
        say(f"speed, run {run + 1} of {runs}")
        for measure in measures:
            for side in (ours, theirs) if run % 2 == 0 else (theirs, ours):
                await measure(side, model, f"run {run}", figures[side.name])
    return figures[ours.name], figures[theirs.name]


async def _alone(side: BenchServer, model: str, seed: str, figures: LanguageSpeeds) -> None:
    answer = await ask(side.session, model, prompt(SHORT, f"alone {seed}"), ALONE_TOKENS)
    figures.alone.append(answer.rate)


async def _together(side: BenchServer, model: str, seed: str, figures: LanguageSpeeds) -> None:
    texts = [prompt(SHORT, f"together {seed} {number}") for number in range(CLIENTS)]
    answers = await together(side.session, model, texts, TOGETHER_TOKENS)
    figures.together.append(_total_rate(answers))


async def _waits(side: BenchServer, model: str, seed: str, figures: LanguageSpeeds) -> None:
    texts = [prompt(LONG, f"wait {seed} {number}") for number in range(CLIENTS)]
    for waits in (figures.wait, figures.wait_cached):
        answers = await together(side.session, model, texts, 2)
        waits.append(statistics.median(answer.wait for answer in answers))
        figures.prompts += [answer.read for answer in answers]


def _total_rate(answers: list[StreamResult]) -> float:
    began, ended = min(answer.asked for answer in answers), max(answer.last for answer in answers)
    return sum(answer.written for answer in answers) / (ended - began)


async def measure_sameness(side: BenchServer, model: str, apart: float = STAGGER_SECONDS) -> int:
    """How many of SAME_PROMPTS prompts get the same tokens alone, from the cache, in a batch and staggered.

    `apart` is in seconds, between the requests that are staggered.
    """
    wanted = {"temperature": 0.8, "logprobs": True}
    asked = [(prompt(SHORT, f"same {number}"), wanted | {"seed": number}) for number in range(SAME_PROMPTS)]
    alone, again = [], []
    for text, fields in asked:
        alone.append(await ask(side.session, model, text, SAME_TOKENS, **fields))
        again.append(await ask(side.session, model, text, SAME_TOKENS, **fields))
    batched, staggered = [], []
    for begin in range(0, SAME_PROMPTS, CLIENTS):
        group = asked[begin : begin + CLIENTS]
        batched += await _group(side, model, group, 0.0)
        staggered += await _group(side, model, group, apart)
    return sum(
        first.cached < cached.cached
        and bool(first.tokens)
        and first.tokens == cached.tokens == other.tokens == late.tokens
        for first, cached, other, late in zip(alone, again, batched, staggered, strict=True)
    )


async def _group(
    side: BenchServer, model: str, group: list[tuple[str, dict[str, Any]]], apart: float
) -> list[StreamResult]:
    async def later(place: int, text: str, fields: dict[str, Any]) -> StreamResult:
        await asyncio.sleep(place * apart)
        return await ask(side.session, model, text, SAME_TOKENS, **fields)

    return await asyncio.gather(*(later(place, text, fields) for place, (text, fields) in enumerate(group)))


async def measure_fairness(side: BenchServer, model: str) -> int:
    """For how many answers of a user with MANY_REQUESTS somebody with one has to wait: the furthest place told."""

    async def one_of_many(number: int) -> StreamResult:
        # Lengths that differ keep the slots from getting free all at once.
        tokens = 8 + 5 * (number % CLIENTS)
        return await ask(side.session, model, prompt(SHORT, f"many {number}"), tokens, user="many")

    many = [asyncio.create_task(one_of_many(number)) for number in range(MANY_REQUESTS)]
    try:
        await _until_all_came(side, many)
        other = await ask(side.session, model, prompt(SHORT, "one"), 8, user="one")
        await asyncio.gather(*many)
    finally:
        for task in many:
            task.cancel()
    return max(other.places, default=0)


async def _until_all_came(side: BenchServer, requests: Sequence[asyncio.Task[StreamResult]]) -> None:
    """Wait until the server knows of all requests, of which the first may be answered already."""
    seen: set[str] = set()
    while len(seen) < len(requests) and not any(request.done() for request in requests):
        async with side.session.get("/v1/queue") as response:
            seen |= {job["id"] for queue in (await response.json())["data"] for job in queue["jobs"]}
        await asyncio.sleep(0.02)


async def measure_quality(entry: CatalogueEntry, folder: Path, threads: int) -> dict[str, Any]:
    """Return the report of model_server/engines/language/quality.py, run in a process of its own."""
    spec = {
        "name": entry.name,
        "engine": entry.engine,
        "folder": str(folder),
        "device": entry.device,
        "dtype": entry.dtype,
        "options": entry.options,
    }
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "model_server.engines.language.quality", json.dumps(spec)),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"},
    )
    out, _ = await child.communicate()
    if child.returncode:
        raise StoreError("The quality of the served weights could not be measured; the reason is above.")
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def rows(results: LanguageResults) -> list[TableRow]:
    """The table's rows with the goals. Medians over the runs."""
    ours, theirs, quality = results.ours, results.theirs, results.quality
    return [
        _ratio("one stream, tokens/s", ours.alone, theirs.alone, Goal("≥", 1.0)),
        _ratio(
            f"{CLIENTS} streams, tokens/s in total, prefill of {SHORT}-token prompts included",
            ours.together,
            theirs.together,
            Goal("≥", 2.0),
        ),
        _ratio(
            f"seconds to the first token, {LONG}-token prompts, {CLIENTS} at once, median",
            ours.wait,
            theirs.wait,
            Goal("≤", 1.0),
            digits=2,
        ),
        TableRow(
            what="the same with the prompts cached, compared with not cached",
            ours=f"{statistics.median(ours.wait_cached):.2f}",
            theirs=f"{statistics.median(theirs.wait_cached):.2f}",
            judged=statistics.median(ours.wait_cached) / statistics.median(ours.wait),
            ratio=True,
            goal=Goal("≤", 0.3),
        ),
        TableRow(
            what="KL divergence from fp32, nats",
            ours=f"{quality['kl']:.4f}",
            judged=quality["kl"],
            goal=Goal("≤", 0.02),
        ),
        TableRow(
            what="most probable token as in fp32, %",
            ours=f"{100 * quality['top1']:.1f}",
            judged=100 * quality["top1"],
            goal=Goal("≥", 97),
        ),
        TableRow(
            what="same seed alone, from the cache, in a batch, staggered: same tokens",
            ours=f"{results.same} of {SAME_PROMPTS}",
            judged=results.same,
            goal=Goal("≥", SAME_PROMPTS),
        ),
        TableRow(
            what="memory of the worker at most, GB",
            ours=f"{results.memory / 1e9:.2f}",
            theirs=f"{results.their_memory / 1e9:.2f}",
            judged=results.memory / 1e9,
            goal=Goal("≤", 1.6),
        ),
        TableRow(
            what=f"answers of a user with {MANY_REQUESTS} that another with one waits for",
            ours=str(results.waited_for),
            judged=results.waited_for,
            goal=Goal("≤", 1),
        ),
    ]


def _ratio(what: str, ours: list[float], theirs: list[float], goal: Goal, digits: int = 1) -> TableRow:
    own, other = statistics.median(ours), statistics.median(theirs)
    return TableRow(
        what=what, ours=f"{own:.{digits}f}", theirs=f"{other:.{digits}f}", judged=own / other, ratio=True, goal=goal
    )


def _notes(results: LanguageResults) -> str:
    figures = (
        ("one stream, tokens/s", "alone"),
        (f"{CLIENTS} streams, tokens/s", "together"),
        ("first token, s", "wait"),
        ("first token with a cached prompt, s", "wait_cached"),
    )
    lines = [
        f"- {what}, run by run: {_listed(getattr(results.ours, name))}; "
        f"llama.cpp: {_listed(getattr(results.theirs, name))}"
        for what, name in figures
    ]
    served, positions = results.quality["served"], results.quality["positions"]
    return "\n".join(
        [
            "",
            *lines,
            f"- the long prompts had {min(results.ours.prompts)} to {max(results.ours.prompts)} tokens",
            f"- other processes took {results.others:.0%} of the machine while the two were compared",
            f"- quality over {positions} tokens of fixed text; served: {served}",
        ]
    )


def _listed(figures: list[float]) -> str:
    return ", ".join(f"{figure:.2f}" for figure in figures)
