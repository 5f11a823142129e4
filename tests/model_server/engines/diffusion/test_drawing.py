"""What becomes of pictures on their way: grids, strips, animations, single frames and sweeps."""

from collections.abc import Callable

import numpy as np
import pytest
from fakes.engines.diffusion import EDGE, failures, imagine, opened, pictures, pixels, previews
from PIL import Image

from model_server.engines.contract import Engine
from model_server.engines.diffusion.drawing import final_edge, fitting_edge
from model_server.engines.diffusion.request import MOST_KEPT
from model_server.images import NUMBER_RATIO, add_captions, encode, identify
from model_server.jobs import Event, Finished, Imagine, Job, Picture, Progress, ResolvedSettings, Sweep

Run = Callable[..., list[Event]]


def only(run: Run, engine: Engine, job: Job) -> list[bytes]:
    return pictures(run(engine, job), job.id)


# Layouts


def test_a_grid_is_one_picture(engine: Engine, run: Run) -> None:
    [whole] = only(run, engine, imagine(count=4, layout="grid"))
    assert opened(whole).size == (2 * EDGE + 4, 2 * EDGE + 4)
    [last] = only(run, engine, imagine(seed=10))
    assert np.abs(pixels(whole)[EDGE + 4 :, EDGE + 4 :] - pixels(last)).max() <= 1
    assert identify(whole)[1]["count"] == "4"


def _frames(strip: bytes, edge: int = EDGE) -> list[np.ndarray]:
    whole = pixels(strip)
    return [whole[:, left : left + edge] for left in range(0, whole.shape[1], edge + 4)]


@pytest.mark.parametrize(("steps", "count"), [(30, 10), (4, 5), (1, 2)])
def test_a_strip_leads_from_static_to_the_picture(engine: Engine, run: Run, steps: int, count: int) -> None:
    frames = _frames(only(run, engine, imagine(steps=steps, layout="strip"))[0])
    assert len(frames) == count
    last = pixels(only(run, engine, imagine(steps=steps))[0])
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
def test_a_strip_has_the_number_of_its_step_under_each_picture(
    engine: Engine, run: Run, fields: dict[str, object], numbers: list[int]
) -> None:
    frames = _frames(only(run, engine, imagine(**fields, layout="strip", edge=64))[0], 64)
    blank = [Image.new("RGB", (64, 64))] * len(numbers)
    named = add_captions(blank, [str(number) for number in numbers], NUMBER_RATIO)
    assert [frame[64:].tolist() for frame in frames] == [np.asarray(one)[64:].tolist() for one in named]


def test_an_animation_of_each_picture(engine: Engine, run: Run) -> None:
    events = run(engine, imagine(steps=5, layout="animation", count=2, edge=64))
    drawn = [event for event in events if isinstance(event, Picture)]
    assert [picture.media_type for picture in drawn] == ["image/gif"] * 2
    assert [(opened(picture.data).n_frames, opened(picture.data).size) for picture in drawn] == [(6, (64, 64))] * 2


def test_pictures_are_enlarged_at_last(engine: Engine, run: Run) -> None:
    assert opened(only(run, engine, imagine(edge=128))[0]).size == (128, 128)
    assert opened(only(run, engine, imagine(edge=128, width=48, height=24))[0]).size == (128, 64)


def test_other_sizes_and_shapes(engine: Engine, run: Run) -> None:
    events = run(engine, imagine("a", width=48), imagine("b"))
    assert opened(pictures(events, "a")[0]).size == (48, 32)
    assert opened(pictures(events, "b")[0]).size == (32, 32)


# Frames that are asked for by name


def test_a_strip_of_the_frames_that_are_named(engine: Engine, run: Run) -> None:
    events = run(engine, imagine(steps=8, layout="strip", frames=(0, 3, 8), previews=16))
    frames = _frames(pictures(events)[0])
    whole = only(run, engine, imagine(steps=8, layout="strip"))[0]
    assert [frame.tolist() for frame in frames] == [_frames(whole)[step].tolist() for step in (0, 3, 8)]
    assert identify(pictures(events)[0])[1]["frames"] == "0, 3, 8"
    assert len(previews(events)) == 7


@pytest.mark.parametrize("step", [0, 1, 3, 6])
@pytest.mark.parametrize("start", [False, True])
def test_a_single_frame_needs_no_further_steps(engine: Engine, run: Run, step: int, start: bool) -> None:
    initial = only(run, engine, imagine(seed=3))[0] if start else None
    asked = {"steps": 6, "layout": "strip", "initial": initial, "strength": 1.0}
    events = run(engine, imagine(**asked, frames=(step,)))
    assert [event.step for event in events if isinstance(event, Progress)] == list(range(1, step + 1))
    [frame] = pictures(events)
    whole = only(run, engine, imagine(**asked))[0]
    assert np.array_equal(pixels(frame), _frames(whole)[step][:EDGE])
    assert next(event for event in events if isinstance(event, ResolvedSettings)).steps == 6


def test_single_frames_of_several_pictures(engine: Engine, run: Run) -> None:
    events = run(engine, imagine(steps=4, layout="strip", frames=(0,), count=3), imagine("b"))
    assert len(pictures(events)) == 3
    assert len(pictures(events, "b")) == 1


@pytest.mark.parametrize(
    ("fields", "steps"), [({"steps": 4}, 4), ({"steps": 8, "initial": b"?", "strength": 0.5}, 4)], ids=str
)
def test_frames_behind_the_end_are_refused(engine: Engine, run: Run, fields: dict[str, object], steps: int) -> None:
    if "initial" in fields:
        fields = fields | {"initial": only(run, engine, imagine())[0]}
    [failed] = failures(run(engine, imagine(**fields, layout="strip", frames=(0, 5)))).values()
    assert (failed.status, failed.param) == (400, "frames")
    assert failed.message == f"A frame after 5 steps was asked for, but the picture takes {steps}; 0 is the noise."


# Stamps


def test_a_variation_names_the_seed_of_the_picture_that_it_began_with(engine: Engine, run: Run) -> None:
    [start] = only(run, engine, imagine(seed=-5))
    made_by = identify(only(run, engine, imagine(seed=2, initial=start))[0])[1]
    assert (made_by["seed"], made_by["strength"], made_by["source_seed"]) == ("2", "0.6", "-5")
    for fields in ({}, {"seed": "what somebody wrote"}):
        start = encode(Image.new("RGB", (EDGE, EDGE)), fields)
        assert "source_seed" not in identify(only(run, engine, imagine(initial=start))[0])[1]


# Sweeps


@pytest.mark.parametrize(
    ("sweep", "fields"),
    [
        (Sweep("guidance", (1.0, 3.0, 7.5)), [{"guidance": 1.0}, {"guidance": 3.0}, {"guidance": 7.5}]),
        (Sweep("steps", (2, 5)), [{"steps": 2}, {"steps": 5}]),
    ],
    ids=str,
)
def test_a_sweep_shows_the_same_picture_for_each_value(
    engine: Engine, run: Run, sweep: Sweep, fields: list[dict[str, object]]
) -> None:
    events = run(engine, imagine(sweep=sweep, previews=1))
    [whole] = pictures(events)
    frames = _frames(whole)
    assert len(frames) == len(sweep.values)
    for frame, field in zip(frames, fields, strict=True):
        [alone] = only(run, engine, imagine(**field))
        assert np.abs(frame[:EDGE] - pixels(alone)).max() <= 1
        assert frame[EDGE:].std() > 0, "there is no caption"
    assert identify(whole)[1][sweep.knob] == ", ".join(f"{value:g}" for value in sweep.values)
    told = [event for event in events if isinstance(event, Progress)]
    longest = max(int(field.get("steps", 4)) for field in fields)
    assert (told[-1].step, {progress.steps for progress in told}) == (longest, {longest})
    [preview] = previews(events)
    assert opened(preview.png).size == opened(whole).size
    assert isinstance(events[-1], Finished)


def test_long_values_have_smaller_captions_under_all_pictures(engine: Engine, run: Run) -> None:
    [whole] = only(run, engine, imagine(sweep=Sweep("guidance", (1.0, 7.33333)), edge=256, steps=1))
    width, height = opened(whole).size
    assert (width, 256 < height < 304) == (256 + 4 + 256, True)


@pytest.mark.parametrize(
    ("count", "columns", "rows"), [(2, 2, 1), (4, 4, 1), (5, 3, 2), (6, 3, 2), (7, 4, 2), (8, 4, 2)]
)
def test_a_sweep_of_many_values_has_two_rows(engine: Engine, run: Run, count: int, columns: int, rows: int) -> None:
    [whole] = only(run, engine, imagine(sweep=Sweep("guidance", tuple(range(1, count + 1))), steps=1))
    width, height = opened(whole).size
    assert (width, height > rows * EDGE, height < 2 * rows * EDGE) == (columns * (EDGE + 4) - 4, True, True)


@pytest.mark.parametrize(
    ("sweep", "sentence"),
    [
        (Sweep("guidance", (1.0, 31.0)), "The guidance is 31; it must be from 0 to 30."),
        (Sweep("steps", (0, 3)), "The number of steps is 0; it must be from 1 to 150."),
    ],
    ids=str,
)
def test_each_value_of_a_sweep_is_checked(engine: Engine, run: Run, sweep: Sweep, sentence: str) -> None:
    [failed] = failures(run(engine, imagine(sweep=sweep))).values()
    assert failed.message == sentence


# Sizes


def test_many_large_pictures_in_one_file_are_made_smaller() -> None:
    def edge(**fields: object) -> int | None:
        return fitting_edge(Imagine(**{"prompt": "", "seed": 0, "width": 1024, "height": 1024} | fields))  # type: ignore[arg-type]

    assert edge() is edge(count=4, layout="grid") is edge(width=64, height=64, layout="animation") is None
    for fields, count in (({"layout": "strip"}, 10), ({"count": 9, "layout": "grid"}, 9)):
        smaller = edge(**fields)
        assert smaller is not None
        assert 4_000_000 < count * smaller**2 <= 1 << 22


@pytest.mark.parametrize(
    ("layout", "frames", "in_each"), [("animation", (), 40), ("strip", (), 10), ("strip", (0, 2), 2)]
)
def test_many_files_of_many_pictures_are_no_larger_together_than_what_is_kept(
    layout: str, frames: tuple[int, ...], in_each: int
) -> None:
    def edge(count: int) -> int | None:
        task = Imagine(prompt="", seed=0, width=1024, height=1024, layout=layout, frames=frames, count=count)  # type: ignore[arg-type]
        return fitting_edge(task)

    assert edge(1) == edge(4)
    smaller = edge(16)
    assert smaller is not None
    assert 0.95 * MOST_KEPT < 16 * in_each * smaller**2 <= MOST_KEPT


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
def test_no_picture_is_made_smaller_by_enlarging_it(layout: str, count: int, edge: int, final: int | None) -> None:
    large = {"prompt": "", "seed": 0, "width": 1024, "height": 1024}
    assert final_edge(Imagine(**large, layout=layout, count=count, edge=edge)) == final  # type: ignore[arg-type]
    assert final_edge(Imagine(prompt="", seed=0, width=64, height=64, count=count, edge=edge)) == edge
