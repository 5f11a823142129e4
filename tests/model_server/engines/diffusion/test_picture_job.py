"""PictureJob in an engine: grids, strips, animations, single frames, sweeps, text fields and sizes."""

from collections.abc import Callable

import numpy as np
import pytest
from fakes.engines.diffusion import (
    EDGE,
    draw,
    failures_of,
    make_job,
    open_image,
    pictures_of,
    pixels,
    previews_of,
    settings_of,
)
from PIL import Image

from http_server.wire import NearestDrawing, ReferenceDrawing
from model_server.engines.contract import Engine
from model_server.engines.diffusion.picture_job import PictureJob, choose_edge, fit_edge
from model_server.engines.diffusion.request import MAX_REQUEST_PIXELS, Capabilities, complete_task
from model_server.images import NUMBER_RATIO, add_captions, encode, identify
from model_server.jobs import (
    Event,
    Finished,
    Imagine,
    Layout,
    Picture,
    Progress,
    Sweep,
)

Run = Callable[..., list[Event]]


# Layouts


def test_a_grid_is_one_picture(engine: Engine, run: Run) -> None:
    [whole] = draw(run, engine, make_job(count=4, layout="grid"))
    assert open_image(whole).size == (2 * EDGE + 4, 2 * EDGE + 4)
    [last] = draw(run, engine, make_job(seed=10))
    assert np.abs(pixels(whole)[EDGE + 4 :, EDGE + 4 :] - pixels(last)).max() <= 1
    assert identify(whole)[1]["count"] == "4"


def _frames(strip: bytes, edge: int = EDGE) -> list[np.ndarray]:
    whole = pixels(strip)
    return [whole[:, left : left + edge] for left in range(0, whole.shape[1], edge + 4)]


@pytest.mark.parametrize(("steps", "count"), [(30, 10), (4, 5), (1, 2)])
def test_a_strip_leads_from_noise_to_the_picture(engine: Engine, run: Run, steps: int, count: int) -> None:
    frames = _frames(draw(run, engine, make_job(steps=steps, layout="strip"))[0])
    assert len(frames) == count
    last = pixels(draw(run, engine, make_job(steps=steps))[0])
    assert np.array_equal(frames[-1][:EDGE], last)
    away = [np.abs(frame[:EDGE] - last).mean() for frame in frames]
    assert away[0] == max(away) > 10


@pytest.mark.parametrize(
    ("fields", "numbers"),
    [
        ({"steps": 30}, [0, 3, 7, 10, 13, 17, 20, 23, 27, 30]),
        ({"steps": 1}, [0, 1]),
        ({"steps": 8, "frames": (0, 3, 5)}, [0, 3, 5]),
    ],
    ids=str,
)
def test_the_frames_of_a_strip_are_captioned_with_their_steps(
    engine: Engine, run: Run, fields: dict[str, object], numbers: list[int]
) -> None:
    frames = _frames(draw(run, engine, make_job(**fields, layout="strip", edge=64))[0], 64)
    blank = [Image.new("RGB", (64, 64))] * len(numbers)
    named = add_captions(blank, [str(number) for number in numbers], NUMBER_RATIO)
    assert [frame[64:].tolist() for frame in frames] == [np.asarray(one)[64:].tolist() for one in named]


def test_each_picture_becomes_an_animation(engine: Engine, run: Run) -> None:
    events = run(engine, make_job(steps=5, layout="animation", count=2, edge=64))
    drawn = [event for event in events if isinstance(event, Picture)]
    assert [picture.media_type for picture in drawn] == ["image/gif"] * 2
    assert [(open_image(picture.data).n_frames, open_image(picture.data).size) for picture in drawn] == [
        (6, (64, 64))
    ] * 2


def test_finished_pictures_are_enlarged(engine: Engine, run: Run) -> None:
    assert open_image(draw(run, engine, make_job(edge=128))[0]).size == (128, 128)
    assert open_image(draw(run, engine, make_job(edge=128, width=48, height=24))[0]).size == (128, 64)


def test_pictures_have_the_requested_width_and_height(engine: Engine, run: Run) -> None:
    events = run(engine, make_job("a", width=48), make_job("b"))
    assert open_image(pictures_of(events, "a")[0]).size == (48, 32)
    assert open_image(pictures_of(events, "b")[0]).size == (32, 32)


# Requested frames


def test_a_strip_has_the_requested_frames(engine: Engine, run: Run) -> None:
    events = run(engine, make_job(steps=8, layout="strip", frames=(0, 3, 8), previews=16))
    frames = _frames(pictures_of(events)[0])
    whole = draw(run, engine, make_job(steps=8, layout="strip"))[0]
    assert [frame.tolist() for frame in frames] == [_frames(whole)[step].tolist() for step in (0, 3, 8)]
    assert identify(pictures_of(events)[0])[1]["frames"] == "0, 3, 8"
    assert len(previews_of(events)) == 7


@pytest.mark.parametrize("step", [0, 1, 3, 6])
@pytest.mark.parametrize("start", [False, True])
def test_no_steps_are_taken_after_the_last_requested_frame(engine: Engine, run: Run, step: int, start: bool) -> None:
    initial = draw(run, engine, make_job(seed=3))[0] if start else None
    asked = {"steps": 6, "layout": "strip", "initial": initial, "strength": 1.0}
    events = run(engine, make_job(**asked, frames=(step,)))
    assert [event.step for event in events if isinstance(event, Progress)] == list(range(1, step + 1))
    [frame] = pictures_of(events)
    whole = draw(run, engine, make_job(**asked))[0]
    assert np.array_equal(pixels(frame), _frames(whole)[step][:EDGE])
    assert settings_of(events).steps == 6


def test_several_pictures_can_have_a_single_frame_each(engine: Engine, run: Run) -> None:
    events = run(engine, make_job(steps=4, layout="strip", frames=(0,), count=3), make_job("b"))
    assert len(pictures_of(events)) == 3
    assert len(pictures_of(events, "b")) == 1


@pytest.mark.parametrize(
    ("fields", "steps"), [({"steps": 4}, 4), ({"steps": 8, "initial": b"?", "strength": 0.5}, 4)], ids=str
)
def test_frames_after_the_last_step_are_refused(
    engine: Engine, run: Run, fields: dict[str, object], steps: int
) -> None:
    if "initial" in fields:
        fields = fields | {"initial": draw(run, engine, make_job())[0]}
    [failed] = failures_of(run(engine, make_job(**fields, layout="strip", frames=(0, 5)))).values()
    assert (failed.status, failed.param) == (400, "frames")
    assert failed.message == f"A frame after 5 steps was asked for, but the picture takes {steps}; 0 is the noise."


# Text fields


def test_a_variation_carries_the_seed_of_its_initial_picture(engine: Engine, run: Run) -> None:
    [start] = draw(run, engine, make_job(seed=-5))
    made_by = identify(draw(run, engine, make_job(seed=2, initial=start))[0])[1]
    assert (made_by["seed"], made_by["strength"], made_by["source_seed"]) == ("2", "0.6", "-5")
    for fields in ({}, {"seed": "what somebody wrote"}):
        start = encode(Image.new("RGB", (EDGE, EDGE)), fields)
        assert "source_seed" not in identify(draw(run, engine, make_job(initial=start))[0])[1]


# Sweeps


@pytest.mark.parametrize(
    ("sweep", "fields"),
    [
        (Sweep("guidance", (1.0, 3.0, 7.5)), [{"guidance": 1.0}, {"guidance": 3.0}, {"guidance": 7.5}]),
        (Sweep("steps", (2, 5)), [{"steps": 2}, {"steps": 5}]),
    ],
    ids=str,
)
def test_a_sweep_shows_the_picture_for_each_value_with_a_caption(
    engine: Engine, run: Run, sweep: Sweep, fields: list[dict[str, object]]
) -> None:
    events = run(engine, make_job(sweep=sweep, previews=1))
    [whole] = pictures_of(events)
    frames = _frames(whole)
    assert len(frames) == len(sweep.values)
    for frame, field in zip(frames, fields, strict=True):
        [alone] = draw(run, engine, make_job(**field))
        assert np.abs(frame[:EDGE] - pixels(alone)).max() <= 1
        assert frame[EDGE:].std() > 0, "there is no caption"
    assert identify(whole)[1][sweep.knob] == ", ".join(f"{value:g}" for value in sweep.values)
    reported = [event for event in events if isinstance(event, Progress)]
    longest = max(int(field.get("steps", 4)) for field in fields)
    assert (reported[-1].step, {progress.steps for progress in reported}) == (longest, {longest})
    [preview] = previews_of(events)
    assert open_image(preview.png).size == open_image(whole).size
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize(
    ("count", "columns", "rows"), [(2, 2, 1), (4, 4, 1), (5, 3, 2), (6, 3, 2), (7, 4, 2), (8, 4, 2)]
)
def test_a_sweep_of_many_values_has_two_rows(engine: Engine, run: Run, count: int, columns: int, rows: int) -> None:
    [whole] = draw(run, engine, make_job(sweep=Sweep("guidance", tuple(range(1, count + 1))), steps=1))
    width, height = open_image(whole).size
    assert (width, height > rows * EDGE, height < 2 * rows * EDGE) == (columns * (EDGE + 4) - 4, True, True)


# Drawings that the network looked at


def reference(thing: str) -> ReferenceDrawing:
    return ReferenceDrawing(thing, "OpenMoji", "somebody", "CC BY-SA 4.0", b"png")


CAT, DOG, OWL = map(reference, ("cat", "dog", "owl"))


def finished(task: Imagine, *references: tuple[ReferenceDrawing, ...]) -> list[Picture]:
    can = Capabilities(name="m", sampler="DDIM", steps=1, guidance=3.0, width=16, height=16, multiple=8, references=3)
    job = PictureJob("a", complete_task(task, can), can, [1] * len(references))
    picture = Image.new("RGB", (16, 16))
    events = [
        event
        for index, looked_at in reversed(list(enumerate(references)))
        for event in job.finish(index, picture, "comparison", looked_at, NearestDrawing(looked_at[0], index / 10))
    ]
    return [event for event in events if isinstance(event, Picture)]


@pytest.mark.parametrize("layout", ["separate", "strip", "animation"])
def test_each_picture_comes_with_its_drawings(layout: Layout) -> None:
    cat, dog = finished(Imagine(prompt="", seed=7, count=2, layout=layout), (CAT,), (DOG, CAT))
    assert (cat.references, cat.nearest) == ((CAT,), NearestDrawing(CAT, 0.0))
    assert (dog.references, dog.nearest) == ((DOG, CAT), NearestDrawing(DOG, 0.1))


@pytest.mark.parametrize("fields", [{"count": 3, "layout": "grid"}, {"sweep": Sweep("references", (1, 2, 3))}], ids=str)
def test_pictures_in_one_file_tell_each_of_their_drawings_once(fields: dict[str, object]) -> None:
    task = Imagine(prompt="", seed=7, **fields)  # type: ignore[arg-type]
    [whole] = finished(task, (CAT,), (CAT, DOG), (CAT, DOG, OWL))
    assert (whole.references, whole.nearest) == ((CAT, DOG, OWL), NearestDrawing(CAT, 0.0))
    assert identify(whole.data)[1]["references"] == ("1, 2, 3" if task.sweep else "3")
    many = tuple(reference(str(number)) for number in range(10))
    [whole] = finished(task, many[:4], many[4:8], many[7:])
    assert whole.references == many[:8]


# Sizes


def test_many_large_pictures_in_one_file_are_shrunk() -> None:
    def edge(**fields: object) -> int | None:
        return fit_edge(Imagine(**{"prompt": "", "seed": 0, "width": 1024, "height": 1024} | fields))  # type: ignore[arg-type]

    assert edge() is edge(count=4, layout="grid") is edge(width=64, height=64, layout="animation") is None
    for fields, count in (({"layout": "strip"}, 10), ({"count": 9, "layout": "grid"}, 9)):
        smaller = edge(**fields)
        assert smaller is not None
        assert 4_000_000 < count * smaller**2 <= 1 << 22


@pytest.mark.parametrize(
    ("layout", "frames", "in_each"), [("animation", (), 40), ("strip", (), 10), ("strip", (0, 2), 2)]
)
def test_all_files_of_a_request_stay_within_the_limit_together(
    layout: str, frames: tuple[int, ...], in_each: int
) -> None:
    def edge(count: int) -> int | None:
        task = Imagine(prompt="", seed=0, width=1024, height=1024, layout=layout, frames=frames, count=count)  # type: ignore[arg-type]
        return fit_edge(task)

    assert edge(1) == edge(4)
    smaller = edge(16)
    assert smaller is not None
    assert 0.95 * MAX_REQUEST_PIXELS < 16 * in_each * smaller**2 <= MAX_REQUEST_PIXELS


@pytest.mark.parametrize(
    ("layout", "count", "edge", "final"),
    [
        ("separate", 1, 512, None),
        ("separate", 1, 1024, None),
        ("grid", 4, 256, None),
        ("grid", 16, 256, 512),
        ("strip", 1, 128, 128),
        ("animation", 1, 256, 256),
    ],
)
def test_enlarging_never_shrinks_a_single_picture(layout: str, count: int, edge: int, final: int | None) -> None:
    large = {"prompt": "", "seed": 0, "width": 1024, "height": 1024}
    assert choose_edge(Imagine(**large, layout=layout, count=count, edge=edge)) == final  # type: ignore[arg-type]
    assert choose_edge(Imagine(prompt="", seed=0, width=64, height=64, count=count, edge=edge)) == edge
