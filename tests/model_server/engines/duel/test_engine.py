"""The engine of emoji faces: a seed decides everything, and the discriminator judges what is drawn."""

import io
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.engines.duel_files import REAL_COUNT, write_duel
from PIL import Image, ImageSequence

from model_server.engines.contract import Engine, EngineSpec, Misconfigured
from model_server.engines.duel.engine import interpolate
from model_server.engines.factory import create
from model_server.jobs import Event, Faces, Failed, Job, Judged, Picture

Run = Callable[..., list[Event]]
Draw = Callable[..., tuple[list[bytes], Judged]]


@pytest.fixture(scope="module")
def engine(loaded: Callable[..., Engine], tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return loaded("duel", write_duel(tmp_path_factory.mktemp("duel")))


@pytest.fixture
def draw(engine: Engine, run: Run) -> Draw:
    def drawn(**fields: object) -> tuple[list[bytes], Judged]:
        events = run(engine, Job(id="a", model="tiny", task=Faces(**{"seed": 7} | fields)))  # type: ignore[arg-type]
        (judged,) = [event for event in events if isinstance(event, Judged)]
        return [event.data for event in events if isinstance(event, Picture)], judged

    return drawn


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def cut(whole: np.ndarray, row: int, column: int, height: int = 68) -> np.ndarray:
    """Cut a face out of faces that lie in rows of this height, with gaps of four pixels between columns."""
    return whole[row * height : row * height + 64, column * 68 : column * 68 + 64]


def test_the_seed_decides_faces_and_verdicts(draw: Draw) -> None:
    files, judged = draw(count=3)
    assert draw(count=3) == (files, judged)
    assert len({*files}) == len({*judged.verdicts}) == 3
    assert all(0 < verdict < 1 for verdict in judged.verdicts)
    assert (judged.real, judged.pictures, judged.losses) == (None, None, None)
    (later,), alone = draw(seed=9)
    assert np.array_equal(pixels(later), pixels(files[2]))
    assert alone.verdicts == judged.verdicts[2:]
    # Enlarged for people, but judged as it was drawn.
    assert draw(seed=9, size=128)[1].verdicts == alone.verdicts


def test_the_best_of_several_seeds_is_what_the_detective_believes_most(draw: Draw) -> None:
    verdicts = [draw(seed=seed)[1].verdicts[0] for seed in range(7, 17)]
    sums = [one + other for one, other in pairwise(verdicts)]
    assert draw(best_of=10)[1].verdicts == (max(verdicts),)
    assert sum(draw(best_of=9, count=2)[1].verdicts) == max(sums)


def test_a_strip_shows_the_same_faces_by_every_snapshot(draw: Draw) -> None:
    (strip,), judged = draw(count=2, layout="strip")
    assert judged.pictures == (0, 160, 320)
    assert judged.losses == ((160, 0.5, 1.5), (320, 0.75, 1.25))
    for column in range(3):
        separate, alone = draw(count=2, snapshot=column)
        for row in range(2):
            assert np.array_equal(cut(pixels(strip), row, column), pixels(separate[row]))
        assert judged.verdicts[2 * column : 2 * column + 2] == alone.verdicts
    assert np.array_equal(pixels(draw()[0][0]), pixels(draw(snapshot=2)[0][0]))
    (part,), judged = draw(layout="strip", frames=(0, 2))
    assert judged.pictures == (0, 320)
    assert np.array_equal(cut(pixels(part), 0, 1), pixels(draw()[0][0]))


def test_a_film_has_a_frame_for_each_snapshot(draw: Draw) -> None:
    (film,), _ = draw(layout="animation")
    frames = [frame.convert("RGB").tobytes() for frame in ImageSequence.Iterator(Image.open(io.BytesIO(film)))]
    assert len({*frames}) == 3


def test_the_broken_run_has_networks_of_its_own(draw: Draw) -> None:
    assert draw(layout="strip", run="broken")[1].pictures == (0, 160)
    assert draw(run="broken")[0] != draw()[0]


def test_a_blend_leads_from_one_seeds_face_to_anothers(draw: Draw) -> None:
    (strip,), judged = draw(count=8, blend=12, layout="strip")
    whole = pixels(strip)
    assert whole.shape == (64, 8 * 68 - 4, 3)
    assert np.array_equal(cut(whole, 0, 0), pixels(draw(seed=7)[0][0]))
    assert np.array_equal(cut(whole, 0, 7), pixels(draw(seed=12)[0][0]))
    steps = [np.abs(cut(whole, 0, place + 1) - cut(whole, 0, place)).mean() for place in range(7)]
    direct = np.abs(cut(whole, 0, 7) - cut(whole, 0, 0)).mean()
    assert all(0 < step < direct for step in steps)
    assert len(judged.verdicts) == 8
    assert judged.pictures is None
    assert len(draw(count=8, blend=12)[0]) == 8


def test_interpolation_keeps_the_length() -> None:
    first, last = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    middle = interpolate(first, last, 0.5)
    assert torch.allclose(middle, torch.tensor([2.0, 2.0]) / 2**0.5)
    assert interpolate(first, last, 1.0) is last
    assert torch.equal(interpolate(first, first, 0.3), first)


def test_half_of_a_sheet_is_real(draw: Draw) -> None:
    (sheet,), judged = draw(count=12, layout="duel")
    assert draw(count=12, layout="duel") == ([sheet], judged)
    assert judged.real is not None
    assert sum(judged.real) == 6
    whole = pixels(sheet)
    height = (whole.shape[0] + 4) // 3
    faces = [cut(whole, *divmod(place, 4), height) for place in range(12)]
    # The real pictures of this test have one colour each; what is generated has many.
    assert tuple(len(np.unique(face.reshape(-1, 3), axis=0)) == 1 for face in faces) == judged.real
    assert len({face.tobytes() for face in faces}) == 12
    orders = {draw(seed=seed, count=12, layout="duel")[1].real for seed in range(4)}
    assert len(orders) > 1


def test_captions_stand_below_the_faces(draw: Draw) -> None:
    (plain,), (captioned,) = draw(count=4, layout="grid")[0], draw(count=4, layout="grid", captions=True)[0]
    assert pixels(captioned).shape[0] > pixels(plain).shape[0]
    assert np.array_equal(pixels(captioned)[:64, :64], pixels(plain)[:64, :64])


@pytest.mark.parametrize(
    ("fields", "param", "sentence"),
    [
        ({"snapshot": 3}, "snapshot", "There is no snapshot 3; this run has those from 0 to 2."),
        ({"layout": "strip", "frames": (0, 5)}, "frames", "There is no snapshot 5; this run has those from 0 to 2."),
        ({"run": "broken", "snapshot": 2}, "snapshot", "There is no snapshot 2; this run has those from 0 to 1."),
        (
            {"count": 16, "layout": "strip", "size": 1024},
            "size",
            "48 faces of 1024 pixels are too large together; they may have up to 577 pixels each.",
        ),
        ({"blend": 3}, "blend", "A blend has 2 faces or more, and all of them are generated."),
        (
            {"layout": "duel", "count": 3},
            "n",
            f"Half of a sheet of 3 faces cannot be real; it must have an even number up to {2 * REAL_COUNT}.",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_drawn_is_refused(
    engine: Engine, run: Run, fields: dict[str, object], param: str, sentence: str
) -> None:
    events = run(engine, Job(id="a", model="tiny", task=Faces(**{"seed": 7} | fields)))  # type: ignore[arg-type]
    assert events == [Failed("a", sentence, 400, "invalid_value", param)]


def test_files_of_something_else_are_refused(tmp_path: Path) -> None:
    write_duel(tmp_path)
    (tmp_path / "broken.safetensors").write_bytes(b"{}")
    with pytest.raises(Misconfigured, match="should hold the networks that python -m research.train duel exports"):
        create(EngineSpec(name="tiny", engine="duel", folder=tmp_path)).load()
