"""Models whose replicas Ray Serve runs: two of each, killed, added and removed while they answer."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from fakes.engines.tiny_models import write_tiny_models
from fakes.model_server.client import CHAT, chat, error_of, events_of
from fakes.model_server.cluster import SLOTS, TINY_CHAT, find_processes, require_ray, running_cluster
from fakes.model_server.gateway import GIVEN_GATEWAY, PATIENCE_SECONDS, Gateway, environment, eventually
from fakes.model_server.linked_cache import SMALL_LANGUAGE_MODEL

from model_server.catalogue import load_catalogue
from model_server.files.cache import ModelCache
from model_server.workers.supervisor import engine_environment

pytestmark = pytest.mark.cluster

REPOSITORY = Path(__file__).parents[3]
SEEDS, CONVERSATIONS, ATTEMPTS = 50, 6, 10
EXPECTED = {TINY_CHAT: 2, "flock": 2 * SLOTS}
"""How many jobs the models with two replicas do at once."""
PICTURE_MODELS = ("digiface-dcgan", "emoji-faces", "emoji-diffusion")
REAL_MODELS = (SMALL_LANGUAGE_MODEL, *PICTURE_MODELS, "all-minilm-l6-v2", "classroom-moderation")
CONTRACT = [f"tests/model_server/api/test_{name}.py" for name in ("app", "openai_client", "moderations")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with a cluster, which the tests of this file share; the last one kills it."""
    require_ray()
    folder = tmp_path_factory.mktemp("cluster")
    catalogue, cache = write_tiny_models(folder, context=64)
    # The gateway would convert it as well, but has to import PyTorch for that.
    ModelCache(cache).ensure(load_catalogue(catalogue)[TINY_CHAT])
    with running_cluster(folder) as running:
        yield running


@pytest.fixture
async def http(cluster: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the cluster, once all replicas take jobs."""
    async with aiohttp.ClientSession(cluster.url) as session:
        for model, slots in EXPECTED.items():
            await eventually(lambda model=model, slots=slots: _has_capacity(session, model, slots))
        yield session


async def answer(http: aiohttp.ClientSession, body: dict[str, Any]) -> dict[str, Any]:
    async with http.post(CHAT, json=body) as response:
        assert response.status == 200, await response.text()
        return dict(await response.json())


def text_of(body: dict[str, Any]) -> str:
    return str(body["choices"][0]["message"]["content"])


async def capacity(http: aiohttp.ClientSession, model: str) -> int:
    async with http.get("/metrics") as response:
        name = f'tempera_models_capacity{{model="{model}"}} '
        lines = [line for line in (await response.text()).splitlines() if line.startswith(name)]
    return int(float(lines[0].removeprefix(name)))


async def _has_capacity(http: aiohttp.ClientSession, model: str, slots: int) -> bool:
    return await capacity(http, model) == slots


class Stream:
    """An endless answer that is being read. Its first word is the id of the process that writes it."""

    def __init__(self, http: aiohttp.ClientSession, model: str) -> None:
        self.words = 0
        self.pid = 0
        self.error = ""
        self._body = chat("pid", model=model, stream=True)
        self._task = asyncio.create_task(self._read(http))

    async def _read(self, http: aiohttp.ClientSession) -> None:
        async with http.post(CHAT, json=self._body) as response:
            async for event in events_of(response):
                if "error" in event:
                    self.error = event["error"]["code"]
                elif event != "[DONE]" and (word := event["choices"][0]["delta"].get("content")):
                    self.words += 1
                    self.pid = self.pid or int(word)

    async def close(self) -> None:
        """Break off the answer."""
        self._task.cancel()
        await asyncio.wait([self._task])


@contextlib.asynccontextmanager
async def streaming(http: aiohttp.ClientSession, model: str, count: int) -> AsyncIterator[list[Stream]]:
    """Read so many endless answers, and yield once each has begun."""
    streams = [Stream(http, model) for _ in range(count)]
    try:
        await eventually(lambda: all(stream.pid for stream in streams))
        yield streams
    finally:
        for stream in streams:
            await stream.close()


async def go_on(streams: list[Stream]) -> None:
    """Wait until each answer has three more words."""
    words = [stream.words for stream in streams]
    await eventually(lambda: all(stream.words > old + 3 for stream, old in zip(streams, words, strict=True)))
    assert not any(stream.error for stream in streams)


def find_engines(cluster: Gateway) -> list[psutil.Process]:
    """Return the processes of the two engines of the tiny model."""
    engines = [process for process in find_processes(cluster.process) if process.cmdline()[-1:] == [TINY_CHAT]]
    assert len(engines) == 2
    return engines


@pytest.mark.usefixtures("http")
async def test_an_engine_computes_with_as_many_threads_as_without_a_cluster(cluster: Gateway) -> None:
    for engine in find_engines(cluster):
        assert engine.environ().get("OMP_NUM_THREADS") == engine_environment().get("OMP_NUM_THREADS")


@pytest.mark.usefixtures("http")
async def test_an_engine_without_a_card_of_its_own_sees_none(cluster: Gateway) -> None:
    for engine in find_engines(cluster):
        assert engine.environ().get("CUDA_VISIBLE_DEVICES") == ""


async def test_a_seed_has_the_same_text_on_both_replicas(cluster: Gateway, http: aiohttp.ClientSession) -> None:
    engines = find_engines(cluster)
    before = [sum(engine.cpu_times()[:2]) for engine in engines]

    async def ask(seed: int) -> list[str]:
        # Each replica has one slot, so that two at once are answered by both.
        body = chat("a b c", model=TINY_CHAT, seed=seed, temperature=1, max_tokens=16)
        return [text_of(one) for one in await asyncio.gather(answer(http, body), answer(http, body))]

    pairs = [await ask(seed) for seed in range(SEEDS)]
    assert sum(one == other for one, other in pairs) == SEEDS
    assert len({one for one, _ in pairs}) > SEEDS / 2
    spent = [sum(engine.cpu_times()[:2]) - old for engine, old in zip(engines, before, strict=True)]
    assert min(spent) > max(spent) / 4


async def test_a_killed_replica_ends_its_own_streams_alone_and_is_replaced(http: aiohttp.ClientSession) -> None:
    async with streaming(http, "flock", 2 * SLOTS) as streams:
        victim = streams[0].pid
        hit = [stream for stream in streams if stream.pid == victim]
        others = [stream for stream in streams if stream.pid != victim]
        assert len(hit) == len(others) == SLOTS
        os.kill(psutil.Process(victim).ppid(), signal.SIGKILL)
        await eventually(lambda: all(stream.error for stream in hit))
        assert {stream.error for stream in hit} == {"worker_died"}
        await go_on(others)
        # The engine ends with its replica, and what comes next is done by a new one, since the other one is full.
        await eventually(lambda: not psutil.pid_exists(victim))
        assert text_of(await answer(http, chat("next", model="flock"))) == "next"
        await eventually(lambda: _has_capacity(http, "flock", 2 * SLOTS))
        await go_on(others)


async def test_a_cancel_frees_its_slot_within_a_step(cluster: Gateway, http: aiohttp.ClientSession) -> None:
    async def count_steps() -> int:
        """Return the steps from a cancel to the next job in its slot."""
        async with streaming(http, "flock", 2 * SLOTS) as streams:
            journal = cluster.folder / f"flock-{streams[0].pid}"
            waiting = asyncio.create_task(answer(http, chat("next one", model="flock")))
            await eventually(lambda: _is_waiting(http, "flock"))
            before = len(journal.read_text().splitlines())
            await streams[0].close()
            assert text_of(await waiting) == "next one"
            changes = [line.split()[0] for line in journal.read_text().splitlines()[before:]]
        assert [change for change in changes if change != "step"][:2] == ["remove", "add"]
        return changes[: changes.index("add")].count("step")

    # The step in which the cancel comes, and one more. A busy machine can delay a message, but not each time.
    for _ in range(ATTEMPTS):
        if (steps := await count_steps()) <= 2:
            break
    assert steps <= 2


async def _is_waiting(http: aiohttp.ClientSession, model: str) -> bool:
    async with http.get("/metrics") as response:
        return f'tempera_models_waiting{{model="{model}"}} 1.0' in await response.text()


async def test_a_conversation_stays_where_its_beginning_was_read(http: aiohttp.ClientSession) -> None:
    async def ask(conversation: int) -> int:
        turns = [("user", f"question {conversation}"), ("assistant", "yes"), ("user", f"more{conversation}")]
        messages = [{"role": role, "content": text} for role, text in turns]
        usage = (await answer(http, {"model": "flock", "messages": messages}))["usage"]
        return int(usage["prompt_tokens_details"]["cached_tokens"] > 0)

    # Sent in turn, about half of them would be read again: `make cluster` compares.
    first = [await ask(conversation) for conversation in range(CONVERSATIONS)]
    second = [await ask(conversation) for conversation in reversed(range(CONVERSATIONS))]
    assert (sum(first), sum(second)) == (0, CONVERSATIONS)


async def test_replicas_come_and_go_with_the_queue(http: aiohttp.ClientSession) -> None:
    assert await capacity(http, "grower") == SLOTS
    async with streaming(http, "grower", 3 * SLOTS) as streams:
        assert await capacity(http, "grower") == 3 * SLOTS
        replicas = {stream.pid: stream for stream in streams}
        assert len(replicas) == 3
        for stream in set(streams) - set(replicas.values()):
            await stream.close()
        # Two replicas have slots for three jobs. The third takes no more, but finishes what it does.
        await eventually(lambda: _has_capacity(http, "grower", 2 * SLOTS + 1))
        await go_on(list(replicas.values()))
        assert text_of(await answer(http, chat("one more", model="grower"))) == "one more"
    await eventually(lambda: _has_capacity(http, "grower", SLOTS))
    await eventually(lambda: sum(psutil.pid_exists(pid) for pid in replicas) == 1)
    assert text_of(await answer(http, chat("still here", model="grower"))) == "still here"


def test_the_cluster_does_what_the_single_server_does(cluster: Gateway) -> None:
    given = f"{cluster.url} {cluster.process.pid} {cluster.folder}"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *CONTRACT]
    command += ["-m", "not (weights or chaos or load or browser or processes)"]
    told = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=environment() | {GIVEN_GATEWAY: given},
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE_SECONDS,
        check=False,
    )
    assert told.returncode == 0, told.stdout[-5000:]
    assert "passed" in told.stdout


async def test_an_unknown_model_is_refused(http: aiohttp.ClientSession) -> None:
    async with http.post(CHAT, json=chat("x", model="nobody")) as response:
        assert (response.status, (await error_of(response))["code"]) == (404, "model_not_found")


@pytest.mark.quality
async def test_real_models_give_the_same_on_both_replicas(weights: Callable[[str], object], tmp_path: Path) -> None:
    for name in REAL_MODELS:
        weights(name)
    picture = {"prompt": "a red apple", "n": 1, "seed": 5, "response_format": "b64_json"}
    asked = {
        CHAT: [chat("Tell a short story.", model=REAL_MODELS[0], seed=3, temperature=1, max_tokens=40)],
        "/v1/images/generations": [picture | {"model": name} for name in PICTURE_MODELS],
        "/v1/embeddings": [{"model": REAL_MODELS[4], "input": ["a cat", "a dog"]}],
        "/v1/moderations": [{"model": REAL_MODELS[5], "input": "you are a fool"}],
    }
    with running_cluster(tmp_path, *REAL_MODELS) as running:
        async with aiohttp.ClientSession(running.url) as http:
            await eventually(lambda: all(_count_engines(running, name) == 2 for name in REAL_MODELS))
            for path, bodies in asked.items():
                for body in bodies:
                    # Two at once are done by both replicas, since the second one has fewer jobs then.
                    one, other = await asyncio.gather(_ask(http, path, body), _ask(http, path, body))
                    assert one == other, body["model"]


def _count_engines(running: Gateway, name: str) -> int:
    return sum(process.cmdline()[-1:] == [name] for process in find_processes(running.process))


async def _ask(http: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> Any:
    """Return what a model made, without what tells of the request."""
    async with http.post(path, json=body) as response:
        assert response.status == 200, await response.text()
        answered = await response.json()
    return answered.get("choices") or answered.get("data") or answered["results"]


async def test_no_model_is_left_of_a_killed_gateway(cluster: Gateway) -> None:
    # Two small processes of Ray's own only end when they have missed the others for a minute.
    lasting = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
    processes = find_processes(cluster.process)
    agents = [process for process in processes if process.cmdline()[0] in lasting]
    others = set(processes) - set(agents)
    assert len(others) > 10
    cluster.process.kill()
    try:
        await eventually(lambda: not any(map(_runs, others)))
    finally:
        for agent in filter(_runs, agents):
            agent.kill()


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
