"""What others' requests do to one's own, with fake servers and a real queue."""

from pathlib import Path

import aiohttp
import psutil
import pytest
from fakes.model_server.gateway import eventually, is_ready, serving
from fakes.model_server.scribe import Scribe, side_of

from research.bench.language import company
from research.bench.language.company import fill_slots, measure_fairness, measure_sameness
from research.bench.servers import BenchServer


@pytest.mark.parametrize("fickle", [False, True])
async def test_tokens_that_depend_on_other_requests_are_detected(fickle: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(company, "SAME_PROMPTS", 16)
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


async def test_every_slot_is_filled_at_the_same_time_to_its_end() -> None:
    scribe = Scribe()
    async with side_of(scribe.chat) as side:
        filled = await fill_slots(side, "m", slots=12, context=100)
    first, *others = scribe.asked
    assert first["max_tokens"] == 1
    assert len({asked["messages"][0]["content"] for asked in others}) == 12
    assert all(asked["messages"][0]["content"].startswith(first["messages"][0]["content"]) for asked in others)
    # The fake says that any prompt has 50 tokens; the two digits and the blank before them may take some more.
    assert 90 < filled <= 100
    assert scribe.most_at_once == 12
