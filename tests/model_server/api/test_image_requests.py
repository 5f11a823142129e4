"""Requests for images: valid fields, and the error sentence of each mistake."""

import json
from typing import Any

import pytest
from fakes.model_server.client import refused

from model_server.api.image_requests import ImageRequest, VariationRequest
from model_server.api.requests import parse
from model_server.jobs import Faces, Imagine, Sweep


def request(**fields: Any) -> ImageRequest:
    return parse(ImageRequest, json.dumps({"model": "m", **fields}).encode())


def faces(**fields: Any) -> Faces:
    return request(**fields).to_faces()


def imagine(**fields: Any) -> Imagine:
    return request(**{"prompt": "a cat"} | fields).to_imagine()


def variation(**fields: Any) -> Imagine:
    body = json.dumps({"model": "m", "prompt": "a cat", **fields}).encode()
    return parse(VariationRequest, body).to_variation(b"picture")


def test_faces() -> None:
    assert faces(seed=1) == Faces(seed=1)
    full = faces(prompt="", n=16, seed=1, truncation=0.5, size="256x256", layout="grid", response_format="b64_json")
    assert full == Faces(seed=1, count=16, truncation=0.5, size=256, layout="grid")
    assert faces(seed=1, size="auto", stream=False, partial_images=0).size is None
    assert faces(seed=1, layout="duel", n=12, snapshot=3) == Faces(seed=1, count=12, layout="duel", snapshot=3)
    shown = faces(seed=1, layout="strip", frames=[2, 0, 2], run="broken", captions=True, blend=5, best_of=3)
    assert shown == Faces(seed=1, layout="strip", frames=(0, 2), run="broken", captions=True, blend=5, best_of=3)


def test_fields_that_are_left_open_are_the_models_choice() -> None:
    assert imagine(seed=1) == Imagine(prompt="a cat", seed=1)
    assert imagine(seed=1, size="auto", steps=None, partial_images=0, layout=None) == Imagine(prompt="a cat", seed=1)
    assert len({imagine().seed for _ in range(5)}) > 1


def test_all_fields_reach_the_task() -> None:
    same = {
        "seed": 0,
        "steps": 12,
        "guidance": 3,
        "least_steps": 4,
        "most_steps": 40,
        "least_guidance": 0.5,
        "most_guidance": 10,
        "references": 3,
        "least_references": 1,
        "most_references": 4,
        "negative_prompt": "a dog",
        "layout": "strip",
    }
    asked = {"n": 4, "size": "48x32", "frames": [5, 0, 5], "enlarge": 256, "stream": True, "partial_images": 3}
    neutral = {"response_format": "b64_json", "output_format": "png", "background": "auto", "quality": "high"}
    drawn = {"count": 4, "width": 48, "height": 32, "frames": (0, 5), "edge": 256, "previews": 3}
    assert imagine(**same, **asked, **neutral) == Imagine(prompt="a cat", **same, **drawn)
    assert imagine(seed=1, layout="animation", output_format="gif").layout == "animation"


def test_sweeps() -> None:
    assert imagine(sweep={"guidance": [1, 3.5]}).sweep == Sweep("guidance", (1.0, 3.5))
    assert imagine(sweep={"references": [0, 3]}).sweep == Sweep("references", (0, 3))
    assert imagine(sweep={"steps": [5, 15]}, n=1, layout="separate").sweep == Sweep("steps", (5, 15))


def test_variations() -> None:
    assert variation(seed=1) == Imagine(prompt="a cat", seed=1, initial=b"picture")
    assert variation(seed=1, strength=0.25, n=4).strength == 0.25


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"n": 0}, "`n` must be at least 1, but 0 was given."),
        ({"n": 17}, "`n` must be at most 16, but 17 was given."),
        ({"truncation": 0}, "`truncation` must be greater than 0, but 0 was given."),
        ({"size": "256x128"}, "`size` must be a square such as 256x256 for faces, but '256x128' was given."),
        ({"size": "0x0"}, "`size` must be auto or look like 256x256, but '0x0' was given."),
        ({"layout": "row"}, "`layout` must be separate, grid, strip, animation or duel, but 'row' was given."),
        ({"run": "bad"}, "`run` must be good or broken, but 'bad' was given."),
        (
            {"response_format": "url"},
            "`response_format` must be b64_json; this server keeps no pictures that a URL could name.",
        ),
        *(
            ({name: value}, f"`{name}` has no meaning for faces; please leave it out.")
            for name, value in {"stream": True, "most_steps": 9, "guidance": 0, "negative_prompt": "x"}.items()
        ),
        ({"negative_prompt": "x", "least_steps": 1}, "`least_steps` has no meaning for faces; please leave it out."),
        ({"background": "transparent"}, "`background` is not supported here; please leave it out."),
    ],
    ids=str,
)
def test_mistakes_about_faces(fields: dict[str, Any], sentence: str) -> None:
    refused(faces, fields, sentence)


NO_PROMPT = "`prompt` must not be empty; say what the picture shall show."
NO_SWEEP = "`sweep` must have `guidance`, `steps` or `references`, with a list of values."
ROW = "`sweep` lays one picture out in a row of its own; please leave `n` and `layout` out."


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"prompt": None}, NO_PROMPT),
        ({"prompt": " \n"}, NO_PROMPT),
        ({"prompt": "x" * 32_001}, "`prompt` must have at most 32000 characters."),
        ({"steps": 10**400}, f"`steps` must be less than 2147483648, but 1{'0' * 39}… was given."),
        ({"negative_prompt": "x" * 32_001}, "`negative_prompt` must have at most 32000 characters."),
        ({"steps": 0}, "`steps` must be at least 1, but 0 was given."),
        ({"guidance": -1}, "`guidance` must be at least 0, but -1 was given."),
        ({"references": 5}, "`references` must be at most 4, but 5 was given."),
        ({"partial_images": 17}, "`partial_images` must be at most 16, but 17 was given."),
        ({"partial_images": 2}, "`partial_images` only has a meaning with `stream`: true."),
        ({"truncation": 0.5}, "`truncation` only has a meaning for faces; please leave it out."),
        ({"blend": 3}, "`blend` only has a meaning for faces; please leave it out."),
        ({"frames": [1]}, "`frames` only has a meaning with the layout strip or animation."),
        ({"frames": [], "layout": "strip"}, "`frames` must be a list of at least 1, but 0 were given."),
        ({"frames": [-1], "layout": "strip"}, "`frames.0` must be at least 0, but -1 was given."),
        (
            {"layout": "animation", "output_format": "png"},
            "`output_format` must be gif for the layout animation, and png for all others.",
        ),
        ({"output_format": "webp"}, "`output_format` must be png or gif, but 'webp' was given."),
        ({"sweep": {}}, NO_SWEEP),
        ({"sweep": {"steps": [1, 2], "guidance": [1, 2]}}, NO_SWEEP),
        ({"sweep": "guidance"}, "`sweep` must be an object, but 'guidance' was given."),
        ({"sweep": {"steps": [5]}}, "`sweep.steps` must be a list of at least 2, but 1 were given."),
        ({"sweep": {"guidance": [1, 3]}, "n": 2}, ROW),
        ({"sweep": {"guidance": [1, 3]}, "layout": "grid"}, ROW),
    ],
    ids=str,
)
def test_mistakes_about_images_of_a_prompt(fields: dict[str, Any], sentence: str) -> None:
    refused(imagine, fields, sentence)


def test_the_sheet_of_a_duel_is_for_faces() -> None:
    sentence = "The layout duel only has a meaning for faces; please choose another one."
    refused(imagine, {"layout": "duel"}, sentence, "layout")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"prompt": ""}, "`prompt` must not be empty."),
        ({"strength": 1.5}, "`strength` must be at most 1, but 1.5 was given."),
        ({"strength": 0}, "`strength` must be greater than 0, but 0 was given."),
        ({"output_format": "gif"}, "`output_format` must be gif for the layout animation, and png for all others."),
    ],
    ids=str,
)
def test_mistakes_about_variations(fields: dict[str, Any], sentence: str) -> None:
    refused(variation, fields, sentence)
