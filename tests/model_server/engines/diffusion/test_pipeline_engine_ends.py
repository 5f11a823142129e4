"""Calls of pipelines that end early: all or some jobs are removed, memory runs out, or the pipeline fails."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fakes.engines.diffusion import EDGE, difference, draw, failures_of, make_job, pictures_of
from fakes.engines.pipeline_calls import OUT_OF_MEMORY_MESSAGE, CallRecorder
from fakes.model_server.gateway import eventually

from model_server.engines.contract import Engine
from model_server.engines.diffusion.picture_job import PictureJob
from model_server.engines.diffusion.pipeline import StepState
from model_server.engines.diffusion.pipeline_engine import PipelineEngine
from model_server.jobs import Event, Finished, Imagine

Run = Callable[..., list[Event]]
Open = Callable[..., PipelineEngine]


@pytest.fixture
def own(loaded: Callable[..., Engine], family: Callable[[str], Path]) -> PipelineEngine:
    """An engine that a test may leave broken."""
    engine = loaded("diffusion", family("sd"), size=EDGE, slicing=True)
    assert isinstance(engine, PipelineEngine)
    return engine


# Jobs are removed


async def test_a_call_whose_jobs_are_removed_ends_without_another_step_of_the_engine(
    open_family: Open, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_family("flux")
    calls = CallRecorder(engine, monkeypatch)
    for name in "ab":
        engine.add(make_job(name, steps=100))
    for _ in range(2):
        engine.step()
    freed: list[None] = []
    with monkeypatch.context() as patch:
        patch.setattr(engine._pipeline._pipe, "maybe_free_model_hooks", lambda: freed.append(None))
        for name in ("a", "b", "unknown"):
            engine.remove(name)
        await eventually(lambda: freed == [None])
    assert (calls.sizes, calls.steps) == ([2], 3)
    events = run(engine, make_job("c"))
    assert {event.job for event in events} == {"c"}
    assert (len(pictures_of(events, "c")), calls.steps) == (1, 3 + 4)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_job_removed_at_any_step_does_not_shorten_the_next_call(
    open_family: Open, run: Run, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    engine = open_family("sd")
    engine.add(make_job("a", steps=3))
    for _ in range(steps):
        engine.step()
    engine.remove("a")
    engine.remove("a")
    calls = CallRecorder(engine, monkeypatch)
    assert len(draw(run, engine, make_job("a", steps=5))) == 1
    assert calls.steps == 5


def test_jobs_that_stay_get_their_pictures(open_family: Open, run: Run) -> None:
    engine = open_family("sd")
    jobs = [make_job("a", steps=9), make_job("b", steps=9, seed=3)]
    for job in jobs:
        engine.add(job)
    events = [*engine.step(), *engine.step()]
    engine.remove("a")
    while not any(isinstance(event, Finished) for event in events):
        events += engine.step()
    assert difference(pictures_of(events, "b")[0], draw(run, engine, jobs[1])[0]) <= 1
    assert not pictures_of(events, "a")


# Memory runs out, or the pipeline fails


def test_the_parts_leave_the_graphics_card_however_a_call_ends(
    open_family: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = open_family("sd")._pipeline
    freed: list[None] = []
    monkeypatch.setattr(pipeline._pipe, "maybe_free_model_hooks", lambda: freed.append(None))

    def cramped(_: StepState) -> None:
        raise RuntimeError(OUT_OF_MEMORY_MESSAGE)

    task = Imagine(prompt="a cat", seed=3, steps=2, guidance=3.0, width=EDGE, height=EDGE)
    with pytest.raises(RuntimeError, match="memory"):
        pipeline.call([task], [], cramped)
    assert freed == [None]


def test_pictures_that_do_not_fit_the_memory_together_are_drawn_in_parts(
    own: PipelineEngine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = draw(run, own, make_job(count=4))
    calls = CallRecorder(own, monkeypatch)
    calls.max_pictures = 1
    parts = draw(run, own, make_job(count=4))
    assert max(difference(one, other) for one, other in zip(wanted, parts, strict=True)) <= 1
    assert calls.sizes == [4, 2, 1, 1, 1, 1]
    calls.max_pictures = 0
    [failed] = failures_of(run(own, make_job())).values()
    assert (failed.status, failed.code) == (503, "out_of_memory")


def test_a_call_that_ran_out_of_memory_is_repeated_without_removed_jobs(
    own: PipelineEngine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    [wanted] = draw(run, own, make_job("d", seed=3))
    calls = CallRecorder(own, monkeypatch)
    calls.max_pictures_at_end = 2
    for name in "abc":
        own.add(make_job(name))
    own.add(make_job("d", seed=3))
    events = [*own.step(), *own.step()]
    for name in "abc":
        own.remove(name)
    while not failures_of(events) and not pictures_of(events, "d"):
        events += own.step()
    assert not failures_of(events)
    assert difference(pictures_of(events, "d")[0], wanted) <= 1
    assert len(draw(run, own, make_job(count=4))) == 4
    assert calls.sizes == [4, 1, 2, 2]


def test_running_out_of_memory_at_a_preview_fails_only_that_job(
    own: PipelineEngine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cramped(*_: object) -> None:
        raise torch.OutOfMemoryError

    with monkeypatch.context() as patch:
        patch.setattr(own._pipeline, "decode", cramped)
        [failed] = failures_of(run(own, make_job(previews=1))).values()
    assert failed.code == "out_of_memory"
    assert len(draw(run, own, make_job(previews=1))) == 1


@pytest.mark.parametrize("frames", [(), (2,)])
def test_running_out_of_memory_after_a_call_is_raised(
    open_family: Open, run: Run, monkeypatch: pytest.MonkeyPatch, frames: tuple[int, ...]
) -> None:
    """The pictures are drawn by then, so that a smaller call would not help."""
    engine = open_family("sd-ancestral")

    def cramped(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(PictureJob, "finish", cramped)
    with pytest.raises(MemoryError):
        run(engine, make_job(layout="strip", frames=frames))


def test_a_fault_of_the_pipeline_is_raised(own: PipelineEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(own._pipeline, "call", broken)
    own.add(make_job())
    with pytest.raises(RuntimeError, match="CUDA error"):
        own.step()
