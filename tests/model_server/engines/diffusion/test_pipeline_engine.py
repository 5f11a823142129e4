"""PipelineEngine with pipelines of every family: steps, previews, variations, batches and refusals."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from fakes.engines.diffusion import (
    EDGE,
    difference,
    difference_from_alone,
    draw,
    failures_of,
    make_job,
    open_image,
    pictures_of,
    pixels,
    previews_of,
)
from fakes.engines.pipeline_calls import CallRecorder
from fakes.engines.pipelines import FAMILIES
from PIL import Image

from model_server.engines.contract import Engine, Misconfigured
from model_server.engines.diffusion import pipeline_engine
from model_server.engines.diffusion.pipeline import Pipeline, StepState
from model_server.engines.diffusion.pipeline_engine import PipelineEngine
from model_server.images import encode, identify
from model_server.jobs import Embed, Event, Finished, Imagine, Job, Progress, ResolvedSettings, Started, Sweep

CATALOGUE = Path(__file__).parents[4] / "config" / "models.toml"
Run = Callable[..., list[Event]]
Open = Callable[..., PipelineEngine]
FAMILIES_WITH_STEPS = sorted(FAMILIES.keys() - {"pixart", "sd-checked", "sd-strict"})
DIFFERENT_FAMILIES = ["sd", "sdxl", "flux"]
"""Families that have little in common."""


def progress_of(events: list[Event], name: str = "a") -> list[tuple[int, int]]:
    return [(event.step, event.steps) for event in events if isinstance(event, Progress) and event.job == name]


def draw_with_diffusers(folder: Path, **reported: object) -> np.ndarray:
    """Draw “a red cat” with seed 5 by calling the pipeline directly."""
    theirs = DiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    theirs.set_progress_bar_config(disable=True)
    drawn = theirs("a red cat", height=EDGE, width=EDGE, generator=torch.Generator().manual_seed(5), **reported)
    return np.asarray(drawn.images[0]).astype(int)


# Each family


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_it_draws_what_the_pipeline_draws(
    open_family: Open, family: Callable[[str], Path], run: Run, name: str
) -> None:
    more = {"use_resolution_binning": False} if name == "pixart" else {}
    guidance = 3.0 if name == "z-image" else 4.0
    expected = draw_with_diffusers(family(name), num_inference_steps=4, guidance_scale=guidance, **more)
    [drawn] = draw(run, open_family(name), make_job(prompt="a red cat", guidance=4.0, seed=5))
    assert np.abs(pixels(drawn) - expected).max() <= 1
    assert identify(drawn)[1]["prompt"] == "a red cat"


@pytest.mark.parametrize("name", ["sdxl-turbo", "lcm"])
def test_models_for_few_steps_draw_in_one_step(
    open_family: Open, family: Callable[[str], Path], run: Run, name: str
) -> None:
    # The guidance that the cards of such models recommend.
    expected = draw_with_diffusers(family(name), num_inference_steps=1, guidance_scale=0.0)
    events = run(open_family(name), make_job(prompt="a red cat", guidance=0.0, steps=1, seed=5))
    [drawn] = pictures_of(events)
    assert progress_of(events) == [(0, 1), (1, 1)]
    assert np.abs(pixels(drawn) - expected).max() <= 1


@pytest.mark.parametrize("name", ["sd-ancestral", "sdxl"])
def test_it_rescales_guidance_as_the_pipeline_does(
    open_family: Open, family: Callable[[str], Path], run: Run, name: str
) -> None:
    expected = draw_with_diffusers(family(name), num_inference_steps=4, guidance_scale=9.0, guidance_rescale=1.0)
    task = make_job(prompt="a red cat", guidance=9.0, seed=5)
    [drawn] = draw(run, open_family(name, guidance_rescale=1.0), task)
    assert np.abs(pixels(drawn) - expected).max() <= 1
    assert difference(drawn, draw(run, open_family(name), task)[0]) > 1


@pytest.mark.parametrize(("name", "varied"), [("sd-ancestral", None), ("sdxl", "0.7")])
def test_a_variation_carries_guidance_rescale_only_if_its_pipeline_takes_it(
    open_family: Open, run: Run, name: str, varied: str | None
) -> None:
    """Stable Diffusion takes guidance_rescale only without an initial picture, SDXL in both cases."""
    engine = open_family(name, guidance_rescale=0.7)
    [drawn] = draw(run, engine, make_job())
    [variation] = draw(run, engine, make_job("b", initial=drawn))
    assert [identify(png)[1].get("guidance_rescale") for png in (drawn, variation)] == ["0.7", varied]


def test_guidance_rescale_is_refused_by_a_pipeline_without_it(open_family: Open) -> None:
    sentence = r"The option guidance_rescale of tiny means nothing to a FluxPipeline; leave it out\."
    with pytest.raises(Misconfigured, match=sentence):
        open_family("flux", guidance_rescale=0.7)


@pytest.mark.parametrize("name", ["sd-ancestral", "sdxl", "sdxl-turbo", "flux"])
def test_a_picture_is_the_same_alone_and_in_a_batch(open_family: Open, run: Run, name: str) -> None:
    engine = open_family(name)
    jobs = [make_job("a", seed=1), make_job("b", prompt="a dog", seed=2, count=2), make_job("c", seed=9, steps=2)]
    together = run(engine, *jobs)
    assert difference_from_alone(run, engine, together, *jobs) <= 1
    assert difference(pictures_of(together, "a")[0], pictures_of(together, "b")[0]) > 1


@pytest.mark.parametrize("name", DIFFERENT_FAMILIES)
def test_each_step_is_reported_and_previews_are_shown(open_family: Open, run: Run, name: str) -> None:
    events = run(open_family(name), make_job(steps=5, previews=2, prompt="a[SEP]cat"))
    assert isinstance(events[0], Started)
    chosen = events[1]
    assert isinstance(chosen, ResolvedSettings)
    assert (chosen.width, chosen.steps, chosen.prompt.tokens[:2]) == (EDGE, 5, ("[CLS]", "a"))
    assert chosen.prompt.tokens.count("[SEP]") == 1
    assert progress_of(events) == [(step, 5) for step in range(6)]
    assert previews_of(events)[0].step <= 3
    assert [open_image(preview.png).size for preview in previews_of(events)] == [(EDGE, EDGE)] * 2


@pytest.mark.parametrize("name", FAMILIES_WITH_STEPS)
def test_previews_show_the_predicted_picture(open_family: Open, name: str) -> None:
    states: list[StepState] = []
    task = Imagine(prompt="a cat", seed=3, steps=6, guidance=3.0, width=EDGE, height=EDGE)
    [whole] = open_family(name)._pipeline.call([task], [], states.append)
    start, first, last = states[0].initial, states[0].clean, states[-1]
    assert start is not None
    assert first is not None
    assert last.clean is not None
    assert float(start.std()) == pytest.approx(1, abs=0.25)
    torch.testing.assert_close(last.clean.float(), last.noisy.float(), rtol=1e-2, atol=1e-2)
    assert not torch.allclose(first.float(), states[0].noisy.float(), atol=0.1)
    [decoded] = open_family(name)._pipeline.decode(last.noisy, EDGE, EDGE)
    assert np.abs(np.asarray(decoded).astype(int) - np.asarray(whole)).max() <= 1


@pytest.mark.parametrize("name", DIFFERENT_FAMILIES)
def test_a_strip_leads_from_noise_to_the_picture(open_family: Open, run: Run, name: str) -> None:
    engine = open_family(name)
    whole = pixels(draw(run, engine, make_job(layout="strip"))[0])
    frames = [whole[:EDGE, left : left + EDGE] for left in range(0, whole.shape[1], EDGE + 4)]
    assert len(frames) == 5
    assert np.array_equal(frames[-1], pixels(draw(run, engine, make_job())[0]))
    [third] = draw(run, engine, make_job(layout="strip", frames=(2,)))
    assert np.array_equal(frames[2], pixels(third))
    [noise] = draw(run, engine, make_job(layout="strip", frames=(0,)))
    assert np.array_equal(frames[0], pixels(noise))


@pytest.mark.parametrize("name", DIFFERENT_FAMILIES)
def test_variations_start_from_the_picture(open_family: Open, run: Run, name: str) -> None:
    engine = open_family(name)
    start, other = [encode(Image.new("RGB", (64, 48), colour), {}) for colour in ("red", "blue")]
    apart = []
    for strength in (0.3, 1.0):
        asked = {"seed": 2, "steps": 10, "strength": strength}
        events = run(engine, make_job(**asked, initial=start, count=2))
        assert progress_of(events)[-1] == (int(10 * strength),) * 2
        [drawn] = draw(run, engine, make_job(**asked, initial=other))
        apart.append(np.abs(pixels(pictures_of(events)[0]) - pixels(drawn)).mean())
    assert apart[0] > apart[1]
    both = run(engine, make_job("a", initial=start, strength=0.5), make_job("b", initial=start, strength=0.5, seed=8))
    alone = draw(run, engine, make_job("b", initial=start, strength=0.5, seed=8))
    assert difference(alone[0], pictures_of(both, "b")[0]) <= 1


def test_the_smallest_strength_takes_one_step(open_family: Open, run: Run) -> None:
    start = encode(Image.new("RGB", (64, 48), "red"), {})
    for steps in (7, 49):
        events = run(open_family("sd"), make_job(initial=start, strength=0.001, steps=steps))
        assert progress_of(events)[-1] == (1, 1)
        assert len(pictures_of(events)) == 1


def test_input_that_the_pipeline_refuses_fails_that_job_alone(open_family: Open, run: Run) -> None:
    start = encode(Image.new("RGB", (64, 48), "red"), {})
    events = run(open_family("lcm"), make_job(initial=start, strength=0.1, steps=10), make_job("b"))
    [failed] = failures_of(events).values()
    assert (failed.job, failed.status) == ("a", 400)
    assert failed.message == "tiny cannot draw this; it may with other steps, another size or another strength."
    assert len(pictures_of(events, "b")) == 1


def test_a_negative_prompt_changes_the_picture_or_is_refused(open_family: Open, run: Run) -> None:
    engine = open_family("sdxl")
    jobs = [make_job("a", negative_prompt="a dog"), make_job("b"), make_job("c", negative_prompt="red")]
    drawn = [draw(run, engine, job)[0] for job in jobs]
    together = run(engine, *jobs)
    assert all(difference(one, pictures_of(together, job.id)[0]) <= 1 for one, job in zip(drawn, jobs, strict=True))
    assert min(difference(drawn[0], drawn[1]), difference(drawn[0], drawn[2])) > 1
    [failed] = failures_of(run(open_family("flux"), make_job(negative_prompt="a dog"))).values()
    assert failed.message == "tiny takes no negative prompt; please leave it out."


# Without steps


def test_a_pipeline_without_callbacks_draws_without_previews(
    open_family: Open, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_engine, "STEP_TIMEOUT_SECONDS", 0.001)
    engine = open_family("pixart")
    events = run(engine, make_job(previews=3, steps=30))
    assert not previews_of(events)
    reported = progress_of(events)
    assert (reported[0], reported[-1]) == ((0, 30), (30, 30))
    assert len(reported) > 2, "progress is repeated while nothing is known of the steps"
    [failed] = failures_of(run(engine, make_job(layout="strip"))).values()
    assert (failed.message, failed.param) == ("The steps of tiny cannot be shown; ask for the picture alone.", "layout")
    engine.add(make_job("b", steps=30))
    engine.step()
    engine.remove("b")
    engine.add(make_job("c"))
    with monkeypatch.context() as patch:
        patch.setattr(engine._thread, "wait_until_idle", lambda _: False)
        events = list(engine.step())
    assert not progress_of(events, "c"), "the call of b runs to its end first"
    while not pictures_of(events, "c"):
        events += engine.step()


def test_previews_and_frames_do_not_bypass_a_safety_checker(open_family: Open, run: Run) -> None:
    engine = open_family("sd-checked")
    events = run(engine, make_job(previews=3))
    assert not previews_of(events)
    assert pixels(pictures_of(events)[0]).any()
    for layout in ("strip", "animation"):
        [failed] = failures_of(run(engine, make_job(layout=layout))).values()
        assert failed.message == "The steps of tiny cannot be shown; ask for the picture alone."
    start = encode(Image.new("RGB", (64, 48), "red"), {})
    for asked in ({"count": 2}, {"layout": "grid", "count": 2}, {"initial": start}):
        hidden = run(open_family("sd-strict"), make_job(**asked))
        assert not pixels(pictures_of(hidden)[0])[:EDGE, :EDGE].any()


# Many at once


def test_pictures_with_the_same_key_share_a_call(open_family: Open, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_family("sd")
    calls = CallRecorder(engine, monkeypatch)
    run(
        engine,
        make_job("a", seed=1),
        make_job("b", prompt="x", seed=2),
        make_job("c", steps=3),
        make_job("d", guidance=1.0),
    )
    assert calls.sizes == [2, 1, 1]


def test_shares_are_equal_and_calls_no_larger_than_the_batch(
    open_family: Open, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_family("sd", batch=3)
    assert engine.capacity == 3
    calls = CallRecorder(engine, monkeypatch)
    events = run(engine, make_job("many", count=6), make_job("b"), make_job("c"))
    assert calls.sizes == [3, 3, 2]
    ended = [event.job for event in events if isinstance(event, Finished)]
    assert ended == ["b", "c", "many"]
    seeds = [identify(picture)[1]["seed"] for picture in pictures_of(events, "many")]
    assert seeds == [str(7 + index) for index in range(6)]


def test_a_late_job_waits_for_the_next_call(open_family: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_family("sd")
    calls = CallRecorder(engine, monkeypatch)
    engine.add(make_job("a"))
    events = list(engine.step())
    engine.add(make_job("b"))
    while sum(isinstance(event, Finished) for event in events) < 2:
        events += engine.step()
    assert calls.sizes == [1, 1]


def test_a_job_that_waits_for_its_call_gets_no_progress(open_family: Open, run: Run) -> None:
    """Progress would replace the place in the queue that is shown, and the steps of others would estimate its time."""
    events = run(open_family("sd"), make_job("a"), make_job("b", steps=3))
    reported = [(event.job, event.step) for event in events if isinstance(event, Progress)]
    assert reported == [*(("a", step) for step in range(5)), *(("b", step) for step in range(4))]


def test_previews_leave_pictures_of_later_calls_blank(open_family: Open, run: Run) -> None:
    events = run(open_family("sd", batch=1), make_job(count=2, previews=3))
    assert [open_image(preview.png).size for preview in previews_of(events)] == [(2 * EDGE + 4, EDGE)] * 3


def test_a_sweep_takes_a_call_for_each_value(open_family: Open, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_family("sd")
    calls = CallRecorder(engine, monkeypatch)
    events = run(engine, make_job(sweep=Sweep("guidance", (1.0, 5.0))))
    assert calls.sizes == [1, 1]
    whole = pixels(pictures_of(events)[0])
    for place, guidance in enumerate((1.0, 5.0)):
        [alone] = draw(run, engine, make_job(guidance=guidance))
        assert np.abs(whole[:EDGE, place * (EDGE + 4) :][:, :EDGE] - pixels(alone)).max() <= 1


# What goes wrong


def test_bad_input_fails_that_job_alone(open_family: Open, run: Run) -> None:
    engine = open_family("sd")
    events = run(
        engine,
        make_job("a", steps=0),
        make_job("b"),
        make_job("c", initial=b"x"),
        Job(id="d", model="tiny", task=Embed(texts=("x",))),
    )
    assert {name: failure.param for name, failure in failures_of(events).items()} == {
        "a": "steps",
        "c": "image",
        "d": "model",
    }
    assert len(pictures_of(events, "b")) == 1


def test_steps_are_not_shown_if_their_latents_cannot_be_decoded(
    loaded: Callable[..., Engine], family: Callable[[str], Path], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = Pipeline.decode
    monkeypatch.setattr(Pipeline, "decode", lambda self, latents, *rest: decode(self, -latents, *rest))
    engine = loaded("diffusion", family("sd"), size=EDGE, slicing=True)
    events = run(engine, make_job(previews=3))
    assert not previews_of(events)
    assert len(pictures_of(events)) == 1


def test_offloading_needs_a_graphics_card(loaded: Callable[..., Engine], family: Callable[[str], Path]) -> None:
    with pytest.raises(Misconfigured, match="The option offload of tiny needs a graphics card; leave it out"):
        loaded("diffusion", family("sd"), offload="model")


def test_the_defaults_are_those_of_the_pipeline(loaded: Callable[..., Engine], family: Callable[[str], Path]) -> None:
    engine = loaded("diffusion", family("sdxl"))
    assert isinstance(engine, PipelineEngine)
    can = engine._pipeline.capabilities
    assert (can.steps, can.guidance, can.width, can.sampler) == (50, 5.0, EDGE, "EulerDiscrete")
    assert (can.negative_prompts, can.can_start_from_picture, can.can_show_steps) == (True, True, True)
