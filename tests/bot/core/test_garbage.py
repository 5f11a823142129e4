"""Old objects are searched for garbage only while nobody waits for an answer, or after a long time."""

import asyncio
import gc
import weakref

import pytest
from fakes.model_server.gateway import eventually

from bot.core import garbage
from bot.core.garbage import searched_when_idle


class Ring:
    """An object that refers to itself, so that only a search finds out that nobody needs it."""

    def __init__(self) -> None:
        self.itself = self


def make_old_garbage() -> weakref.ref[Ring]:
    ring = Ring()
    for generation in (0, 1):
        gc.collect(generation)
    return weakref.ref(ring)


def search_new_objects(times: int) -> None:
    """Search as often as after so many times a thousand new objects."""
    for _ in range(times):
        gc.collect(1)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(garbage, "MAX_PUT_OFF", 20)


async def test_old_garbage_stays_while_somebody_waits_for_an_answer() -> None:
    is_idle = False
    async with searched_when_idle(lambda: is_idle):
        ring = make_old_garbage()
        search_new_objects(100)
        await asyncio.sleep(0.05)
        assert ring() is not None
        is_idle = True
        await eventually(lambda: ring() is None)


async def test_old_garbage_goes_at_last_where_somebody_always_waits() -> None:
    async with searched_when_idle(lambda: False):
        ring = make_old_garbage()
        search_new_objects(100)
        await eventually(lambda: ring() is None)


async def test_nothing_is_searched_where_there_is_little_new() -> None:
    async with searched_when_idle(lambda: True):
        gc.collect()
        ring = make_old_garbage()
        await asyncio.sleep(0.1)
        assert ring() is not None


async def test_afterwards_everything_is_as_before() -> None:
    thresholds = gc.get_threshold()
    async with searched_when_idle(lambda: True):
        assert gc.get_threshold()[2] > thresholds[2]
        assert gc.get_freeze_count()
    assert gc.get_threshold() == thresholds
    assert not gc.get_freeze_count()
