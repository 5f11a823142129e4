"""The engine that calls pipelines of any family: steps, previews, batches, starts, and what it cannot draw."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from fakes.engines.diffusion import EDGE, difference, failures, imagine, opened, pictures, pixels, previews
from fakes.engines.pipeline_calls import Calls
from fakes.engines.pipelines import FAMILIES
from PIL import Image

from model_server.engines.contract import Engine, Misconfigured
from model_server.engines.diffusion import pipeline_engine
from model_server.engines.diffusion.pipeline import Pipeline, StepState
from model_server.engines.diffusion.pipeline_engine import PipelineEngine
from model_server.images import encode, identify
from model_server.jobs import Embed, Event, Finished, Imagine, Job, Progress, ResolvedSettings, Started, Sweep

Run = Callable[..., list[Event]]
Open = Callable[..., PipelineEngine]
WITH_STEPS = sorted(FAMILIES.keys() - {"pixart", "sd-checked", "sd-strict"})
UNLIKE = ["sd", "sdxl", "flux"]
"""Those that have least in common."""


def only(run: Run, engine: Engine, job: Job) -> list[bytes]:
    return pictures(run(engine, job), job.id)


def steps_told(events: list[Event], name: str = "a") -> list[tuple[int, int]]:
    return [(event.step, event.steps) for event in events if isinstance(event, Progress) and event.job == name]


def by_diffusers(folder: Path, **told: object) -> np.ndarray:
    """What the pipeline itself makes of “a red cat” and seed 5."""
    theirs = DiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    theirs.set_progress_bar_config(disable=True)
    drawn = theirs("a red cat", height=EDGE, width=EDGE, generator=torch.Generator().manual_seed(5), **told)
    return np.asarray(drawn.images[0]).astype(int)


# Each family


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_it_draws_what_the_pipeline_draws(opened_as: Open, family: Callable[[str], Path], run: Run, name: str) -> None:
    more = {"use_resolution_binning": False} if name == "pixart" else {}
    guidance = 3.0 if name == "z-image" else 4.0
    expected = by_diffusers(family(name), num_inference_steps=4, guidance_scale=guidance, **more)
    [drawn] = only(run, opened_as(name), imagine(prompt="a red cat", guidance=4.0, seed=5))
    assert np.abs(pixels(drawn) - expected).max() <= 1
    assert identify(drawn)[1]["prompt"] == "a red cat"


@pytest.mark.parametrize("name", ["sdxl-turbo", "lcm"])
def test_what_is_made_for_few_steps_draws_in_one(
    opened_as: Open, family: Callable[[str], Path], run: Run, name: str
) -> None:
    # As the cards of such models call them.
    expected = by_diffusers(family(name), num_inference_steps=1, guidance_scale=0.0)
    events = run(opened_as(name), imagine(prompt="a red cat", guidance=0.0, steps=1, seed=5))
    [drawn] = pictures(events)
    assert steps_told(events) == [(0, 1), (1, 1)]
    assert np.abs(pixels(drawn) - expected).max() <= 1


@pytest.mark.parametrize("name", ["sd-ancestral", "sdxl"])
def test_it_rescales_guidance_as_the_pipeline_does(
    opened_as: Open, family: Callable[[str], Path], run: Run, name: str
) -> None:
    expected = by_diffusers(family(name), num_inference_steps=4, guidance_scale=9.0, guidance_rescale=1.0)
    task = imagine(prompt="a red cat", guidance=9.0, seed=5)
    [drawn] = only(run, opened_as(name, guidance_rescale=1.0), task)
    assert np.abs(pixels(drawn) - expected).max() <= 1
    assert difference(drawn, only(run, opened_as(name), task)[0]) > 1


@pytest.mark.parametrize(("name", "varied"), [("sd-ancestral", None), ("sdxl", "0.7")])
def test_a_variation_names_only_what_its_pipeline_takes(
    opened_as: Open, run: Run, name: str, varied: str | None
) -> None:
    """Stable Diffusion's does not take the rescaling that its text-to-image does; that of SDXL takes it."""
    engine = opened_as(name, guidance_rescale=0.7)
    [drawn] = only(run, engine, imagine())
    [variation] = only(run, engine, imagine("b", initial=drawn))
    assert [identify(png)[1].get("guidance_rescale") for png in (drawn, variation)] == ["0.7", varied]


def test_a_pipeline_that_cannot_rescale_says_so(opened_as: Open) -> None:
    sentence = r"The option guidance_rescale of tiny means nothing to a FluxPipeline; leave it out\."
    with pytest.raises(Misconfigured, match=sentence):
        opened_as("flux", guidance_rescale=0.7)


@pytest.mark.parametrize("name", ["sd-ancestral", "sdxl", "sdxl-turbo", "flux"])
def test_a_picture_is_the_same_alone_and_in_company(opened_as: Open, run: Run, name: str) -> None:
    engine = opened_as(name)
    jobs = [imagine("a", seed=1), imagine("b", prompt="a dog", seed=2, count=2), imagine("c", seed=9, steps=2)]
    together = run(engine, *jobs)
    for job in jobs:
        for alone, joint in zip(only(run, engine, job), pictures(together, job.id), strict=True):
            assert difference(alone, joint) <= 1
    assert difference(pictures(together, "a")[0], pictures(together, "b")[0]) > 1


@pytest.mark.parametrize("name", UNLIKE)
def test_each_step_is_told_and_shown(opened_as: Open, run: Run, name: str) -> None:
    events = run(opened_as(name), imagine(steps=5, previews=2))
    assert isinstance(events[0], Started)
    chosen = events[1]
    assert isinstance(chosen, ResolvedSettings)
    assert (chosen.width, chosen.steps, chosen.prompt.tokens[:2]) == (EDGE, 5, ("[CLS]", "a"))
    assert steps_told(events) == [(step, 5) for step in range(6)]
    assert previews(events)[0].step <= 3
    assert [opened(preview.png).size for preview in previews(events)] == [(EDGE, EDGE)] * 2


@pytest.mark.parametrize("name", WITH_STEPS)
def test_what_is_shown_is_the_picture_that_is_expected(opened_as: Open, name: str) -> None:
    moments: list[StepState] = []
    task = Imagine(prompt="a cat", seed=3, steps=6, guidance=3.0, width=EDGE, height=EDGE)
    [whole] = opened_as(name)._pipeline.call([task], [], moments.append)
    start, first, last = moments[0].start, moments[0].clean, moments[-1]
    assert start is not None
    assert first is not None
    assert last.clean is not None
    assert float(start.std()) == pytest.approx(1, abs=0.25)
    torch.testing.assert_close(last.clean.float(), last.noisy.float(), rtol=1e-2, atol=1e-2)
    assert not torch.allclose(first.float(), moments[0].noisy.float(), atol=0.1)
    [decoded] = opened_as(name)._pipeline.decode(last.noisy, EDGE, EDGE)
    assert np.abs(np.asarray(decoded).astype(int) - np.asarray(whole)).max() <= 1


@pytest.mark.parametrize("name", UNLIKE)
def test_a_strip_leads_from_static_to_the_picture(opened_as: Open, run: Run, name: str) -> None:
    engine = opened_as(name)
    whole = pixels(only(run, engine, imagine(layout="strip"))[0])
    frames = [whole[:EDGE, left : left + EDGE] for left in range(0, whole.shape[1], EDGE + 4)]
    assert len(frames) == 5
    assert np.array_equal(frames[-1], pixels(only(run, engine, imagine())[0]))
    [third] = only(run, engine, imagine(layout="strip", frames=(2,)))
    assert np.array_equal(frames[2], pixels(third))
    [noise] = only(run, engine, imagine(layout="strip", frames=(0,)))
    assert np.array_equal(frames[0], pixels(noise))


@pytest.mark.parametrize("name", UNLIKE)
def test_variations_start_from_the_picture(opened_as: Open, run: Run, name: str) -> None:
    engine = opened_as(name)
    start, other = [encode(Image.new("RGB", (64, 48), colour), {}) for colour in ("red", "blue")]
    apart = []
    for strength in (0.3, 1.0):
        asked = {"seed": 2, "steps": 10, "strength": strength}
        events = run(engine, imagine(**asked, initial=start, count=2))
        assert steps_told(events)[-1] == (int(10 * strength),) * 2
        [drawn] = only(run, engine, imagine(**asked, initial=other))
        apart.append(np.abs(pixels(pictures(events)[0]) - pixels(drawn)).mean())
    assert apart[0] > apart[1]
    both = run(engine, imagine("a", initial=start, strength=0.5), imagine("b", initial=start, strength=0.5, seed=8))
    alone = only(run, engine, imagine("b", initial=start, strength=0.5, seed=8))
    assert difference(alone[0], pictures(both, "b")[0]) <= 1


def test_little_strength_is_one_step_at_least(opened_as: Open, run: Run) -> None:
    start = encode(Image.new("RGB", (64, 48), "red"), {})
    for steps in (7, 49):
        events = run(opened_as("sd"), imagine(initial=start, strength=0.001, steps=steps))
        assert steps_told(events)[-1] == (1, 1)
        assert len(pictures(events)) == 1


def test_what_a_pipeline_says_of_its_input_ends_that_job_alone(opened_as: Open, run: Run) -> None:
    start = encode(Image.new("RGB", (64, 48), "red"), {})
    events = run(opened_as("lcm"), imagine(initial=start, strength=0.1, steps=10), imagine("b"))
    [failed] = failures(events).values()
    assert (failed.job, failed.status) == ("a", 400)
    assert failed.message == "tiny cannot draw this; it may with other steps, another size or another strength."
    assert len(pictures(events, "b")) == 1


def test_a_negative_prompt_matters_where_there_is_one(opened_as: Open, run: Run) -> None:
    engine = opened_as("sdxl")
    jobs = [imagine("a", negative_prompt="a dog"), imagine("b"), imagine("c", negative_prompt="red")]
    drawn = [only(run, engine, job)[0] for job in jobs]
    together = run(engine, *jobs)
    assert all(difference(one, pictures(together, job.id)[0]) <= 1 for one, job in zip(drawn, jobs, strict=True))
    assert min(difference(drawn[0], drawn[1]), difference(drawn[0], drawn[2])) > 1
    [failed] = failures(run(opened_as("flux"), imagine(negative_prompt="a dog"))).values()
    assert failed.message == "tiny takes no negative prompt; please leave it out."


# Without steps


def test_a_pipeline_that_shows_no_steps_draws_all_the_same(
    opened_as: Open, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_engine, "PATIENCE_SECONDS", 0.001)
    engine = opened_as("pixart")
    events = run(engine, imagine(previews=3, steps=30))
    assert not previews(events)
    told = steps_told(events)
    assert (told[0], told[-1]) == ((0, 30), (30, 30))
    assert len(told) > 2, "while nothing can be told, there is at least a sign of life"
    [failed] = failures(run(engine, imagine(layout="strip"))).values()
    assert (failed.message, failed.param) == ("The steps of tiny cannot be shown; ask for the picture alone.", "layout")
    engine.add(imagine("b", steps=30))
    engine.step()
    engine.remove("b")
    engine.add(imagine("c"))
    with monkeypatch.context() as patch:
        patch.setattr(engine._paced, "rests", lambda _: False)
        events = list(engine.step())
    assert not steps_told(events, "c"), "b's call runs to its end before"
    while not pictures(events, "c"):
        events += engine.step()


def test_what_looks_at_finished_pictures_alone_is_not_got_round(opened_as: Open, run: Run) -> None:
    engine = opened_as("sd-checked")
    events = run(engine, imagine(previews=3))
    assert not previews(events)
    assert pixels(pictures(events)[0]).any()
    for layout in ("strip", "animation"):
        [failed] = failures(run(engine, imagine(layout=layout))).values()
        assert failed.message == "The steps of tiny cannot be shown; ask for the picture alone."
    start = encode(Image.new("RGB", (64, 48), "red"), {})
    for asked in ({"count": 2}, {"layout": "grid", "count": 2}, {"initial": start}):
        hidden = run(opened_as("sd-strict"), imagine(**asked))
        assert not pixels(pictures(hidden)[0])[:EDGE, :EDGE].any()


# Many at once


def test_what_has_the_same_key_shares_a_call(opened_as: Open, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = opened_as("sd")
    calls = Calls(engine, monkeypatch)
    run(
        engine,
        imagine("a", seed=1),
        imagine("b", prompt="x", seed=2),
        imagine("c", steps=3),
        imagine("d", guidance=1.0),
    )
    assert calls.sizes == [2, 1, 1]


def test_shares_are_equal_and_calls_no_larger_than_the_batch(
    opened_as: Open, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opened_as("sd", batch=3)
    assert engine.capacity == 3
    calls = Calls(engine, monkeypatch)
    events = run(engine, imagine("many", count=6), imagine("b"), imagine("c"))
    assert calls.sizes == [3, 3, 2]
    ended = [event.job for event in events if isinstance(event, Finished)]
    assert ended == ["b", "c", "many"]
    seeds = [identify(picture)[1]["seed"] for picture in pictures(events, "many")]
    assert seeds == [str(7 + index) for index in range(6)]


def test_who_comes_late_waits_for_the_next_call(opened_as: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = opened_as("sd")
    calls = Calls(engine, monkeypatch)
    engine.add(imagine("a"))
    events = list(engine.step())
    engine.add(imagine("b"))
    while sum(isinstance(event, Finished) for event in events) < 2:
        events += engine.step()
    assert calls.sizes == [1, 1]


def test_who_waits_for_the_next_call_hears_of_no_step_before(opened_as: Open, run: Run) -> None:
    """A place in the queue would be forgotten for it, and what time is left be told by the others' steps."""
    events = run(opened_as("sd"), imagine("a"), imagine("b", steps=3))
    told = [(event.job, event.step) for event in events if isinstance(event, Progress)]
    assert told == [*(("a", step) for step in range(5)), *(("b", step) for step in range(4))]


def test_previews_of_several_calls_show_what_there_is(opened_as: Open, run: Run) -> None:
    events = run(opened_as("sd", batch=1), imagine(count=2, previews=3))
    assert [opened(preview.png).size for preview in previews(events)] == [(2 * EDGE + 4, EDGE)] * 3


def test_a_sweep_takes_a_call_for_each_value(opened_as: Open, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = opened_as("sd")
    calls = Calls(engine, monkeypatch)
    events = run(engine, imagine(sweep=Sweep("guidance", (1.0, 5.0))))
    assert calls.sizes == [1, 1]
    whole = pixels(pictures(events)[0])
    for place, guidance in enumerate((1.0, 5.0)):
        [alone] = only(run, engine, imagine(guidance=guidance))
        assert np.abs(whole[:EDGE, place * (EDGE + 4) :][:, :EDGE] - pixels(alone)).max() <= 1


# What goes wrong


def test_bad_input_fails_that_job_alone(opened_as: Open, run: Run) -> None:
    engine = opened_as("sd")
    events = run(
        engine,
        imagine("a", steps=0),
        imagine("b"),
        imagine("c", initial=b"x"),
        Job(id="d", model="tiny", task=Embed(texts=("x",))),
    )
    assert {name: failure.param for name, failure in failures(events).items()} == {
        "a": "steps",
        "c": "image",
        "d": "model",
    }
    assert len(pictures(events, "b")) == 1


def test_steps_that_are_decoded_otherwise_are_not_shown(
    loaded: Callable[..., Engine], family: Callable[[str], Path], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = Pipeline.decode
    monkeypatch.setattr(Pipeline, "decode", lambda self, latents, *rest: decode(self, -latents, *rest))
    engine = loaded("diffusion", family("sd"), size=EDGE, slicing=True)
    events = run(engine, imagine(previews=3))
    assert not previews(events)
    assert len(pictures(events)) == 1


def test_offloading_needs_a_graphics_card(loaded: Callable[..., Engine], family: Callable[[str], Path]) -> None:
    with pytest.raises(Misconfigured, match="The option offload of tiny needs a graphics card; leave it out"):
        loaded("diffusion", family("sd"), offload="model")


def test_a_pipeline_says_what_it_does_where_nobody_chooses(
    loaded: Callable[..., Engine], family: Callable[[str], Path]
) -> None:
    engine = loaded("diffusion", family("sdxl"))
    assert isinstance(engine, PipelineEngine)
    can = engine._pipeline.can
    assert (can.steps, can.guidance, can.width, can.sampler) == (50, 5.0, EDGE, "EulerDiscrete")
    assert (can.negative_prompts, can.starts, can.shows) == (True, True, True)
