"""BatchedEngine: each picture is the same as if it were drawn alone."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
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
    settings_of,
)
from fakes.engines.drawings import THINGS
from fakes.engines.pipeline_calls import OUT_OF_MEMORY_MESSAGE
from safetensors.torch import load_file, save_file

from model_server.engines.common.fingerprint import compute_fingerprint
from model_server.engines.contract import Engine, EngineSpec
from model_server.engines.diffusion import open_engine
from model_server.engines.diffusion.batched_engine import BatchedEngine
from model_server.engines.diffusion.references import TENSORS_FILE
from model_server.images import identify
from model_server.jobs import EncodedPrompt, Event, Finished, Picture, Progress, ResolvedSettings, Started, Sweep

Run = Callable[..., list[Event]]


def bfloat16(folder: Path) -> Engine:
    engine = open_engine(EngineSpec(name="tiny", engine="diffusion", folder=folder, device="cpu", dtype="bfloat16"))
    engine.load()
    return engine


# The same seed, the same picture


JOBS = [
    make_job("a", prompt="a cat", seed=1, steps=6),
    make_job("b", prompt="a dog", seed=2, steps=3, guidance=7.5, negative_prompt="a cat"),
    make_job("c", prompt="a red car", seed=3, steps=9, guidance=1.0, count=2),
    make_job("d", prompt="", seed=4, steps=5, guidance=0.0),
]


def test_the_seed_decides_the_bytes(engine: Engine, run: Run, loaded: Callable[..., Engine], plain: Path) -> None:
    first = draw(run, engine, make_job(seed=7))
    assert first == draw(run, engine, make_job(seed=7)) == draw(run, loaded("diffusion", plain), make_job(seed=7))
    assert difference(first[0], draw(run, engine, make_job(seed=8))[0]) > 20


@pytest.mark.parametrize("kind", ["plain", "pooling", "looking"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_picture_is_the_same_alone_and_in_a_batch(
    loaded: Callable[..., Engine], run: Run, request: pytest.FixtureRequest, kind: str, dtype: str
) -> None:
    folder = request.getfixturevalue(kind)
    drawer = loaded("diffusion", folder, guidance_rescale=0.7) if dtype == "float32" else bfloat16(folder)
    assert isinstance(drawer, BatchedEngine)
    together = run(drawer, *JOBS)
    assert difference_from_alone(run, drawer, together, *JOBS) <= 1


def test_jobs_that_join_late_or_leave_change_no_picture(engine: Engine, run: Run) -> None:
    events: list[Event] = []
    for place, job in enumerate(JOBS):
        engine.add(job)
        engine.add(make_job(f"guest {place}", seed=99, count=3, steps=50))
        events += engine.step()
        engine.remove(f"guest {place}")
    while sum(isinstance(event, Finished) for event in events) < len(JOBS):
        events += engine.step()
    assert difference_from_alone(run, engine, events, *JOBS) <= 1


def test_picture_i_has_the_seed_plus_i(engine: Engine, run: Run) -> None:
    many = draw(run, engine, make_job(seed=7, count=3))
    for index, picture in enumerate(many):
        assert identify(picture)[1]["seed"] == str(7 + index)
        assert difference(picture, draw(run, engine, make_job(seed=7 + index))[0]) <= 1


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
    job = make_job(prompt="a red cat", negative_prompt="a dog", steps=8, guidance=4.0, seed=5)
    [drawn] = draw(run, loaded("diffusion", folder, guidance_rescale=rescale), job)
    assert identify(drawn)[1].get("guidance_rescale", "0") == f"{rescale:g}"
    assert np.abs(pixels(drawn) - np.asarray(expected).astype(int)).max() <= 2


@pytest.mark.parametrize(
    ("start", "stop", "rows"), [(0.0, 1.0, [2] * 4), (0.25, 0.75, [1, 2, 2, 1]), (0.5, 0.5, [1] * 4)]
)
def test_only_a_part_of_the_steps_is_guided(
    loaded: Callable[..., Engine], plain: Path, run: Run, start: float, stop: float, rows: list[int]
) -> None:
    drawer = loaded("diffusion", plain, guidance_start=start, guidance_stop=stop)
    predict, counts = drawer._network.predict, []

    def count(noisy: torch.Tensor, *rest: object) -> torch.Tensor:
        counts.append(len(noisy))
        return predict(noisy, *rest)

    drawer._network.predict = count
    [drawn] = draw(run, drawer, make_job(seed=7, steps=4, guidance=9.0))
    assert counts == rows
    [all_guided] = draw(run, loaded("diffusion", plain), make_job(seed=7, steps=4, guidance=9.0))
    [unguided] = draw(run, loaded("diffusion", plain), make_job(seed=7, steps=4, guidance=1.0))
    assert (difference(drawn, all_guided) == 0) == (rows == [2] * 4)
    assert (difference(drawn, unguided) == 0) == (rows == [1] * 4)


def test_the_seed_chooses_a_style_which_is_read_with_the_prompt(
    engine: Engine, loaded: Callable[..., Engine], plain: Path, run: Run
) -> None:
    styled = loaded("diffusion", plain, styles="dog, car")
    drawn = draw(run, styled, make_job(prompt="a cat", seed=4, count=2))
    assert [identify(png)[1]["style"] for png in drawn] == ["dog", "car"]
    named = [
        draw(run, engine, make_job(prompt=f"a cat, {style}", seed=seed))[0] for seed, style in ((4, "dog"), (5, "car"))
    ]
    assert [difference(one, other) for one, other in zip(drawn, named, strict=True)] == [0, 0]
    [unstyled] = draw(run, engine, make_job(prompt="a cat", seed=4))
    assert "style" not in identify(unstyled)[1]
    assert difference(unstyled, drawn[0]) > 0
    [grid] = draw(run, styled, make_job(prompt="a cat", seed=4, count=2, layout="grid"))
    assert "style" not in identify(grid)[1]


def test_guidance_0_ignores_the_prompt_and_more_guidance_strengthens_it(engine: Engine, run: Run) -> None:
    drawn = {guidance: draw(run, engine, make_job(guidance=guidance))[0] for guidance in (0.0, 1.0, 4.0)}
    [without] = draw(run, engine, make_job(prompt="", guidance=1.0))
    assert difference(drawn[0.0], without) <= 1
    assert min(difference(drawn[0.0], drawn[1.0]), difference(drawn[1.0], drawn[4.0])) > 1


# Events


@pytest.mark.parametrize(
    ("guidance", "guided_by"),
    [(0.0, "nothing"), (0.5, "comparison"), (1.0, "prompt"), (3.0, "comparison")],
)
@pytest.mark.parametrize("layout", ["separate", "grid", "strip", "animation"])
def test_pictures_say_what_guided_them(engine: Engine, run: Run, guidance: float, guided_by: str, layout: str) -> None:
    events = run(engine, make_job(guidance=guidance, layout=layout, steps=2))
    assert [event.guided_by for event in events if isinstance(event, Picture)] == [guided_by]


def test_events_come_in_order(engine: Engine, run: Run, plain: Path) -> None:
    events = run(engine, make_job(steps=3, previews=1, negative_prompt="a dog"))
    kinds = [type(event).__name__ for event in events]
    assert kinds == [
        "Started",
        "ResolvedSettings",
        "Preview",
        "Progress",
        "Progress",
        "Progress",
        "Picture",
        "Finished",
    ]
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
        fingerprint=compute_fingerprint(plain),
    )


def test_dropped_tokens_are_reported_and_change_nothing(engine: Engine, run: Run) -> None:
    long = "abcdefghijklmn"
    chosen = settings_of(run(engine, make_job(prompt=long + " zz")))
    assert chosen.prompt.tokens == ("[CLS]", "a", *(f"##{letter}" for letter in long[1:]), "[SEP]")
    assert chosen.prompt.dropped == ("z", "##z")
    assert draw(run, engine, make_job(prompt=long + " zz")) != draw(run, engine, make_job(prompt=long[:-1]))
    assert pixels(draw(run, engine, make_job(prompt=long + " zz"))[0]).tolist() == (
        pixels(draw(run, engine, make_job(prompt=long))[0]).tolist()
    )


def test_the_name_of_a_special_token_is_read_as_text(engine: Engine, run: Run) -> None:
    job = make_job(prompt="a[SEP]cat")
    chosen = settings_of(run(engine, job))
    assert chosen.prompt.tokens.count("[SEP]") == 1
    assert chosen.prompt.tokens[-4:] == ("c", "##a", "##t", "[SEP]")


@pytest.mark.parametrize(
    ("fields", "steps", "guidance"),
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
def test_defaults_stay_within_the_bounds_of_the_request(
    engine: Engine, run: Run, fields: dict[str, object], steps: int, guidance: float
) -> None:
    chosen = settings_of(run(engine, make_job(**{"steps": None, "guidance": None} | fields)))
    assert (chosen.steps, chosen.guidance) == (steps, guidance)


def test_options_of_the_catalogue_change_the_defaults(loaded: Callable[..., Engine], plain: Path, run: Run) -> None:
    engine = loaded("diffusion", plain, steps=2, guidance=5, size=48, batch=3)
    assert engine.capacity == 3
    assert getattr(engine, "defaults", None) == {"steps": 2, "guidance": 5.0}
    chosen = settings_of(run(engine, make_job(steps=None, guidance=None)))
    assert (chosen.steps, chosen.guidance, chosen.width) == (2, 5.0, 48)


def test_the_text_fields_of_a_picture_say_what_made_it(engine: Engine, run: Run) -> None:
    _, made_by = identify(draw(run, engine, make_job(negative_prompt="a dog", prompt="a größe", count=2))[1])
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
    events = run(engine, make_job(steps=steps, previews=count))
    assert [preview.index for preview in previews_of(events)] == list(range(min(count, steps - 1)))
    if shown := previews_of(events):
        assert sum(isinstance(event, Progress) for event in events[: events.index(shown[0])]) < 3


def test_a_preview_is_the_predicted_clean_picture(engine: Engine, run: Run) -> None:
    network, seed = engine._network, 5
    [preview] = previews_of(run(engine, make_job(prompt="a cat", seed=seed, steps=2, guidance=1.0, previews=1)))
    solver_step, noise = network.solver.schedule(2)[0], network.make_noises(seed, 1, EDGE, EDGE)[0][None]
    with torch.inference_mode():
        output = network.predict(noise, [solver_step.timestep], [network.embed_prompt("a cat")])
        [expected] = network.decode(solver_step.clean_from_noisy * noise + solver_step.clean_from_output * output)
    assert np.abs(pixels(preview.png) - np.asarray(expected).astype(int)).max() <= 1


def test_previews_of_several_pictures_lie_in_a_grid_and_are_enlarged_a_little(engine: Engine, run: Run) -> None:
    [preview] = previews_of(run(engine, make_job(count=4, previews=1)))
    assert open_image(preview.png).size == (2 * EDGE + 4, 2 * EDGE + 4)
    [preview] = previews_of(run(engine, make_job(previews=1, edge=512)))
    assert open_image(preview.png).size == (256, 256)


def test_previews_are_decoded_in_parts_or_skipped_if_memory_is_short(
    engine: Engine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(count=4, previews=3)
    unlimited = previews_of(run(engine, job))
    decode, room = engine._network.decode, 0

    def cramped(latents: torch.Tensor) -> object:
        if len(latents) > room:
            raise RuntimeError(OUT_OF_MEMORY_MESSAGE)
        return decode(latents)

    monkeypatch.setattr(engine._network, "decode", cramped)
    engine.add(job)
    events = list(engine.step())
    room = 1
    while not failures_of(events) and len(pictures_of(events)) < 4:
        events += engine.step()
    assert not failures_of(events)
    assert [(preview.index, preview.step) for preview in previews_of(events)] == [(1, 2), (2, 3)]
    for one, other in zip(previews_of(events), unlimited[1:], strict=True):
        assert difference(one.png, other.png) <= 1


# Variations


def test_a_weaker_variation_is_nearer_to_its_initial_picture(engine: Engine, run: Run) -> None:
    [start] = draw(run, engine, make_job(seed=1, steps=20))
    away = []
    for strength in (0.1, 0.5, 1.0):
        events = run(engine, make_job(seed=2, steps=20, initial=start, strength=strength))
        assert identify(pictures_of(events)[0])[1]["strength"] == f"{strength:g}"
        assert events[-3] == Progress("a", int(20 * strength), int(20 * strength))
        away.append(np.abs(pixels(pictures_of(events)[0]) - pixels(start)).mean())
    assert away[0] < away[1] < away[2]


def test_variations_are_the_same_alone_and_in_a_batch(engine: Engine, run: Run) -> None:
    [start] = draw(run, engine, make_job(seed=1))
    jobs = [make_job("v", initial=start, strength=0.5, count=2, steps=8), make_job("o", steps=9)]
    together = run(engine, *jobs)
    assert difference_from_alone(run, engine, together, jobs[0]) <= 1


# Many at once


def test_every_job_advances_in_every_step_and_spare_capacity_is_shared(engine: Engine) -> None:
    engine.add(make_job("many", count=16, steps=2))
    for name in "bc":
        engine.add(make_job(name, steps=2))
    events: list[Event] = []
    rounds = 0
    while sum(isinstance(event, Finished) for event in events) < 3:
        new = list(engine.step())
        rounds += 1
        events += new
        if rounds <= 2:
            assert {Progress("b", rounds, 2), Progress("c", rounds, 2)} <= set(new)
    # 36 steps of single pictures, 8 in each round but the last.
    assert rounds == 5
    assert len(pictures_of(events, "many")) == 16
    assert [identify(picture)[1]["seed"] for picture in pictures_of(events, "many")] == [str(7 + n) for n in range(16)]


def test_a_removed_job_causes_no_events_and_frees_its_place(engine: Engine, run: Run) -> None:
    engine.add(make_job(count=9))
    assert engine.step()
    engine.remove("a")
    engine.remove("unknown")
    engine.add(make_job("b"))
    engine.remove("b")
    assert engine.step() == []
    assert len(draw(run, engine, make_job("c", count=8, steps=1))) == 8


# What goes wrong


class SmallUNet:
    """A UNet that runs out of memory above a number of rows."""

    def __init__(self, unet: torch.nn.Module, rows: int) -> None:
        self._unet, self.rows, self.config = unet, rows, unet.config

    def __call__(self, rows: torch.Tensor, *rest: object, **more: object) -> object:
        if len(rows) > self.rows:
            raise RuntimeError(OUT_OF_MEMORY_MESSAGE)
        return self._unet(rows, *rest, **more)


@pytest.fixture
def cramped(loaded: Callable[..., Engine], plain: Path) -> Engine:
    """An engine whose network has memory for two rows at a time."""
    engine = loaded("diffusion", plain)
    assert isinstance(engine, BatchedEngine)
    engine._network._unet = SmallUNet(engine._network._unet, 2)
    return engine


def test_pictures_that_do_not_fit_the_memory_together_are_drawn_in_parts(
    cramped: Engine, engine: Engine, run: Run
) -> None:
    events = run(cramped, *JOBS)
    assert not failures_of(events)
    assert difference_from_alone(run, engine, events, *JOBS) <= 1


def test_only_pictures_that_do_not_fit_the_memory_alone_fail(cramped: Engine, run: Run) -> None:
    cramped._network._unet.rows = 1
    events = run(cramped, make_job("a"), make_job("b", guidance=1.0), make_job("c", count=2))
    failed = failures_of(events)
    assert set(failed) == {"a", "c"}
    assert {(failure.status, failure.code) for failure in failed.values()} == {(503, "out_of_memory")}
    assert len(pictures_of(events, "b")) == 1


def test_a_fault_of_the_network_is_raised(cramped: Engine) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    cramped._network._unet = broken
    cramped.add(make_job())
    with pytest.raises(RuntimeError, match="CUDA error"):
        cramped.step()


# Looking at drawings


def test_the_drawings_change_the_picture_and_are_told(loaded: Callable[..., Engine], run: Run, looking: Path) -> None:
    engine = loaded("diffusion", looking)
    pictures = {}
    for count in (0, 1, 2):
        [picture] = [one for one in run(engine, make_job(references=count)) if isinstance(one, Picture)]
        pictures[count] = pixels(picture.data).tobytes()
        assert [one.thing for one in picture.references] == ["cat"] * count
        assert all(open_image(one.picture).size == (EDGE, EDGE) for one in picture.references)
        assert picture.nearest is not None
        assert 0 < picture.nearest.distance < 1
    assert len(set(pictures.values())) == 3


def test_a_description_is_drawn_by_the_name_of_what_it_means(
    loaded: Callable[..., Engine], run: Run, looking: Path, tmp_path: Path
) -> None:
    shutil.copytree(looking, tmp_path, dirs_exist_ok=True)
    meaning = loaded("diffusion", looking)._network._embed_meaning("what purrs")
    tensors = load_file(looking / TENSORS_FILE)
    texts = [meaning if thing[0] == "cat" else -meaning for thing in THINGS]
    save_file(tensors | {"texts": (torch.stack(texts) * 127).to(torch.int8)}, tmp_path / TENSORS_FILE)
    engine = loaded("diffusion", tmp_path)
    seen = {}
    for prompt, count in (("what purrs", 2), ("cat", 2), ("what purrs", 0)):
        events = run(engine, make_job(prompt=prompt, references=count))
        told = settings_of(events)
        [data] = pictures_of(events)
        seen[prompt, count] = told.meant, told.prompt.tokens, pixels(data).tobytes()
    described, named, remembered = seen.values()
    assert (described[0], named[0], remembered[0]) == ("cat", "", "")
    assert described[1:] == named[1:] != remembered[1:]


def test_a_sweep_of_references_tells_all_of_them(loaded: Callable[..., Engine], run: Run, looking: Path) -> None:
    sweep = Sweep("references", (0, 1, 3))
    events = run(loaded("diffusion", looking), make_job(sweep=sweep))
    [picture] = [one for one in events if isinstance(one, Picture)]
    assert len(picture.references) == 3
