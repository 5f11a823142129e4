"""The face engine: the same seed gives the same bytes, whatever else is requested."""

import io
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_server.engines.contract import Engine, EngineSpec
from model_server.engines.factory import create
from model_server.jobs import Embed, Event, Faces, Failed, Finished, Job, Picture, Progress, Started

Run = Callable[..., list[Event]]


@pytest.fixture(scope="module")
def engine(loaded: Callable[..., Engine], dcgan: Path) -> Engine:
    return loaded("face", dcgan)


def faces(name: str = "a", **fields: object) -> Job:
    return Job(id=name, model="tiny", task=Faces(**{"seed": 7} | fields))  # type: ignore[arg-type]


def pngs(events: list[Event], name: str = "a") -> list[bytes]:
    return [event.data for event in events if isinstance(event, Picture) and event.job == name]


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png))).astype(float)


def test_the_seed_decides_the_bytes(engine: Engine, run: Run, loaded: Callable[..., Engine], dcgan: Path) -> None:
    assert pngs(run(engine, faces(seed=7))) == pngs(run(loaded("face", dcgan), faces(seed=7)))
    assert pngs(run(engine, faces(seed=7))) != pngs(run(engine, faces(seed=8)))


def test_a_face_is_the_same_however_many_are_drawn(engine: Engine, run: Run) -> None:
    many = pngs(run(engine, faces(seed=7, count=5)))
    assert many[:2] == pngs(run(engine, faces(seed=7, count=2)))
    assert len(set(many)) == 5
    assert np.array_equal(pixels(many[3]), pixels(pngs(run(engine, faces(seed=10)))[0]))


def test_jobs_do_not_change_each_others_faces(engine: Engine, run: Run) -> None:
    events = run(engine, faces("a", seed=1, count=3), faces("b", seed=50, count=2))
    for name, job in (("a", faces("a", seed=1, count=3)), ("b", faces("b", seed=50, count=2))):
        assert pngs(events, name) == pngs(run(engine, job), name)


def test_events_come_face_by_face(engine: Engine, run: Run) -> None:
    events = run(engine, faces(count=2))
    assert [type(event) for event in events] == [Started, Picture, Progress, Picture, Progress, Finished]
    assert events[-2] == Progress("a", 2, 2)


def test_a_grid_is_one_picture_of_the_same_faces(engine: Engine, run: Run) -> None:
    (png,) = pngs(run(engine, faces(count=3, layout="grid")))
    whole = pixels(png)
    separate = [pixels(face) for face in pngs(run(engine, faces(count=3)))]
    assert whole.shape == (36, 36, 4)
    for place, corner in enumerate([(0, 0), (0, 20), (20, 0)]):
        top, left = corner
        assert np.array_equal(whole[top : top + 16, left : left + 16, :3], separate[place])


def test_the_best_of_several_seeds_looks_at_us_and_is_named(engine: Engine, run: Run) -> None:
    def asymmetry(png: bytes) -> float:
        grey = np.asarray(Image.open(io.BytesIO(png)).convert("L")).astype(float)
        return float(np.abs(grey - grey[:, ::-1]).mean() / grey.std())

    events = run(engine, faces(seed=7, best_of=16))
    [started] = [event for event in events if isinstance(event, Started)]
    each = {seed: pngs(run(engine, faces(seed=seed)))[0] for seed in range(7, 23)}
    assert started.seed is not None
    assert pngs(events) == [each[started.seed]]
    assert asymmetry(each[started.seed]) < np.mean([asymmetry(png) for png in each.values()])
    [refused] = run(engine, faces(seed=7, best_of=2, blend=3))
    assert isinstance(refused, Failed)


def test_the_size_enlarges_each_face(engine: Engine, run: Run) -> None:
    assert pixels(pngs(run(engine, faces(size=48)))[0]).shape == (48, 48, 3)
    assert pixels(pngs(run(engine, faces(size=48, count=2, layout="grid")))[0]).shape == (48, 100, 4)


def test_the_text_fields_of_a_picture_say_what_made_it(engine: Engine, run: Run) -> None:
    text_fields = Image.open(io.BytesIO(pngs(run(engine, faces(count=2, truncation=0.5)))[1])).text
    assert text_fields == {"Software": "Tempera", "model": "tiny", "truncation": "0.5", "seed": "8", "index": "1"}
    whole = Image.open(io.BytesIO(pngs(run(engine, faces(count=2, layout="grid")))[0])).text
    assert whole == {"Software": "Tempera", "model": "tiny", "truncation": "1", "seed": "7", "count": "2"}


def test_truncation_makes_faces_alike(engine: Engine, run: Run) -> None:
    def spread(truncation: float) -> float:
        drawn = [pixels(png) for png in pngs(run(engine, faces(count=8, truncation=truncation)))]
        return float(np.mean([np.abs(one - other).mean() for one, other in combinations(drawn, 2)]))

    assert spread(1.0) > spread(0.6) > 2 * spread(0.1) > 0


def test_a_removed_job_causes_no_events(engine: Engine) -> None:
    engine.add(faces(count=9))
    assert len(engine.step()) == 3
    engine.remove("a")
    engine.remove("unknown")
    engine.add(faces("b"))
    engine.remove("b")
    assert engine.step() == []


@pytest.mark.parametrize(
    ("job", "sentence"),
    [
        (faces(count=0), "number of faces is 0; it must be from 1 to 16"),
        (faces(count=17), "number of faces is 17"),
        (faces(truncation=0.0), "truncation is 0; it must be over 0"),
        (faces(truncation=float("nan")), "truncation is nan"),
        (faces(size=4000), "size is 4000 pixels; it must be from 16 to 1024"),
        (Job(id="a", model="tiny", task=Embed(texts=("x",))), "only draws faces"),
    ],
)
def test_bad_input_fails_that_job_alone(engine: Engine, run: Run, job: Job, sentence: str) -> None:
    events = run(engine, job, faces("b"))
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert (failed.job, failed.status) == ("a", 400)
    assert sentence in failed.message
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize("seed", [-1, 0, 2**32 + 7, 2**64 - 1, 2**70])
def test_any_whole_number_is_a_seed(engine: Engine, run: Run, seed: int) -> None:
    assert pngs(run(engine, faces(seed=seed))) != pngs(run(engine, faces(seed=7)))


@pytest.mark.weights
def test_real_faces_have_the_colours_of_faces(weights: Callable[[str], EngineSpec], run: Run) -> None:
    engine = create(weights("digiface-dcgan"))
    engine.load()
    drawn = [pixels(png) for png in pngs(run(engine, faces(count=8)))]
    assert {face.shape for face in drawn} == {(64, 64, 3)}
    middles = [face[16:48, 16:48].mean(axis=(0, 1)) for face in drawn]
    assert all(red > blue for red, _, blue in middles)
    assert min(np.abs(one - other).mean() for one, other in combinations(drawn, 2)) > 10
    alike = [pixels(png) for png in pngs(run(engine, faces(count=8, truncation=0.1)))]
    assert max(np.abs(one - other).mean() for one, other in combinations(alike, 2)) < 10
    assert min(face.std() for face in alike) > 20
