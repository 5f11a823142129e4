import base64
import json
from contextlib import aclosing
from typing import Any

import pytest
from fakes.model_server.broken_api import broken_off, crooked, plainly
from fakes.model_server.model_api import GIF, FakeModels, look_at, png

from bot import Drawn, NearestDrawing, Preview, ReferenceDrawing, Step, Waiting
from bot.core.errors import ModelError, ModelUnavailable
from bot.inference.client import ModelClient
from bot.inference.responses import BROKEN
from bot.provenance.metadata import Label, read_label
from http_server.wire import EncodedPrompt

PATH = "/v1/images/generations"
CREDIT = ("thing", "set", "author", "licence")
TOLD = {
    "seed": 7,
    "seconds": 1.25,
    "steps": 4,
    "guidance": 3.0,
    "width": 16,
    "height": 16,
    "sampler": "DDIM",
    "guided_by": "comparison",
    "strength": None,
    "prompt": {"tokens": ["a", "cat"], "dropped": [], "limit": 8},
    "negative_prompt": None,
}


async def events(client: ModelClient, prompt: str = "a cat", **more: Any) -> list[Waiting | Step | Preview | Drawn]:
    return [event async for event in client.imagine(prompt, **{"seed": 7} | more)]


def chunk(kind: str = "image_generation.completed", **fields: Any) -> bytes:
    whole = {"type": kind, "b64_json": "AAAA", "output_format": "png", "tempera": TOLD} | fields
    return f"event: {kind}\ndata: {json.dumps(whole)}\n\n".encode()


async def test_steps_and_previews_end_with_a_picture(models: FakeModels) -> None:
    async with ModelClient(models.url) as client:
        *way, last = await events(client, previews=8, user="ann")
    seen = [(look_at(event.png), event.step) if isinstance(event, Preview) else event for event in way]
    assert seen == [
        Step(1, 4),
        (look_at(png(8)), 1),
        Step(2, 4),
        Step(3, 4),
        (look_at(png(10)), 3),
        Step(4, 4),
    ]
    assert isinstance(last, Drawn)
    assert [look_at(file) for file in last.files] == [look_at(png(7))]
    facts = {"model": "fake-images", "seed": "7", "steps": "4", "guidance": "3", "sampler": "DDIM", "size": "16x16"}
    assert read_label(last.files[0]) == Label(facts)
    # What stays of a drawing that fails is its last preview, so that says the same.
    assert [read_label(event.png) for event in way if isinstance(event, Preview)] == [
        Label({"model": "fake-images"}),
        Label({"model": "fake-images"}),
    ]
    drawn = TOLD | {"prompt": EncodedPrompt(("a", "cat"), (), 8)}
    assert last == Drawn(model="fake-images", files=last.files, media_type="image/png", **drawn)
    (body,) = models.requests
    assert body == {
        "model": "fake-images",
        "prompt": "a cat",
        "n": 1,
        "seed": 7,
        "layout": "separate",
        "stream": True,
        "partial_images": 8,
        "response_format": "b64_json",
        "user": "ann",
    }


async def test_all_arguments_are_sent_and_all_files_returned(models: FakeModels) -> None:
    async with ModelClient(models.url) as client:
        *_, drawn = await events(
            client, count=4, negative_prompt="dogs", steps=2, guidance=0, layout="grid", enlarge=64
        )
        await events(client, layout="strip", frames=(0, 2))
        await events(client, sweep={"guidance": (1, 3.5)})
        *_, three = await events(client, count=3)
        *_, film = await events(client, layout="animation")
    assert isinstance(drawn, Drawn)
    assert isinstance(three, Drawn)
    assert isinstance(film, Drawn)
    assert [look_at(file) for file in three.files] == [look_at(png(seed)) for seed in (7, 8, 9)]
    assert ([look_at(file) for file in film.files], film.media_type) == ([look_at(GIF)], "image/gif")
    assert (drawn.steps, drawn.guidance, drawn.negative_prompt) == (2, 0, EncodedPrompt(("dogs",), (), 8))
    grid, strip, sweep, *_ = models.requests
    assert {"n": 4, "negative_prompt": "dogs", "steps": 2, "guidance": 0, "layout": "grid"}.items() <= grid.items()
    assert (grid["enlarge"], strip["frames"], "sweep" in grid) == (64, [0, 2], False)
    assert sweep["sweep"] == {"guidance": [1, 3.5]}


async def test_the_drawings_of_all_files_are_read_within_their_limits() -> None:
    def told(thing: str, **more: Any) -> dict[str, Any]:
        return {"thing": thing, "set": " Open\nMoji", "author": "x" * 200, "licence": "MIT", "picture": "AAAA", **more}

    looking = [TOLD | {"references": 4, "looked_at": [told("cat"), told(thing)]} for thing in ("dog", "owl")]
    looking[0]["nearest"], looking[1]["nearest"] = told("cat", distance=0.25), told("owl", distance=0.5)
    stream = b"".join(chunk(tempera=one) for one in looking) + b"data: [DONE]\n\n"
    async with crooked(plainly(stream), PATH) as url, ModelClient(url) as client:
        (drawn,) = await events(client, references=4)
    assert isinstance(drawn, Drawn)
    cat = ReferenceDrawing("cat", "Open Moji", "x" * 100, "MIT", bytes(3))
    assert [drawing.thing for drawing in drawn.looked_at] == ["cat", "dog", "owl"]
    assert (drawn.references, drawn.looked_at[0], drawn.nearest) == (4, cat, NearestDrawing(cat, 0.25))


async def test_a_variation_is_sent_as_a_form_with_the_picture(models: FakeModels) -> None:
    async with ModelClient(models.url) as client:
        *_, drawn = await events(client, prompt="1", source=png(3), strength=0.5, layout="strip", frames=(1, 2))
    assert isinstance(drawn, Drawn)
    assert drawn.strength == 0.5
    (body,) = models.requests
    assert (body["image"], body["strength"], body["frames"], body["stream"]) == (png(3), 0.5, [1, 2], True)


async def test_queue_places_come_first(models: FakeModels) -> None:
    models.gate.clear()
    models.place = 2
    async with ModelClient(models.url) as client, aclosing(client.imagine("a cat", seed=7)) as stream:
        assert await anext(stream) == Waiting(2, 3.0)
        models.gate.set()
        assert await anext(stream) == Step(1, 4)


async def test_closing_the_generator_closes_the_connection(models: FakeModels) -> None:
    models.gate.clear()
    async with ModelClient(models.url) as client:
        async with aclosing(client.imagine("a cat", seed=7, previews=1)) as stream:
            assert await anext(stream) == Step(1, 4)
            assert isinstance(await anext(stream), Preview)
            assert models.running == 1
        await models.until(dropped=1, running=0)


async def test_a_large_file_is_read_and_an_unknown_event_is_ignored() -> None:
    data = bytes(range(256)) * (40 << 10)
    whole = chunk(b64_json=base64.b64encode(data).decode())
    stream = chunk("image_generation.weather") + whole + b"data: [DONE]\n\n"
    async with crooked(plainly(stream), PATH) as url, ModelClient(url) as client:
        (drawn,) = await events(client)
    assert isinstance(drawn, Drawn)
    assert drawn.files == (data,)


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        chunk(b64_json="no base64!"),
        chunk(b64_json=None),
        chunk(tempera=None),
        chunk(tempera=5),
        chunk(tempera=TOLD | {"prompt": "a cat"}),
        chunk(tempera={name: value for name, value in TOLD.items() if name != "seed"}),
        chunk(tempera=TOLD | {"looked_at": [{"thing": "cat"}]}),
        chunk(tempera=TOLD | {"looked_at": [dict.fromkeys(CREDIT, "x") | {"picture": "AAAA" * (1 << 17)}]}),
        chunk("tempera.progress", tempera={}),
        chunk("tempera.progress", tempera={"queue": {"place": "first"}}),
        chunk("tempera.progress", tempera={"queue": 3}),
        chunk("image_generation.partial_image", b64_json="AAAA", tempera={"step": 1}),
    ],
)
async def test_a_malformed_stream_is_a_broken_connection(stream: bytes) -> None:
    async with crooked(plainly(stream + b"data: [DONE]\n\n"), PATH) as url, ModelClient(url) as client:
        with pytest.raises(ModelUnavailable, match=BROKEN):
            await events(client)


async def test_a_stream_that_ends_before_the_picture_is_a_broken_connection() -> None:
    cut = broken_off(chunk("tempera.progress", tempera={"step": 1, "steps": 4}))
    async with crooked(cut, PATH) as url, ModelClient(url) as client:
        stream = client.imagine("a cat", seed=7)
        assert await anext(stream) == Step(1, 4)
        with pytest.raises(ModelUnavailable, match=BROKEN):
            await anext(stream)


async def test_the_fake_server_refuses_what_the_real_one_refuses(models: FakeModels) -> None:
    async with ModelClient(models.url) as client:
        for more, reason in (
            ({"sweep": {"steps": [1.0, 2.0]}}, "whole number"),
            ({"enlarge": 4096}, "enlarged to 16 to 1024 pixels"),
            ({"prompt": "x" * 32_001}, "at most 32000 characters"),
            ({"source": b"no picture"}, "picture"),
            ({"layout": "strip", "frames": (5,)}, "takes 4"),
        ):
            with pytest.raises(ModelError, match=reason):
                await events(client, **more)
    assert len(models.refused) == 5
    models.refused.clear()
