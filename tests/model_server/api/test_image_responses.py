"""Pictures in the shapes of OpenAI's responses and events."""

import base64
import json
from typing import Literal

import pytest
from PIL import Image

from http_server.wire import NearestDrawing, ReferenceDrawing
from model_server.api.image_responses import ImageAnswer
from model_server.images import animate, encode
from model_server.jobs import (
    EncodedPrompt,
    Faces,
    Finished,
    Imagine,
    Job,
    Judged,
    Picture,
    Preview,
    Progress,
    ResolvedSettings,
    Started,
)
from model_server.scheduling.cost import JobCost
from model_server.scheduling.ticket import Queued, Ticket

PNG = encode(Image.new("RGB", (12, 10)), {})
GIF = animate([Image.new("RGB", (6, 5))] * 2, {})
CHOSEN = ResolvedSettings(
    job="job_1",
    steps=30,
    guidance=3.0,
    width=64,
    height=64,
    sampler="DDIM",
    strength=None,
    prompt=EncodedPrompt(("a", "cat"), ("x",), 2),
    negative_prompt=EncodedPrompt(("dog",), (), 2),
)


def answer(task: Faces | Imagine) -> ImageAnswer:
    ticket = Ticket(Job(id="job_1", model="m", task=task), JobCost(task, 50), lambda _: None)
    ticket.run_seconds = 1.23456
    return ImageAnswer(ticket, task)


def test_face_images_are_returned_unchanged_with_what_the_discriminator_says() -> None:
    made = answer(Faces(seed=7))
    judged = Judged(job="job_1", verdicts=(0.25, 0.75), real=(True, False))
    drawn = Picture("job_1", b"\x89PNG\x00"), Picture("job_1", b"\xff")
    for event in (Started("job_1", seed=9), *drawn, judged, Finished("job_1")):
        made.add(event)
    body = json.loads(json.dumps(made.build_response()))
    assert [base64.b64decode(item["b64_json"]) for item in body["data"]] == [b"\x89PNG\x00", b"\xff"]
    judged_as = {"verdicts": [0.25, 0.75], "real": [True, False]}
    assert body["tempera"] == {"job": "job_1", "seed": 9, "seconds": 1.235} | judged_as


def test_each_picture_has_the_drawings_that_the_model_looked_at() -> None:
    made = answer(Imagine(prompt="a cat", seed=7, count=2))
    drawing = ReferenceDrawing("cat", "OpenMoji", "somebody", "CC BY-SA 4.0", PNG)
    looked = Picture("job_1", PNG, references=(drawing,), nearest=NearestDrawing(drawing, 0.21239))
    for event in (Started("job_1"), CHOSEN, looked, Picture("job_1", PNG), Finished("job_1")):
        made.add(event)
    told = {"thing": "cat", "set": "OpenMoji", "author": "somebody", "licence": "CC BY-SA 4.0"}
    told["picture"] = base64.b64encode(PNG).decode()
    own = {"looked_at": [told], "nearest": told | {"distance": 0.2124}}
    assert [item.get("tempera") for item in made.build_response()["data"]] == [own, None]
    first, second = (event["tempera"] for event in made.build_completed_events())
    assert (own.items() <= first.items(), own.keys() & second.keys()) == (True, set())


@pytest.mark.parametrize(
    ("file", "media_type", "told"), [(PNG, "image/png", ("png", "12x10")), (GIF, "image/gif", ("gif", "6x5"))]
)
def test_the_last_event_has_the_format_and_the_number_of_steps_taken(
    file: bytes, media_type: Literal["image/png", "image/gif"], told: tuple[str, str]
) -> None:
    made = answer(Imagine(prompt="a cat", seed=7, initial=PNG, strength=0.5))
    for event in (CHOSEN, Progress("job_1", 15, 15), Picture("job_1", file, media_type), Finished("job_1")):
        made.add(event)
    [last] = made.build_completed_events()
    # The same picture takes a request for 30 again, of which strength 0.5 leaves 15.
    assert (last["tempera"]["step"], last["tempera"]["steps"]) == (15, 30)
    assert (last["output_format"], last["size"]) == told
    assert made.build_response()["output_format"] == told[0]


def test_places_progress_and_previews_are_events() -> None:
    made = answer(Imagine(prompt="a cat", seed=7))
    assert made.build_event(Queued(2, 7.5)) == {
        "type": "tempera.progress",
        "tempera": {"job": "job_1", "queue": {"place": 2, "eta_s": 7.5}},
    }
    assert made.build_event(Progress("job_1", 3, 30)) == {
        "type": "tempera.progress",
        "tempera": {"job": "job_1", "step": 3, "steps": 30},
    }
    partial = made.build_event(Preview("job_1", PNG, 1, 3, 30))
    assert partial is not None
    assert (partial["type"], partial["partial_image_index"]) == ("image_generation.partial_image", 1)
    assert (partial["size"], partial["tempera"]) == ("12x10", {"job": "job_1", "step": 3, "steps": 30})
    assert (
        made.build_event(CHOSEN)
        is made.build_event(Picture("job_1", PNG))
        is made.build_event(Finished("job_1"))
        is None
    )
