"""The engine that takes steps with many pictures: each comes out as if it were alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.engines.diffusion import EDGE, difference, failures, imagine, opened, pictures, pixels, previews

from model_server.engines.contract import Engine, EngineSpec
from model_server.engines.diffusion import open_engine
from model_server.engines.diffusion.batched_engine import BatchedEngine
from model_server.images import identify
from model_server.jobs import EncodedPrompt, Event, Finished, Job, Picture, Progress, ResolvedSettings, Started

Run = Callable[..., list[Event]]


def bfloat16(folder: Path) -> Engine:
    engine = open_engine(EngineSpec(name="tiny", engine="diffusion", folder=folder, device="cpu", dtype="bfloat16"))
    engine.load()
    return engine


def only(run: Run, engine: Engine, job: Job) -> list[bytes]:
    return pictures(run(engine, job), job.id)


# The same seed, the same picture


JOBS = [
    imagine("a", prompt="a cat", seed=1, steps=6),
    imagine("b", prompt="a dog", seed=2, steps=3, guidance=7.5, negative_prompt="a cat"),
    imagine("c", prompt="a red car", seed=3, steps=9, guidance=1.0, count=2),
    imagine("d", prompt="", seed=4, steps=5, guidance=0.0),
]


def test_the_seed_decides_the_bytes(engine: Engine, run: Run, loaded: Callable[..., Engine], plain: Path) -> None:
    first = only(run, engine, imagine(seed=7))
    assert first == only(run, engine, imagine(seed=7)) == only(run, loaded("diffusion", plain), imagine(seed=7))
    assert difference(first[0], only(run, engine, imagine(seed=8))[0]) > 20


@pytest.mark.parametrize("kind", ["plain", "pooling"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_picture_is_the_same_alone_and_in_company(
    loaded: Callable[..., Engine], run: Run, request: pytest.FixtureRequest, kind: str, dtype: str
) -> None:
    folder = request.getfixturevalue(kind)
    drawer = loaded("diffusion", folder, guidance_rescale=0.7) if dtype == "float32" else bfloat16(folder)
    assert isinstance(drawer, BatchedEngine)
    together = run(drawer, *JOBS)
    for job in JOBS:
        for alone, joint in zip(only(run, drawer, job), pictures(together, job.id), strict=True):
            assert difference(alone, joint) <= 1


def test_those_who_join_late_and_those_who_leave_change_nothing(engine: Engine, run: Run) -> None:
    events: list[Event] = []
    for place, job in enumerate(JOBS):
        engine.add(job)
        engine.add(imagine(f"guest {place}", seed=99, count=3, steps=50))
        events += engine.step()
        engine.remove(f"guest {place}")
    while sum(isinstance(event, Finished) for event in events) < len(JOBS):
        events += engine.step()
    for job in JOBS:
        for alone, joint in zip(only(run, engine, job), pictures(events, job.id), strict=True):
            assert difference(alone, joint) <= 1


def test_picture_i_has_the_seed_plus_i(engine: Engine, run: Run) -> None:
    many = only(run, engine, imagine(seed=7, count=3))
    for index, picture in enumerate(many):
        assert identify(picture)[1]["seed"] == str(7 + index)
        assert difference(picture, only(run, engine, imagine(seed=7 + index))[0]) <= 1


def test_pictures_on_both_sides_of_the_seed_0_are_different(engine: Engine, run: Run) -> None:
    assert difference(*only(run, engine, imagine(seed=-1, count=2))) > 20


@pytest.mark.parametrize(("kind", "rescale"), [("plain", 0.0), ("pooling", 0.0), ("plain", 0.7)])
def test_it_draws_what_diffusers_draws(
    loaded: Callable[..., Engine], run: Run, request: pytest.FixtureRequest, kind: str, rescale: float
) -> None:
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    folder = request.getfixturevalue(kind)
    theirs = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None, requires_safety_checker=False)
    theirs.scheduler = DPMSolverMultistepScheduler.from_config(theirs.scheduler.config)
    theirs.set_progress_bar_config(disable=True)
    expected = theirs(
        "a red cat",
        negative_prompt="a dog",
        num_inference_steps=8,
        guidance_scale=4.0,
        guidance_rescale=rescale,
        generator=torch.Generator().manual_seed(5),
    ).images[0]
    job = imagine(prompt="a red cat", negative_prompt="a dog", steps=8, guidance=4.0, seed=5)
    [drawn] = only(run, loaded("diffusion", folder, guidance_rescale=rescale), job)
    assert identify(drawn)[1].get("guidance_rescale", "0") == f"{rescale:g}"
    assert np.abs(pixels(drawn) - np.asarray(expected).astype(int)).max() <= 2


def test_guidance_leads_from_without_the_prompt_to_beyond_it(engine: Engine, run: Run) -> None:
    drawn = {guidance: only(run, engine, imagine(guidance=guidance))[0] for guidance in (0.0, 1.0, 4.0)}
    [without] = only(run, engine, imagine(prompt="", guidance=1.0))
    assert difference(drawn[0.0], without) <= 1
    assert min(difference(drawn[0.0], drawn[1.0]), difference(drawn[1.0], drawn[4.0])) > 1


# What is told


@pytest.mark.parametrize(
    ("guidance", "guided_by"),
    [(0.0, "nothing"), (0.5, "comparison"), (1.0, "prompt"), (3.0, "comparison")],
)
@pytest.mark.parametrize("layout", ["separate", "grid", "strip", "animation"])
def test_what_led_each_step_is_told(engine: Engine, run: Run, guidance: float, guided_by: str, layout: str) -> None:
    events = run(engine, imagine(guidance=guidance, layout=layout, steps=2))
    assert [event.guided_by for event in events if isinstance(event, Picture)] == [guided_by]


def test_events_come_in_order(engine: Engine, run: Run) -> None:
    events = run(engine, imagine(steps=3, previews=1, negative_prompt="a dog"))
    kinds = [type(event).__name__ for event in events]
    assert kinds == ["Started", "Chosen", "Preview", "Progress", "Progress", "Progress", "Picture", "Finished"]
    assert [event for event in events if isinstance(event, Progress)] == [Progress("a", n, 3) for n in (1, 2, 3)]
    assert events[0] == Started("a")
    assert events[1] == ResolvedSettings(
        job="a",
        steps=3,
        guidance=3.0,
        width=EDGE,
        height=EDGE,
        sampler="DPM-Solver++ 2M",
        strength=None,
        prompt=EncodedPrompt(("[CLS]", "a", "c", "##a", "##t", "[SEP]"), (), 16),
        negative_prompt=EncodedPrompt(("[CLS]", "a", "d", "##o", "##g", "[SEP]"), (), 16),
    )


def test_what_the_text_encoder_did_not_see_is_told_and_changes_nothing(engine: Engine, run: Run) -> None:
    long = "abcdefghijklmn"
    chosen = next(event for event in run(engine, imagine(prompt=long + " zz")) if isinstance(event, ResolvedSettings))
    assert chosen.prompt.tokens == ("[CLS]", "a", *(f"##{letter}" for letter in long[1:]), "[SEP]")
    assert chosen.prompt.dropped == ("z", "##z")
    assert only(run, engine, imagine(prompt=long + " zz")) != only(run, engine, imagine(prompt=long[:-1]))
    assert pixels(only(run, engine, imagine(prompt=long + " zz"))[0]).tolist() == (
        pixels(only(run, engine, imagine(prompt=long))[0]).tolist()
    )


def test_words_that_the_text_encoder_does_not_know_are_told(engine: Engine, run: Run) -> None:
    chosen = next(event for event in run(engine, imagine(prompt="a 🍎 cat 猫")) if isinstance(event, ResolvedSettings))
    assert chosen.prompt.tokens == ("[CLS]", "a", "[UNK]", "c", "##a", "##t", "[UNK]", "[SEP]")
    assert chosen.prompt.unknown == ("🍎", "猫")


def test_choices_left_open_are_made(engine: Engine, run: Run) -> None:
    events = run(engine, imagine(steps=None, guidance=None))
    chosen = next(event for event in events if isinstance(event, ResolvedSettings))
    assert (chosen.steps, chosen.guidance, chosen.width, chosen.height) == (30, 3.0, EDGE, EDGE)


@pytest.mark.parametrize(
    ("asked", "steps", "guidance"),
    [
        ({"most_steps": 100, "most_guidance": 15.0}, 30, 3.0),
        ({"most_steps": 2, "most_guidance": 1.5}, 2, 1.5),
        ({"most_steps": 2, "most_guidance": 1.5, "steps": 5, "guidance": 7.0}, 5, 7.0),
        ({"least_steps": 2, "least_guidance": 1.5}, 30, 3.0),
        ({"least_steps": 40, "least_guidance": 5.0}, 40, 5.0),
        ({"least_steps": 40, "least_guidance": 5.0, "steps": 5, "guidance": 0.5}, 5, 0.5),
        ({"least_steps": 40, "most_steps": 20, "least_guidance": 5.0, "most_guidance": 2.0}, 20, 2.0),
    ],
)
def test_the_engines_choices_go_no_further_than_they_may(
    engine: Engine, run: Run, asked: dict[str, object], steps: int, guidance: float
) -> None:
    events = run(engine, imagine(**{"steps": None, "guidance": None} | asked))
    chosen = next(event for event in events if isinstance(event, ResolvedSettings))
    assert (chosen.steps, chosen.guidance) == (steps, guidance)


def test_the_operators_choices_come_before_the_engines(loaded: Callable[..., Engine], plain: Path, run: Run) -> None:
    engine = loaded("diffusion", plain, steps=2, guidance=5, size=48, batch=3)
    assert engine.capacity == 3
    chosen = next(
        event for event in run(engine, imagine(steps=None, guidance=None)) if isinstance(event, ResolvedSettings)
    )
    assert (chosen.steps, chosen.guidance, chosen.width) == (2, 5.0, 48)


def test_a_picture_says_what_made_it(engine: Engine, run: Run) -> None:
    _, made_by = identify(only(run, engine, imagine(negative_prompt="a dog", prompt="a größe", count=2))[1])
    assert made_by == {
        "Software": "Tempera",
        "model": "tiny",
        "prompt": "a größe",
        "negative_prompt": "a dog",
        "seed": "8",
        "steps": "4",
        "guidance": "3",
        "sampler": "DPM-Solver++ 2M",
        "size": "32x32",
    }


@pytest.mark.parametrize(("steps", "count"), [(30, 3), (30, 8), (5, 3), (2, 3), (1, 3), (30, 0)])
def test_the_first_preview_comes_within_three_steps_and_none_after_the_last(
    engine: Engine, run: Run, steps: int, count: int
) -> None:
    events = run(engine, imagine(steps=steps, previews=count))
    assert [preview.index for preview in previews(events)] == list(range(min(count, steps - 1)))
    if shown := previews(events):
        assert sum(isinstance(event, Progress) for event in events[: events.index(shown[0])]) < 3


def test_a_preview_is_the_clean_picture_that_is_expected(engine: Engine, run: Run) -> None:
    network, seed = engine._network, 5
    [preview] = previews(run(engine, imagine(prompt="a cat", seed=seed, steps=2, guidance=1.0, previews=1)))
    move, noise = network.solver.moves(2)[0], network.noise(seed, EDGE, EDGE)[None]
    with torch.inference_mode():
        output = network.predict(noise, [move.timestep], [network.states("a cat")])
        [expected] = network.decode(move.of_noisy * noise + move.of_output * output)
    assert np.abs(pixels(preview.png) - np.asarray(expected).astype(int)).max() <= 1


def test_previews_of_several_pictures_lie_in_a_grid_and_are_enlarged_a_little(engine: Engine, run: Run) -> None:
    [preview] = previews(run(engine, imagine(count=4, previews=1)))
    assert opened(preview.png).size == (2 * EDGE + 4, 2 * EDGE + 4)
    [preview] = previews(run(engine, imagine(previews=1, edge=512)))
    assert opened(preview.png).size == (256, 256)


def test_previews_make_do_with_the_memory_that_there_is(
    engine: Engine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = imagine(count=4, previews=3)
    roomy = previews(run(engine, job))
    decode, room = engine._network.decode, 0

    def cramped(latents: torch.Tensor) -> object:
        if len(latents) > room:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")
        return decode(latents)

    monkeypatch.setattr(engine._network, "decode", cramped)
    engine.add(job)
    events = list(engine.step())
    room = 1
    while not failures(events) and len(pictures(events)) < 4:
        events += engine.step()
    assert not failures(events)
    assert [(preview.index, preview.step) for preview in previews(events)] == [(1, 2), (2, 3)]
    for one, other in zip(previews(events), roomy[1:], strict=True):
        assert difference(one.png, other.png) <= 1


# From a picture


def test_a_variation_is_the_nearer_the_weaker_it_is(engine: Engine, run: Run) -> None:
    [start] = only(run, engine, imagine(seed=1, steps=20))
    away = []
    for strength in (0.1, 0.5, 1.0):
        events = run(engine, imagine(seed=2, steps=20, initial=start, strength=strength))
        assert identify(pictures(events)[0])[1]["strength"] == f"{strength:g}"
        assert events[-3] == Progress("a", int(20 * strength), int(20 * strength))
        away.append(np.abs(pixels(pictures(events)[0]) - pixels(start)).mean())
    assert away[0] < away[1] < away[2]


def test_variations_are_the_same_alone_and_in_company(engine: Engine, run: Run) -> None:
    [start] = only(run, engine, imagine(seed=1))
    jobs = [imagine("v", initial=start, strength=0.5, count=2, steps=8), imagine("o", steps=9)]
    together = run(engine, *jobs)
    for alone, joint in zip(only(run, engine, jobs[0]), pictures(together, "v"), strict=True):
        assert difference(alone, joint) <= 1


# Many at once


def test_everybody_takes_every_step_and_the_rest_goes_to_who_wants_more(engine: Engine) -> None:
    engine.add(imagine("many", count=16, steps=2))
    for name in "bc":
        engine.add(imagine(name, steps=2))
    events: list[Event] = []
    rounds = 0
    while sum(isinstance(event, Finished) for event in events) < 3:
        new = list(engine.step())
        rounds += 1
        events += new
        if rounds <= 2:
            assert {Progress("b", rounds, 2), Progress("c", rounds, 2)} <= set(new)
    # 36 single steps with 8 in a round; the one round of 6 and 2 is not full only at the end.
    assert rounds == 5
    assert len(pictures(events, "many")) == 16
    assert [identify(picture)[1]["seed"] for picture in pictures(events, "many")] == [str(7 + n) for n in range(16)]


def test_a_removed_job_is_silent_and_its_place_free(engine: Engine, run: Run) -> None:
    engine.add(imagine(count=9))
    assert engine.step()
    engine.remove("a")
    engine.remove("unknown")
    engine.add(imagine("b"))
    engine.remove("b")
    assert engine.step() == []
    assert len(only(run, engine, imagine("c", count=8, steps=1))) == 8


# What goes wrong


@pytest.mark.parametrize("seed", [-1, 0, 2**32 + 7, 2**64 - 1, 2**70])
def test_any_whole_number_is_a_seed(engine: Engine, run: Run, seed: int) -> None:
    assert only(run, engine, imagine(seed=seed)) != only(run, engine, imagine(seed=7))


class Cramped:
    """A UNet that has memory for so many rows."""

    def __init__(self, unet: torch.nn.Module, rows: int) -> None:
        self._unet, self.rows, self.config = unet, rows, unet.config

    def __call__(self, rows: torch.Tensor, *rest: object, **more: object) -> object:
        if len(rows) > self.rows:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")
        return self._unet(rows, *rest, **more)


@pytest.fixture
def cramped(loaded: Callable[..., Engine], plain: Path) -> Engine:
    """An engine whose network takes two rows at a time."""
    engine = loaded("diffusion", plain)
    assert isinstance(engine, BatchedEngine)
    engine._network._unet = Cramped(engine._network._unet, 2)
    return engine


def test_what_does_not_fit_at_once_is_drawn_in_parts(cramped: Engine, engine: Engine, run: Run) -> None:
    events = run(cramped, *JOBS)
    assert not failures(events)
    for job in JOBS:
        for alone, joint in zip(only(run, engine, job), pictures(events, job.id), strict=True):
            assert difference(alone, joint) <= 1


def test_only_what_does_not_fit_alone_fails(cramped: Engine, run: Run) -> None:
    cramped._network._unet.rows = 1
    events = run(cramped, imagine("a"), imagine("b", guidance=1.0), imagine("c", count=2))
    failed = failures(events)
    assert set(failed) == {"a", "c"}
    assert {(failure.status, failure.code) for failure in failed.values()} == {(503, "out_of_memory")}
    assert len(pictures(events, "b")) == 1


def test_what_is_wrong_with_the_engine_is_no_failure_of_a_job(cramped: Engine) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    cramped._network._unet = broken
    cramped.add(imagine())
    with pytest.raises(RuntimeError, match="CUDA error"):
        cramped.step()
