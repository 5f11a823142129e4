"""Compares the language engine with llama.cpp: the same file, the same number of threads, the same prompts.

Both servers run all the time and get requests in turns, one at a time, because the speed of a machine varies.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from model_server.bench.machine import child_environment, describe_machine, report_stage, spec_as_json
from model_server.bench.servers import (
    CLIENTS,
    PEER,
    BenchServer,
    OtherProcesses,
    read_peer_build,
    require_peer,
    sampling_memory,
    start_llama_cpp,
    start_tempera,
)
from model_server.bench.streams import Request, StreamResult, ask, ask_together, make_prompt
from model_server.bench.table import Goal, TableRow, markdown
from model_server.catalogue import choose
from model_server.errors import OperatorError
from model_server.files.cache import ModelCache

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from model_server.bench.machine import BenchOptions
    from model_server.catalogue import CatalogueEntry

SHORT, LONG = 50, 400
"""Lengths of a prompt in tokens."""
ALONE_TOKENS, TOGETHER_TOKENS, SAME_TOKENS = 96, 64, 16
SAME_PROMPTS = 50
STAGGER_SECONDS = 0.15
MANY_REQUESTS = 50


@dataclass(slots=True)
class LanguageSpeeds:
    """The speeds of one side in each run, in tokens per second or, for waits, in seconds."""

    alone: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    wait: list[float] = field(default_factory=list)
    wait_cached: list[float] = field(default_factory=list)
    prompts: list[int] = field(default_factory=list)
    """The exact lengths of the long prompts in tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageResults:
    """All results of one comparison."""

    ours: LanguageSpeeds
    theirs: LanguageSpeeds
    memory: int
    """Peak memory of our worker in bytes; `their_memory` is that of llama.cpp."""
    their_memory: int
    others: float
    """The share of the machine's CPU time that other processes took during the comparison, from 0 to 1."""
    same: int
    waited_for: int
    quality: dict[str, Any]
    """`kl` in nats, `top1` from 0 to 1, `positions`, and `served`, the number format of the served weights."""


async def language(options: BenchOptions) -> AsyncIterator[str]:
    """Run the comparison and return the text to print, part by part. Raises OperatorError if it cannot be made here."""
    require_peer()
    model, threads = options.model, options.threads
    entry, folder, gguf = await asyncio.to_thread(find_model, options)
    yield f"{describe_machine(options, 'torch', 'transformers', PEER)} (built for {await read_peer_build()})\n"
    report_stage("quality")
    quality = await measure_quality(entry, folder, threads)
    async with contextlib.AsyncExitStack() as stack:
        ours = await stack.enter_async_context(start_tempera(options))
        theirs = await stack.enter_async_context(start_llama_cpp(gguf, threads))
        await stack.enter_async_context(sampling_memory([ours, theirs]))
        other_processes = OtherProcesses([ours, theirs])
        our_figures, their_figures = await compare(ours, theirs, model, options.runs)
        others = other_processes.cpu_share()
        report_stage("the same seed in company")
        same = await measure_sameness(ours, model)
        report_stage("fairness")
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


async def compare(
    ours: BenchServer, theirs: BenchServer, model: str, runs: int
) -> tuple[LanguageSpeeds, LanguageSpeeds]:
    """Measure the speeds of both sides, which take turns and alternate in going first."""
    figures = {ours.name: LanguageSpeeds(), theirs.name: LanguageSpeeds()}
    for side in (ours, theirs):
        await ask(side.session, model, make_prompt(SHORT, "warm"), 8)
    measures: list[Callable[[BenchServer, str, str, LanguageSpeeds], Awaitable[None]]] = [_alone, _together, _waits]
    for run in range(runs):
        report_stage(f"speed, run {run + 1} of {runs}")
        for measure in measures:
            for side in (ours, theirs) if run % 2 == 0 else (theirs, ours):
                await measure(side, model, f"run {run}", figures[side.name])
    return figures[ours.name], figures[theirs.name]


async def _alone(side: BenchServer, model: str, seed: str, figures: LanguageSpeeds) -> None:
    answer = await ask(side.session, model, make_prompt(SHORT, f"alone {seed}"), ALONE_TOKENS)
    figures.alone.append(answer.rate)


async def _together(side: BenchServer, model: str, seed: str, figures: LanguageSpeeds) -> None:
    requests: list[Request] = [(make_prompt(SHORT, f"together {seed} {number}"), {}) for number in range(CLIENTS)]
    answers = await ask_together(side.session, model, requests, TOGETHER_TOKENS)
    figures.together.append(_total_rate(answers))


async def _waits(side: BenchServer, model: str, seed: str, figures: LanguageSpeeds) -> None:
    requests: list[Request] = [(make_prompt(LONG, f"wait {seed} {number}"), {}) for number in range(CLIENTS)]
    for waits in (figures.wait, figures.wait_cached):
        answers = await ask_together(side.session, model, requests, 2)
        waits.append(statistics.median(answer.wait for answer in answers))
        figures.prompts += [answer.read for answer in answers]


def _total_rate(answers: list[StreamResult]) -> float:
    started, ended = min(answer.asked for answer in answers), max(answer.last for answer in answers)
    return sum(answer.written for answer in answers) / (ended - started)


async def measure_sameness(side: BenchServer, model: str, delay: float = STAGGER_SECONDS) -> int:
    """Count the prompts, of SAME_PROMPTS, with the same tokens alone, from the cache, in a batch and staggered.

    `delay` is the time between staggered requests, in seconds.
    """
    shared = {"temperature": 0.8, "logprobs": True}
    requests = [(make_prompt(SHORT, f"same {number}"), shared | {"seed": number}) for number in range(SAME_PROMPTS)]
    alone, again = [], []
    for text, fields in requests:
        alone.append(await ask(side.session, model, text, SAME_TOKENS, **fields))
        again.append(await ask(side.session, model, text, SAME_TOKENS, **fields))
    batched, staggered = [], []
    for begin in range(0, SAME_PROMPTS, CLIENTS):
        group = requests[begin : begin + CLIENTS]
        batched += await ask_together(side.session, model, group, SAME_TOKENS)
        staggered += await ask_together(side.session, model, group, SAME_TOKENS, delay=delay)
    return sum(
        first.cached < cached.cached
        and bool(first.tokens)
        and first.tokens == cached.tokens == other.tokens == late.tokens
        for first, cached, other, late in zip(alone, again, batched, staggered, strict=True)
    )


async def measure_fairness(side: BenchServer, model: str) -> int:
    """Return the worst place in the queue of a single request while another user has MANY_REQUESTS."""

    async def one_of_many(number: int) -> StreamResult:
        # Different lengths keep the slots from becoming free all at once.
        tokens = 8 + 5 * (number % CLIENTS)
        return await ask(side.session, model, make_prompt(SHORT, f"many {number}"), tokens, user="many")

    many = [asyncio.create_task(one_of_many(number)) for number in range(MANY_REQUESTS)]
    try:
        await _wait_for_requests(side, many)
        other = await ask(side.session, model, make_prompt(SHORT, "one"), 8, user="one")
        await asyncio.gather(*many)
    finally:
        for task in many:
            task.cancel()
    return max(other.places, default=0)


async def _wait_for_requests(side: BenchServer, requests: Sequence[asyncio.Task[StreamResult]]) -> None:
    """Wait until the server has received all requests, or has answered one already."""
    seen: set[str] = set()
    while len(seen) < len(requests) and not any(request.done() for request in requests):
        async with side.session.get("/v1/queue") as response:
            seen |= {job["id"] for queue in (await response.json())["data"] for job in queue["jobs"]}
        await asyncio.sleep(0.02)


async def measure_quality(entry: CatalogueEntry, folder: Path, threads: int) -> dict[str, Any]:
    """Return the report of model_server/engines/language/quality.py, run in a process of its own."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "model_server.engines.language.quality", spec_as_json(entry, folder)),
        stdout=asyncio.subprocess.PIPE,
        env=child_environment(threads),
    )
    out, _ = await child.communicate()
    if child.returncode:
        raise OperatorError("The quality of the served weights could not be measured; the reason is above.")
    report: dict[str, Any] = json.loads(out.splitlines()[-1])
    return report


def rows(results: LanguageResults) -> list[TableRow]:
    """Return the rows of the table with their goals. Figures are medians over the runs."""
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
            figure=statistics.median(ours.wait_cached) / statistics.median(ours.wait),
            ratio=True,
            goal=Goal("≤", 0.3),
        ),
        TableRow(
            what="KL divergence from fp32, nats",
            ours=f"{quality['kl']:.4f}",
            figure=quality["kl"],
            goal=Goal("≤", 0.02),
        ),
        TableRow(
            what="most probable token as in fp32, %",
            ours=f"{100 * quality['top1']:.1f}",
            figure=100 * quality["top1"],
            goal=Goal("≥", 97),
        ),
        TableRow(
            what="same seed alone, from the cache, in a batch, staggered: same tokens",
            ours=f"{results.same} of {SAME_PROMPTS}",
            figure=results.same,
            goal=Goal("≥", SAME_PROMPTS),
        ),
        TableRow(
            what="memory of the worker at most, GB",
            ours=f"{results.memory / 1e9:.2f}",
            theirs=f"{results.their_memory / 1e9:.2f}",
            figure=results.memory / 1e9,
            goal=Goal("≤", 1.6),
        ),
        TableRow(
            what=f"answers of a user with {MANY_REQUESTS} that another with one waits for",
            ours=str(results.waited_for),
            figure=results.waited_for,
            goal=Goal("≤", 1),
        ),
    ]


def _ratio(what: str, ours: list[float], theirs: list[float], goal: Goal, digits: int = 1) -> TableRow:
    own, other = statistics.median(ours), statistics.median(theirs)
    return TableRow(
        what=what, ours=f"{own:.{digits}f}", theirs=f"{other:.{digits}f}", figure=own / other, ratio=True, goal=goal
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
