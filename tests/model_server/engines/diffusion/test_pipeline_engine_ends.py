"""How calls of pipelines end before their time: everybody leaves, some do, the memory or the pipeline gives up."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fakes.engines.diffusion import EDGE, difference, failures, imagine, pictures
from fakes.engines.pipeline_calls import NO_MEMORY, Calls
from fakes.model_server.gateway import eventually

from model_server.engines.contract import Engine
from model_server.engines.diffusion.drawing import PictureJob
from model_server.engines.diffusion.pipeline import StepState
from model_server.engines.diffusion.pipeline_engine import PipelineEngine
from model_server.jobs import Event, Finished, Imagine, Job

Run = Callable[..., list[Event]]
Open = Callable[..., PipelineEngine]


def only(run: Run, engine: Engine, job: Job) -> list[bytes]:
    return pictures(run(engine, job), job.id)


# Everybody leaves, or some do


@pytest.mark.parametrize("others", [False, True])
def test_a_call_that_nobody_wants_ends_behind_its_step(
    opened_as: Open, run: Run, monkeypatch: pytest.MonkeyPatch, others: bool
) -> None:
    engine = opened_as("flux")
    calls = Calls(engine, monkeypatch)
    engine.add(imagine("a", steps=100))
    if others:
        engine.add(imagine("b", steps=100, count=2))
    for _ in range(3):
        engine.step()
    for name in "ab":
        engine.remove(name)
    engine.remove("unknown")
    before = calls.steps
    events = run(engine, imagine("c"))
    assert calls.steps <= before + 1 + 4
    assert {event.job for event in events} == {"c"}


async def test_a_call_that_nobody_wants_ends_without_anybody_asking(
    opened_as: Open, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opened_as("flux")
    calls = Calls(engine, monkeypatch)
    for name in "ab":
        engine.add(imagine(name, steps=100))
    for _ in range(2):
        engine.step()
    freed: list[None] = []
    with monkeypatch.context() as patch:
        patch.setattr(engine._pipeline._pipe, "maybe_free_model_hooks", lambda: freed.append(None))
        for name in "ab":
            engine.remove(name)
        await eventually(lambda: freed == [None])
    assert (calls.sizes, calls.steps) == ([2], 3)
    assert len(only(run, engine, imagine("c"))) == 1


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_who_leaves_at_any_step_leaves_the_next_call_whole(
    opened_as: Open, run: Run, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    engine = opened_as("sd")
    engine.add(imagine("a", steps=3))
    for _ in range(steps):
        engine.step()
    engine.remove("a")
    engine.remove("a")
    calls = Calls(engine, monkeypatch)
    assert len(only(run, engine, imagine("a", steps=5))) == 1
    assert calls.steps == 5


def test_those_who_stay_get_their_pictures(opened_as: Open, run: Run) -> None:
    engine = opened_as("sd")
    jobs = [imagine("a", steps=9), imagine("b", steps=9, seed=3)]
    for job in jobs:
        engine.add(job)
    events = [*engine.step(), *engine.step()]
    engine.remove("a")
    while not any(isinstance(event, Finished) for event in events):
        events += engine.step()
    assert difference(pictures(events, "b")[0], only(run, engine, jobs[1])[0]) <= 1
    assert not pictures(events, "a")


# The memory, or the pipeline


def test_what_was_brought_to_the_card_goes_back_however_a_call_ends(
    opened_as: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = opened_as("sd")._pipeline
    freed: list[None] = []
    monkeypatch.setattr(pipeline._pipe, "maybe_free_model_hooks", lambda: freed.append(None))

    def cramped(_: StepState) -> None:
        raise RuntimeError(NO_MEMORY)

    task = Imagine(prompt="a cat", seed=3, steps=2, guidance=3.0, width=EDGE, height=EDGE)
    with pytest.raises(RuntimeError, match="memory"):
        pipeline.call([task], [], cramped)
    assert freed == [None]


def test_what_does_not_fit_at_once_is_drawn_in_parts(
    loaded: Callable[..., Engine], family: Callable[[str], Path], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = loaded("diffusion", family("sd"), size=EDGE, slicing=True)
    assert isinstance(engine, PipelineEngine)
    wanted = only(run, engine, imagine(count=4))
    calls = Calls(engine, monkeypatch)
    calls.room = 1
    parts = only(run, engine, imagine(count=4))
    assert max(difference(one, other) for one, other in zip(wanted, parts, strict=True)) <= 1
    assert calls.sizes == [4, 2, 1, 1, 1, 1]
    calls.room = 0
    [failed] = failures(run(engine, imagine())).values()
    assert (failed.status, failed.code) == (503, "out_of_memory")


def test_who_stays_is_drawn_again_where_it_did_not_fit_with_those_who_left(
    loaded: Callable[..., Engine], family: Callable[[str], Path], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = loaded("diffusion", family("sd"), size=EDGE, slicing=True)
    assert isinstance(engine, PipelineEngine)
    [wanted] = only(run, engine, imagine("d", seed=3))
    calls = Calls(engine, monkeypatch)
    calls.room_at_end = 2
    for name in "abc":
        engine.add(imagine(name))
    engine.add(imagine("d", seed=3))
    events = [*engine.step(), *engine.step()]
    for name in "abc":
        engine.remove(name)
    while not failures(events) and not pictures(events, "d"):
        events += engine.step()
    assert not failures(events)
    assert difference(pictures(events, "d")[0], wanted) <= 1
    assert len(only(run, engine, imagine(count=4))) == 4
    assert calls.sizes == [4, 1, 2, 2]


def test_memory_that_ends_at_a_preview_ends_only_that_job(
    loaded: Callable[..., Engine], family: Callable[[str], Path], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = loaded("diffusion", family("sd"), size=EDGE, slicing=True)
    assert isinstance(engine, PipelineEngine)

    def cramped(*_: object) -> None:
        raise torch.OutOfMemoryError

    with monkeypatch.context() as patch:
        patch.setattr(engine._pipeline, "decode", cramped)
        [failed] = failures(run(engine, imagine(previews=1))).values()
    assert failed.code == "out_of_memory"
    assert len(only(run, engine, imagine(previews=1))) == 1


@pytest.mark.parametrize("frames", [(), (2,)])
def test_memory_that_ends_behind_a_call_leaves_nobody_waiting(
    opened_as: Open, run: Run, monkeypatch: pytest.MonkeyPatch, frames: tuple[int, ...]
) -> None:
    """Whether the call came to its end or ended before: its pictures are done, and no smaller call would help them."""
    engine = opened_as("sd-ancestral")

    def cramped(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(PictureJob, "finish", cramped)
    with pytest.raises(MemoryError):
        run(engine, imagine(layout="strip", frames=frames))


def test_what_is_wrong_with_the_pipeline_is_no_failure_of_a_job(
    loaded: Callable[..., Engine], family: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = loaded("diffusion", family("sd"), size=EDGE, slicing=True)
    assert isinstance(engine, PipelineEngine)

    def broken(*_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(engine._pipeline, "call", broken)
    engine.add(imagine())
    with pytest.raises(RuntimeError, match="CUDA error"):
        engine.step()
