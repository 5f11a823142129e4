"""The image benchmark with fake servers, some of which are wrong or slow."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from fakes.model_server.gateway import PATIENCE_SECONDS

from model_server.errors import OperatorError
from research import bench
from research.bench.diffusion import (
    CLIENTS,
    GENERATIONS_PATH,
    DiffusionResults,
    DiffusionSpeeds,
    PeerProcess,
    compare,
    measure_preview,
    measure_slot_release,
    rows,
)
from research.bench.table import markdown

TICK_SECONDS = 0.01


class Easel:
    """A server that draws two pictures at once and takes a step of each at every tick.

    Previews begin after step `first`; the slot of a cancelled job is used again only `late` ticks later.
    """

    def __init__(self, first: int = 2, late: int = 0) -> None:
        self.asked: list[dict[str, Any]] = []
        self._first, self._late = first, late
        self._jobs: dict[str, asyncio.Queue[int]] = {}
        self._closed = 0
        self._ticking: asyncio.Task[None] | None = None

    async def draw(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        self.asked.append(asked)
        self._ticking = self._ticking or asyncio.create_task(self._tick())
        job, steps = f"job_{len(self.asked)}", asked["steps"]
        ticks = self._jobs[job] = asyncio.Queue()
        response = web.StreamResponse()
        with contextlib.ExitStack() as stack:
            stack.callback(lambda: self._jobs.pop(job, None))
            if asked.get("stream"):
                await response.prepare(request)
                await send(response, {"tempera": {"job": job, "queue": {"place": 1, "eta_s": None}}})
            for step in range(1, steps + 1):
                await ticks.get()
                if asked.get("stream"):
                    told = {"job": job, "step": step, "steps": steps}
                    if asked.get("partial_images") and step >= self._first:
                        await send(response, {"partial_image_index": 0, "tempera": told})
                    await send(response, {"tempera": told})
            return response if asked.get("stream") else web.json_response({"data": []})

    async def cancel(self, request: web.Request) -> web.Response:
        del self._jobs[request.match_info["id"]]
        self._closed = self._late
        return web.json_response({})

    async def queue(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"model": "m", "capacity": 2}]})

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            slots = 2 if self._closed == 0 else 1
            self._closed = max(0, self._closed - 1)
            for ticks in list(self._jobs.values())[:slots]:
                ticks.put_nowait(1)


async def send(response: web.StreamResponse, event: object) -> None:
    await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")


@contextlib.asynccontextmanager
async def served(easel: Easel) -> AsyncIterator[aiohttp.ClientSession]:
    app = web.Application()
    app.router.add_post(GENERATIONS_PATH, easel.draw)
    app.router.add_get("/v1/queue", easel.queue)
    app.router.add_delete("/v1/jobs/{id}", easel.cancel)
    connector = aiohttp.TCPConnector(limit=0)
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/"), connector=connector) as session:
        yield session


@pytest.mark.parametrize("first", [2, 9])
async def test_the_step_of_the_first_preview(first: int) -> None:
    async with served(Easel(first=first)) as session:
        assert await measure_preview(session, "m") == first


@pytest.mark.parametrize(("late", "least", "most"), [(0, -1, 1), (20, 10, 30)])
async def test_a_slot_that_is_released_late_is_measured(late: int, least: int, most: int) -> None:
    async with served(Easel(late=late)) as session:
        assert least <= await measure_slot_release(session, "m") <= most


class Stopwatch:
    """A peer whose every measurement is two seconds."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def ask(self, **wanted: Any) -> float:
        self.asked.append(wanted)
        return 2.0


async def test_all_sides_draw_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[DiffusionSpeeds.__module__], "STEPS", 2)
    easel, watch = Easel(), Stopwatch()
    async with served(easel) as session:
        figures = await compare(session, watch, "m", runs=2)  # type: ignore[arg-type]
    assert len(figures.alone) == len(figures.together) == 2
    assert (figures.loop, figures.stock, figures.stock_served) == ([2.0] * 2, [CLIENTS / 2] * 2, [CLIENTS / 2] * 2)
    many = [asked["prompts"] for asked in watch.asked if asked["what"] == "stock" and asked["dtype"] == "default"]
    ours = [asked["prompt"] for asked in easel.asked]
    assert [prompt for prompts in many for prompt in prompts] == [
        prompt for prompt in ours if prompt != "warm" and "alone" not in prompt
    ]
    assert {asked["steps"] for asked in easel.asked} == {2}


async def test_a_refusal_by_the_server_is_raised_with_its_sentence() -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "There is no such model."}}, status=404)

    easel = Easel()
    easel.draw = refuse  # type: ignore[method-assign]
    async with served(easel) as session:
        with pytest.raises(OperatorError, match="refused: There is no such model"):
            await compare(session, Stopwatch(), "m", runs=1)  # type: ignore[arg-type]


async def test_a_peer_that_ended_raises_an_error() -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "input()"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    with pytest.raises(OperatorError, match="ended; the reason is above"):
        await PeerProcess(child).ask(what="loop")
    await asyncio.wait_for(child.wait(), PATIENCE_SECONDS)


# The table


def results(**changes: Any) -> DiffusionResults:
    figures = DiffusionSpeeds(alone=[1.0, 1.2, 1.1], loop=[1.1], together=[1.6], stock=[0.5], stock_served=[1.5])
    met = {
        "figures": figures,
        "dtype": "bfloat16",
        "preview": 3,
        "slot_release_steps": 1,
        "passes": (0.02, 0.1),
        "others": 0.0,
    }
    return DiffusionResults(**met | changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"preview": 6}, "| 6 |  |  | ≤ 3 | no, by 100%"),
        ({"slot_release_steps": 2}, "| 2 |  |  | ≤ 1 | no, by 100%"),
        (
            {"figures": DiffusionSpeeds(alone=[2.0], loop=[1.0], together=[1.0], stock=[1.0], stock_served=[1.0])},
            "| 2.00 | 1.00 | 2.00 × | ≤ 1.1 × | no, by 82%",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_missed_goal_is_printed_as_missed(changes: dict[str, Any], said: str) -> None:
    assert said in markdown(rows(results(**changes)), "diffusers")


def test_models_of_another_kind_are_refused() -> None:
    with pytest.raises(OperatorError, match="all-minilm-l6-v2 draws no pictures of prompts"):
        bench.main(["diffusion", "--model", "all-minilm-l6-v2"])


def test_an_overlay_can_name_the_model(tmp_path: Path) -> None:
    overlay = tmp_path / "own.toml"
    overlay.write_text('[models.own]\nengine = "diffusion"\ndescription = "x"\nlicence = "x"\nfolder = "nowhere"\n')
    with pytest.raises(OperatorError, match="own: .*nowhere should be a folder with model_index.json"):
        bench.main(["diffusion", "--model", "own", "--catalogue", str(overlay)])
