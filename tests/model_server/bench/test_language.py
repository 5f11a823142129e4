"""The language benchmark with fake servers, some of which are wrong."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from fakes.model_server.gateway import eventually, is_ready, serving

from model_server import bench
from model_server.bench.language import (
    LanguageResults,
    LanguageSpeeds,
    compare,
    measure_fairness,
    measure_sameness,
    rows,
)
from model_server.bench.servers import BenchServer, OtherProcesses, require_peer
from model_server.bench.streams import ask, ask_together, make_prompt
from model_server.bench.table import Goal, TableRow, markdown
from model_server.errors import OperatorError


class Scribe:
    """A server whose tokens depend on the text and seed, and, if `fickle`, on whether other requests run."""

    def __init__(self, *, fickle: bool = False) -> None:
        self.asked: list[dict[str, Any]] = []
        self._fickle = fickle
        self._known: set[str] = set()
        self._running = 0

    async def chat(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        self.asked.append(asked)
        text = asked["messages"][0]["content"]
        cached = 40 if text in self._known else 0
        self._known.add(text)
        self._running += 1
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await asyncio.sleep(0.001)
        words = [f"{text[:9]} {asked.get('seed')} {number}" for number in range(asked["max_tokens"])]
        if self._fickle and self._running > 1:
            words[-1] = "something else"
        await send(response, {"choices": [{"delta": {"role": "assistant", "content": None}}]})
        for word in words:
            logprobs = {"content": [{"token": word}]} if asked.get("logprobs") else None
            await send(response, {"choices": [{"delta": {"content": word}, "logprobs": logprobs}]})
            await asyncio.sleep(0.001)
        usage = {
            "prompt_tokens": 50,
            "completion_tokens": len(words),
            "prompt_tokens_details": {"cached_tokens": cached},
        }
        await send(response, {"choices": [], "usage": usage})
        await response.write(b"data: [DONE]\n\n")
        self._running -= 1
        return response


async def send(response: web.StreamResponse, chunk: object) -> None:
    await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")


async def refuse(_: web.Request) -> web.Response:
    return web.json_response({"error": {"message": "There is no such model."}}, status=404)


async def fail(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await send(response, {"error": {"message": "It broke."}})
    return response


@contextlib.asynccontextmanager
async def side_of(handler: Any, name: str = "Tempera") -> AsyncIterator[BenchServer]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    connector = aiohttp.TCPConnector(limit=0)
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/"), connector=connector) as session:
        yield BenchServer(name, session, psutil.Process(os.getpid()))


# Streams


async def test_an_answer_is_timed_and_counted() -> None:
    async with side_of(Scribe().chat) as side:
        answer = await ask(side.session, "m", "text", 5, logprobs=True)
    assert answer.asked < answer.first < answer.last
    assert (answer.read, answer.cached, answer.written, len(answer.tokens)) == (50, 0, 5, 5)
    assert answer.rate == pytest.approx(4 / (answer.last - answer.first))
    assert answer.wait == answer.first - answer.asked


async def test_requests_together_run_at_the_same_time() -> None:
    async with side_of(Scribe().chat) as side:
        answers = await ask_together(side.session, "m", [(text, {}) for text in "abc"], 50)
    assert max(answer.asked for answer in answers) < min(answer.last for answer in answers)


@pytest.mark.parametrize(
    ("handler", "sentence"),
    [
        (refuse, "The model server refused: There is no such model."),
        (fail, "The model server failed: It broke."),
    ],
)
async def test_errors_of_the_server_are_raised_with_their_sentence(handler: Any, sentence: str) -> None:
    async with side_of(handler) as side:
        with pytest.raises(OperatorError) as error:
            await ask(side.session, "m", "text", 5)
    assert str(error.value) == sentence


def test_prompts_of_different_seeds_differ_from_the_start() -> None:
    assert make_prompt(400, "a") == make_prompt(400, "a")
    assert len({make_prompt(400, seed).split()[0] for seed in "abcdefgh"}) > 1
    assert len(make_prompt(400, "a").split()) > len(make_prompt(50, "a").split())


# Measures


async def test_both_sides_get_the_same_requests_and_take_turns() -> None:
    ours, theirs = Scribe(), Scribe()
    async with side_of(ours.chat) as our_side, side_of(theirs.chat, "llama.cpp") as their_side:
        figures = await compare(our_side, their_side, "m", runs=2)
    assert sorted(map(str, ours.asked)) == sorted(map(str, theirs.asked))
    for measured in figures:
        assert len(measured.alone) == len(measured.together) == len(measured.wait) == len(measured.wait_cached) == 2
        assert min(measured.alone + measured.together + measured.wait + measured.wait_cached) > 0


@pytest.mark.parametrize("fickle", [False, True])
async def test_tokens_that_depend_on_other_requests_are_detected(fickle: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # The package has a function of the module's name, so the module cannot be imported by name.
    monkeypatch.setitem(measure_sameness.__globals__, "SAME_PROMPTS", 16)
    async with side_of(Scribe(fickle=fickle).chat) as side:
        same = await measure_sameness(side, "m", delay=0.01)
    # On a busy machine a few requests run alone although they were sent together.
    assert (same == 16) if not fickle else (same < 8)


@pytest.mark.load
async def test_fairness_is_measured_on_a_real_queue(tmp_path: Path) -> None:
    async with serving(tmp_path, models=["flock"], trusted_key="trusted") as url:
        await eventually(lambda: is_ready(url))
        headers, connector = {"Authorization": "Bearer trusted"}, aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(url, headers=headers, connector=connector) as session:
            waited_for = await measure_fairness(BenchServer("Tempera", session, psutil.Process()), "flock")
        async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as session:
            stranger = await measure_fairness(BenchServer("Tempera", session, psutil.Process()), "flock")
    assert waited_for <= 1
    assert stranger > 1


def test_memory_is_that_of_the_process_that_holds_the_model() -> None:
    side = BenchServer("Tempera", None, psutil.Process())  # type: ignore[arg-type]
    side.sample_memory()
    assert side.peak > 1_000_000
    other = BenchServer("Tempera", None, psutil.Process(), worker="no such worker")  # type: ignore[arg-type]
    other.sample_memory()
    assert other.peak == 0


def test_the_cpu_time_of_the_servers_does_not_count_as_that_of_other_processes() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        child = psutil.Process(busy.pid)
        stranger, known = OtherProcesses([]), OtherProcesses([BenchServer("busy", None, child)])  # type: ignore[arg-type]
        while child.cpu_times().user < 0.5:
            time.sleep(0.01)
        shares = stranger.cpu_share(), known.cpu_share()
        busy.kill()
    assert shares[0] > shares[1] >= 0


# The table


def results(**changes: Any) -> LanguageResults:
    ours = LanguageSpeeds(alone=[50, 60, 40], together=[150], wait=[2.0], wait_cached=[0.5], prompts=[400])
    theirs = LanguageSpeeds(alone=[50], together=[75], wait=[4.0], wait_cached=[1.0], prompts=[400])
    quality = {"kl": 0.0125, "top1": 0.971, "positions": 800, "served": "int8"}
    met = {
        "ours": ours,
        "theirs": theirs,
        "memory": 1_500_000_000,
        "their_memory": 600_000_000,
        "same": 50,
        "waited_for": 1,
        "others": 0.1,
        "quality": quality,
    }
    return LanguageResults(**met | changes)


def test_every_goal_can_be_met() -> None:
    assert all(row.goal.is_met_by(row.figure) for row in rows(results()))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"same": 49}, "49 of 50 |  |  | ≥ 50 | no, by 2%"),
        ({"memory": 2_000_000_000}, "| 2.00 | 0.60 |  | ≤ 1.6 | no, by 25%"),
        ({"waited_for": 9}, "| 9 |  |  | ≤ 1 | no, by 800%"),
        (
            {"quality": {"kl": 0.03, "top1": 0.9, "positions": 1, "served": "int4"}},
            "| 0.0300 |  |  | ≤ 0.02 | no, by 50%",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_missed_goal_is_printed_as_missed(changes: dict[str, Any], said: str) -> None:
    assert said in markdown(rows(results(**changes)), "llama.cpp")


def test_a_ratio_is_judged_by_medians() -> None:
    first = markdown(rows(results()), "llama.cpp").splitlines()[2]
    assert first == "| one stream, tokens/s | 50.0 | 50.0 | 1.00 × | ≥ 1 × | yes |"
    slow = TableRow(what="x", ours="", figure=0.4, ratio=True, goal=Goal("≥", 1.0))
    assert slow.cells()[-3:] == ("0.40 ×", "≥ 1 ×", "no, by 60%")


# The command


def test_the_benchmarks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main([]) == 0
    assert "beside llama.cpp" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["--runs", "0"], ["--threads", "0"]])
def test_options_below_one_are_refused(wrong: list[str]) -> None:
    with pytest.raises(OperatorError, match="should be at least 1"):
        bench.main(["language", *wrong])


def test_without_llama_cpp_the_error_says_how_to_install_it() -> None:
    with pytest.raises(OperatorError, match=r"install it with pip install not_there\."):
        require_peer("not_there")
