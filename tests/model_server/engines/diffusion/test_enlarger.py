"""The enlarger: sharper than interpolation, true to what was drawn, and in nobody's way."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.engines.diffusion import EDGE, difference, draw, failures_of, make_job, open_image, pictures_of, settings_of
from fakes.engines.pipeline_calls import OUT_OF_MEMORY_MESSAGE
from PIL import Image, ImageDraw

from model_server.catalogue import load_catalogue
from model_server.engines.contract import Engine, EngineSpec, Misconfigured
from model_server.engines.diffusion import open_engine
from model_server.engines.diffusion.enlarger import Enlarger
from model_server.engines.diffusion.request import open_initial_picture
from model_server.images import encode, identify
from model_server.jobs import Event, Finished, Imagine, Picture, Progress

CONFIG = Path(__file__).parents[4] / "config"
FOLDER = Path(str(load_catalogue(CONFIG / "models.toml")["emoji-diffusion"].options["enlarger"]))
NAME = "Real-ESRGAN animevideov3"
Run = Callable[..., list[Event]]


@pytest.fixture(scope="module")
def enlarging(loaded: Callable[..., Engine], plain: Path) -> Engine:
    return loaded("diffusion", plain, enlarger=str(FOLDER))


def drawing(edge: int, scale: int = 1) -> Image.Image:
    """A red disc with a black rim on white."""
    large = Image.new("RGB", (1024, 1024), "white")
    ImageDraw.Draw(large).ellipse((200, 200, 824, 824), "red", "black", 48)
    return large.resize((edge * scale, edge * scale), Image.Resampling.BOX)


def error(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one).astype(int) - np.asarray(other)).mean())


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1), (torch.bfloat16, 4)], ids=str)
def test_the_weights_make_what_ncnn_makes_of_them(dtype: torch.dtype, most: int) -> None:
    enlarger = Enlarger(FOLDER, torch.device("cpu"), dtype)
    assert (enlarger.name, enlarger.scale) == (NAME, 4)
    enlarged = np.asarray(enlarger.enlarge(drawing(128))).astype(int)
    # By ncnn 1.0.20261020 from the file that was converted: red along the left rim of the disc.
    by_ncnn = [255, 255, 255, 246, 249, 236, 82, *[0] * 19, 2, 15, 61, 111, 211, 253]
    assert np.abs(enlarged[256, 94:126, 0] - by_ncnn).max() <= most


def test_a_drawing_becomes_sharper_than_by_interpolation_and_stays_the_same_picture() -> None:
    small, large = drawing(128), drawing(128, 4)
    enlarged = Enlarger(FOLDER, torch.device("cpu"), torch.float32).enlarge(small)
    interpolated = small.resize((512, 512), Image.Resampling.LANCZOS)
    assert error(enlarged, large) < 0.8 * error(interpolated, large)
    assert error(enlarged.resize((128, 128), Image.Resampling.BOX), small) < 1


def test_finished_pictures_are_enlarged_and_say_so(engine: Engine, enlarging: Engine, run: Run) -> None:
    events = run(enlarging, make_job(count=2, edge=4 * EDGE))
    assert [type(event) for event in events[-3:]] == [Picture, Picture, Finished]
    chosen = settings_of(events)
    assert (chosen.enlarged_by, chosen.width) == (NAME, EDGE)
    network = Enlarger(FOLDER, torch.device("cpu"), torch.float32)
    for drawn, small in zip(pictures_of(events), draw(run, engine, make_job(count=2)), strict=True):
        expected = network.enlarge(open_image(small).convert("RGB"))
        assert difference(drawn, encode(expected, {})) <= 2
        stamp = identify(drawn)[1]
        assert (stamp["enlarged_by"], stamp["size"]) == (NAME, f"{EDGE}x{EDGE}")
    [grid] = draw(run, enlarging, make_job(count=4, edge=3 * EDGE, layout="grid"))
    assert open_image(grid).size == (2 * 3 * EDGE + 4, 2 * 3 * EDGE + 4)
    assert identify(grid)[1]["enlarged_by"] == NAME


@pytest.mark.parametrize(
    "fields",
    [{}, {"edge": EDGE}, {"layout": "strip", "edge": 64}, {"layout": "animation", "edge": 64}],
    ids=str,
)
def test_all_other_pictures_stay_as_they_are(
    engine: Engine, enlarging: Engine, run: Run, fields: dict[str, object]
) -> None:
    events = run(enlarging, make_job(**fields))
    assert pictures_of(events) == draw(run, engine, make_job(**fields))
    assert settings_of(events).enlarged_by == ""


def test_one_picture_is_enlarged_in_a_step_while_others_go_on(enlarging: Engine, run: Run) -> None:
    [alone] = draw(run, enlarging, make_job("other", seed=3, steps=9, edge=64))
    enlarging.add(make_job("many", count=3, steps=1, edge=64))
    enlarging.add(make_job("other", seed=3, steps=9, edge=64))
    for step in (1, 2, 3):
        events = enlarging.step()
        assert Progress("other", step, 9) in events
        assert len(pictures_of(list(events), "many")) == 1
    assert Finished("many") in events
    assert draw(run, enlarging, make_job("more", steps=1, edge=64))
    while Finished("other") not in events:
        events = enlarging.step()
    assert pictures_of(list(events), "other") == [alone]


def test_a_removed_job_is_not_enlarged(enlarging: Engine) -> None:
    enlarging.add(make_job(count=3, steps=1, edge=64))
    assert len(pictures_of(list(enlarging.step()))) == 1
    enlarging.remove("a")
    assert enlarging.step() == []


def test_a_picture_that_does_not_fit_the_memory_fails_alone(
    enlarging: Engine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cramped(picture: Image.Image) -> Image.Image:
        raise RuntimeError(OUT_OF_MEMORY_MESSAGE)

    monkeypatch.setattr(enlarging._enlarging._enlarger, "enlarge", cramped)
    events = run(enlarging, make_job("a", edge=64), make_job("b"))
    assert failures_of(events)["a"].code == "out_of_memory"
    assert len(pictures_of(events, "b")) == 1


def test_an_enlarged_file_that_is_varied_begins_like_the_picture_that_was_drawn() -> None:
    small = drawing(128)
    enlarged = encode(Enlarger(FOLDER, torch.device("cpu"), torch.float32).enlarge(small), {"enlarged_by": NAME})
    start = open_initial_picture(Imagine(prompt="", seed=0, width=128, height=128, initial=enlarged))
    assert start is not None
    assert error(start, small) < 1


def test_a_wrong_enlarger_is_named(loaded: Callable[..., Engine], plain: Path, tmp_path: Path) -> None:
    for folder in (tmp_path, plain / "unet"):
        with pytest.raises(Misconfigured, match="should hold an enlarger, with model.safetensors"):
            loaded("diffusion", plain, enlarger=str(folder))


def test_other_pipelines_have_no_enlarger(plain: Path) -> None:
    options = {"enlarger": str(FOLDER), "slicing": True}
    with pytest.raises(Misconfigured, match="option enlarger is only for a plain Stable Diffusion"):
        open_engine(EngineSpec(name="tiny", engine="diffusion", folder=plain, options=options))
