"""What it costs to run replicas under Ray Serve, and what they bring: `python -m quality.cluster`.

The same gateway is asked with a worker process, as `tempera-models serve` runs it, and with `--cluster`. The engines
are fakes that sleep, so that they take nothing of the cores. With a real model, which uses all cores, the tokens per
second are compared, and the processors' time, which other programs change only a little.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import statistics
import tempfile
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import aiohttp
import psutil
from fakes.model_server.client import CHAT, events_of
from fakes.model_server.cluster import text_model
from fakes.model_server.gateway import FACTORY, eventually, is_ready, listening
from fakes.model_server.linked_cache import CATALOGUE, SMALL_LANGUAGE_MODEL

from model_server.catalogue import CatalogueEntry, load_catalogue
from model_server.files.cache import ModelCache
from model_server.workers import cluster
from model_server.workers.supervisor import FACTORY as REAL_FACTORY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


ROUNDS = 6
"""How often each is measured, after once that does not count."""
ANSWERS = 20
STREAMS, TOKENS = 8, 96
CONVERSATIONS, TURNS = 40, 3


@contextlib.asynccontextmanager
async def serving(
    model: CatalogueEntry, model_cache: ModelCache, *, in_cluster: bool, factory: str = FACTORY
) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve one model, and yield a client once all replicas take jobs."""
    settings: dict[str, Any] = {"entries": [model], "model_cache": model_cache, "factory": factory}
    async with listening(**settings, cluster=in_cluster) as url, aiohttp.ClientSession(url) as http:
        await eventually(lambda: is_ready(url))
        if in_cluster:
            await eventually(lambda: _has_replicas(model))
        yield http


def _has_replicas(model: CatalogueEntry) -> bool:
    pool = cluster.POOLS[model.name]
    return isinstance(pool, cluster.ClusterWorker) and len(pool.replicas) == model.replicas[0]


async def measure_first_word(http: aiohttp.ClientSession, model: str) -> float:
    """Return the median of the milliseconds until the first word of some answers, asked one after the other."""
    taken = []
    for number in range(ANSWERS):
        started = time.perf_counter()
        async with aclosing(_words(http, model, f"one two {number}")) as words:
            async for _ in words:
                taken.append(1000 * (time.perf_counter() - started))
                break
    return statistics.median(taken)


async def count_tokens(http: aiohttp.ClientSession, model: str, streams: int, tokens: int) -> int:
    """Ask for several answers at once; return the tokens of all."""

    async def ask(number: int) -> int:
        body = _body(model, f"Tell a long story with the number {number}.") | {"max_tokens": tokens}
        async with http.post(CHAT, json=body | {"seed": number, "stream_options": {"include_usage": True}}) as response:
            events = [event async for event in events_of(response)]
        return int(events[-2]["usage"]["completion_tokens"])

    return sum(await asyncio.gather(*map(ask, range(streams))))


async def measure_rate(http: aiohttp.ClientSession, model: str, streams: int, tokens: int) -> float:
    """Return the tokens per second of several answers at once."""
    started = time.perf_counter()
    return await count_tokens(http, model, streams, tokens) / (time.perf_counter() - started)


async def count_prefix_hits(http: aiohttp.ClientSession, model: str) -> float:
    """Return the share of later turns whose conversation was known where it was answered."""
    hits, order = 0, random.Random(7)
    for turn in range(TURNS):
        for number in order.sample(range(CONVERSATIONS), CONVERSATIONS):
            first = {"role": "user", "content": f"question {number}"}
            # The fake engine knows prompts that it has read, whole.
            last = [{"role": "assistant", "content": "yes"}, {"role": "user", "content": f"more about {number}"}]
            async with http.post(CHAT, json={"model": model, "messages": [first, *last]}) as response:
                usage = (await response.json())["usage"]
            hits += bool(turn and usage["prompt_tokens_details"]["cached_tokens"])
    return hits / (CONVERSATIONS * (TURNS - 1))


def _body(model: str, prompt: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": True}


async def _words(http: aiohttp.ClientSession, model: str, prompt: str) -> AsyncIterator[str]:
    async with http.post(CHAT, json=_body(model, prompt)) as response:
        async for event in events_of(response):
            if event != "[DONE]" and (word := event["choices"][0]["delta"].get("content")):
                yield word


@dataclass
class Spent:
    """What one server did: its tokens, those per second in each round, and the processors' seconds that it took.

    They are those of its engine and of everything else.
    """

    tokens: int = 0
    rates: list[float] = field(default_factory=list)
    engine: float = 0.0
    others: float = 0.0


@contextlib.asynccontextmanager
async def both(
    model: CatalogueEntry, model_cache: ModelCache, factory: str = FACTORY
) -> AsyncIterator[tuple[aiohttp.ClientSession, aiohttp.ClientSession, list[psutil.Process]]]:
    """Serve a model by a worker process and in a cluster; yield a client of each, and the cluster's processes."""
    async with serving(model, model_cache, in_cluster=True, factory=factory) as replica:
        processes = psutil.Process().children(recursive=True)
        async with serving(model, model_cache, in_cluster=False, factory=factory) as worker:
            yield worker, replica, processes


async def compare_first_words(model: CatalogueEntry, model_cache: ModelCache) -> tuple[float, float]:
    """Return the median milliseconds with a worker process and in the cluster, which are asked in turn."""
    single, clustered = [], []
    async with both(model, model_cache) as (worker, replica, _):
        for _ in range(1 + ROUNDS):
            single.append(await measure_first_word(worker, model.name))
            clustered.append(await measure_first_word(replica, model.name))
    return statistics.median(single[1:]), statistics.median(clustered[1:])


async def compare_rates(model: CatalogueEntry, model_cache: ModelCache) -> tuple[Spent, Spent]:
    """Return what a worker process and the cluster spent on the same answers, which they are asked for in turn."""
    single, clustered = Spent(), Spent()
    async with both(model, model_cache, REAL_FACTORY) as (worker, replica, ray):
        here = psutil.Process()
        alone = [here, *(process for process in here.children(recursive=True) if process not in ray)]
        for is_counted in [False, *[True] * ROUNDS]:
            for spent, http, processes in ((single, worker, alone), (clustered, replica, [here, *ray])):
                before, started = processor_seconds(processes), time.perf_counter()
                tokens = await count_tokens(http, model.name, STREAMS, TOKENS)
                if is_counted:
                    spent.rates.append(tokens / (time.perf_counter() - started))
                    engine, others = (now - old for now, old in zip(processor_seconds(processes), before, strict=True))
                    spent.tokens += tokens
                    spent.engine += engine
                    spent.others += others
    return single, clustered


def processor_seconds(processes: Sequence[psutil.Process]) -> tuple[float, float]:
    """Return the seconds that engines, and that all others of these processes have used."""
    engines = others = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            seconds = sum(process.cpu_times()[:2])
            if "model_server.workers.worker" in process.cmdline():
                engines += seconds
            else:
                others += seconds
    return engines, others


async def measure_scaling(replicas: int) -> float:
    """Return the tokens per second of an engine that only sleeps, with one slot in each of its replicas."""
    with tempfile.TemporaryDirectory() as folder:
        model = text_model(f"sleeper-{replicas}", _weights(folder), (replicas, replicas), pause=0.05)
        async with serving(model, ModelCache(Path(folder) / "cache"), in_cluster=True) as http:
            rates = [await measure_rate(http, model.name, 8 * replicas, 8) for _ in range(1 + ROUNDS)]
    return statistics.median(rates[1:])


async def measure_hits(*, in_turn: bool) -> float:
    """Return the share of hits with two replicas, which get the jobs in turn or as usual."""
    # Not before the cluster is joined, since Ray reads its settings when it is imported.
    from fakes.model_server.round_robin import RoundRobin

    from model_server.workers import routing

    router = RoundRobin if in_turn else routing.ConversationRouter
    with tempfile.TemporaryDirectory() as folder, patch.object(routing, "ConversationRouter", router):
        model = text_model(f"hits-{in_turn}", _weights(folder), (2, 2), capacity=4)
        async with serving(model, ModelCache(Path(folder) / "cache"), in_cluster=True) as http:
            return await count_prefix_hits(http, model.name)


async def measure_all() -> None:
    """Measure and print everything."""
    with tempfile.TemporaryDirectory() as folder:
        fake = text_model("first-word", _weights(folder), (1, 1), pause=0.001)
        one, other = await compare_first_words(fake, ModelCache(Path(folder) / "cache"))
    print(f"To the first word: {one:.1f} ms, {other:.1f} ms in the cluster, {other - one:+.1f} ms", flush=True)
    one, other = [await measure_scaling(replicas) for replicas in (1, 4)]
    print(f"An engine that sleeps: {one:.1f} tokens/s, {other:.1f} with 4 replicas, {other / one:.2f} ×", flush=True)
    one, other = [await measure_hits(in_turn=in_turn) for in_turn in (True, False)]
    print(f"Known beginnings of conversations: {one:.0%} in turn, {other:.0%} by conversation", flush=True)
    small = load_catalogue(CATALOGUE)[SMALL_LANGUAGE_MODEL]
    if ModelCache().find_ready_folder(small):
        small = small.model_copy(update={"options": {"slots": STREAMS, "context": 512}})
        _print_rates(*await compare_rates(small, ModelCache()))


def _print_rates(single: Spent, clustered: Spent) -> None:
    pairs = zip(single.rates, clustered.rates, strict=True)
    one, other = statistics.median(single.rates), statistics.median(clustered.rates)
    ratio = statistics.median(there / here for here, there in pairs)
    print(
        f"{SMALL_LANGUAGE_MODEL}, tokens/s of {STREAMS} answers: {one:.0f}, {other:.0f} in the cluster, {ratio:.2f} ×"
    )
    parts = [1000 * part / spent.tokens for spent in (single, clustered) for part in (spent.engine, spent.others)]
    print("ms of a core for a token: {:.1f} of the engine + {:.2f}, in the cluster {:.1f} + {:.2f}".format(*parts))
    print(single, clustered, flush=True)


def _weights(folder: str) -> Path:
    for name in ("config.json", "model.safetensors"):
        (Path(folder) / name).touch()
    return Path(folder)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    with cluster.joined_cluster():
        asyncio.run(measure_all())
