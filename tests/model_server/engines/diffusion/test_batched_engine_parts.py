"""BatchedEngine with the option `parts`: the things of a prompt are drawn one by one and put together."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fakes.engines.diffusion import (
    EDGE,
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
from PIL import Image

from model_server.engines.contract import Engine
from model_server.engines.diffusion.collage import make_collage
from model_server.images import encode, identify
from model_server.jobs import EncodedPrompt, Event

Run = Callable[..., list[Event]]
PAIR = "a cat and a dog"


@pytest.fixture(scope="module")
def in_parts(loaded: Callable[..., Engine], plain: Path) -> Engine:
    return loaded("diffusion", plain, parts=True)


def test_things_are_drawn_one_by_one_and_put_together(in_parts: Engine, run: Run) -> None:
    events = run(in_parts, make_job(prompt=PAIR, seed=3))
    settings = settings_of(events)
    assert settings.parts == ("a cat", "a dog")
    alone = settings_of(run(in_parts, make_job(prompt="a cat")))
    assert settings.fingerprint != alone.fingerprint
    [cat] = draw(run, in_parts, make_job(prompt="a cat", seed=3))
    expected = make_collage("row", [open_image(cat), open_image(cat)], 3)
    [picture] = pictures_of(events)
    half = EDGE // 2
    assert np.array_equal(pixels(picture)[:, :half], np.asarray(expected).astype(int)[:, :half])
    # The second thing has noise of its own.
    [dog] = draw(run, in_parts, make_job(prompt="a dog", seed=3))
    other = make_collage("row", [open_image(dog), open_image(dog)], 3)
    assert np.abs(pixels(picture)[:, half:] - np.asarray(other).astype(int)[:, half:]).mean() > 5


def test_the_things_of_a_scene_that_a_bank_knows_are_drawn_one_by_one(
    loaded: Callable[..., Engine], run: Run, looking: Path
) -> None:
    for prompt, parts, meant in (
        ("a red dog", (), ""),
        ("dogs chasing a red cart through the village", ("dog", "red cart"), ""),
        ("a dog running over a wide meadow", (), "dog"),
    ):
        settings = settings_of(
            run(loaded("diffusion", looking, parts=True), make_job(prompt=prompt, references=1, steps=1))
        )
        assert (settings.parts, settings.meant) == (parts, meant)


def test_a_thing_in_a_place_is_read_with_its_place(loaded: Callable[..., Engine], run: Run, looking: Path) -> None:
    engine, prompt = loaded("diffusion", looking, parts=True), "a dog running in the snow"
    one, other = (settings_of(run(engine, make_job(prompt=prompt, references=count, steps=1))) for count in (0, 1))
    assert one.prompt == other.prompt


def test_what_the_text_encoder_read_is_that_of_all_things_once(in_parts: Engine, run: Run) -> None:
    def read(prompt: str) -> EncodedPrompt:
        settings = settings_of(run(in_parts, make_job(prompt=prompt, steps=1)))
        return settings.prompt

    assert read(PAIR).tokens == read("a cat").tokens + read("a dog").tokens
    assert read("three cats").tokens == read("a cat").tokens


def test_things_are_the_same_in_any_company(in_parts: Engine, run: Run) -> None:
    crowd = make_job("crowd", prompt="six dogs", seed=8, steps=5, count=4)
    job = make_job("pair", prompt=PAIR, seed=3, steps=4, layout="strip")
    together = run(in_parts, crowd, job)
    assert difference_from_alone(run, in_parts, together, crowd, job) <= 1


def halves(right: str, parts: str) -> bytes:
    """A picture that is red at the left, with the stamp of one that was drawn in so many parts."""
    picture = Image.new("RGB", (EDGE, EDGE), "red")
    picture.paste(right, (EDGE // 2, 0, EDGE, EDGE))
    return encode(picture, {"parts": parts})


def test_a_variation_begins_each_thing_with_its_own_place_in_the_picture(in_parts: Engine, run: Run) -> None:
    half = EDGE // 2
    blue, green = [
        pixels(
            draw(run, in_parts, make_job(prompt=PAIR, seed=4, steps=10, initial=halves(right, "2"), strength=0.6))[0]
        )
        for right in ("blue", "green")
    ]
    assert np.array_equal(blue[:, :half], green[:, :half])
    assert not np.array_equal(blue[:, half:], green[:, half:])


@pytest.mark.parametrize(("parts", "strength", "expected"), [("2", 0.6, 2), ("2", 0.3, 0), ("3", 0.6, 0), ("", 0.6, 0)])
def test_a_variation_is_drawn_in_parts_if_its_picture_was_and_little_of_it_stays(
    in_parts: Engine, run: Run, parts: str, strength: float, expected: int
) -> None:
    job = make_job(prompt="a cat on a dog", steps=4, initial=halves("blue", parts), strength=strength)
    settings = settings_of(run(in_parts, job))
    assert len(settings.parts) == expected


def test_what_is_no_picture_is_refused(in_parts: Engine, run: Run) -> None:
    failures = failures_of(run(in_parts, make_job(prompt=PAIR, initial=b"no picture", strength=0.6)))
    assert failures["a"].message == "This is no picture that can be read; send a PNG, JPEG or WebP file."


def test_a_drawn_picture_says_in_how_many_parts_it_was_drawn(in_parts: Engine, run: Run) -> None:
    assert identify(draw(run, in_parts, make_job(prompt=PAIR))[0])[1]["parts"] == "2"
    assert "parts" not in identify(draw(run, in_parts, make_job(prompt="a cat"))[0])[1]


def test_a_single_step_looks_as_in_the_row_of_steps(in_parts: Engine, run: Run) -> None:
    [strip] = draw(run, in_parts, make_job(prompt=PAIR, seed=3, steps=4, layout="strip", frames=(0, 2)))
    [step] = draw(run, in_parts, make_job(prompt=PAIR, seed=3, steps=4, layout="strip", frames=(2,)))
    assert np.array_equal(pixels(strip)[:EDGE, -EDGE:], pixels(step)[:EDGE, -EDGE:])
    # Noise is not cut out: no white is left around it.
    assert (pixels(step)[EDGE // 2].min(axis=1) > 250).mean() < 0.2


def test_a_thing_in_a_place_is_named_beside_the_place(in_parts: Engine, run: Run) -> None:
    settings = settings_of(run(in_parts, make_job(prompt="a cat in the rain", seed=3)))
    assert settings.parts == ("a cat", "in the rain")


def test_a_prompt_for_one_thing_is_drawn_as_without_the_option(in_parts: Engine, engine: Engine, run: Run) -> None:
    assert draw(run, in_parts, make_job(prompt="a cat", seed=3)) == draw(run, engine, make_job(prompt="a cat", seed=3))


def test_without_the_option_all_is_drawn_at_once(engine: Engine, run: Run) -> None:
    settings = settings_of(run(engine, make_job(prompt=PAIR)))
    assert settings.parts == ()


def test_previews_of_things_show_them_together(in_parts: Engine, run: Run) -> None:
    [pair] = previews_of(run(in_parts, make_job(prompt=PAIR, seed=3, steps=6, previews=1)))
    [cat] = previews_of(run(in_parts, make_job(prompt="a cat", seed=3, steps=6, previews=1)))
    expected = make_collage("row", [open_image(cat.png), open_image(cat.png)], 3)
    half = EDGE // 2
    assert np.abs(pixels(pair.png)[:, :half] - np.asarray(expected).astype(int)[:, :half]).max() <= 2
    assert np.abs(pixels(pair.png)[:, half:] - np.asarray(expected).astype(int)[:, half:]).mean() > 5
