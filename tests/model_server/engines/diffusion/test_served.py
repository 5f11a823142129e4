"""A tiny pipeline behind the real server: answers, streams, variations and mistakes as clients see them."""

import base64
import contextlib
import io
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from fakes.engines.diffusion import EDGE, open_image
from fakes.model_server.client import error_of, events_of
from fakes.programs.deployment import model_server
from openai import AsyncOpenAI
from PIL import Image

from model_server.api.multipart import MAX_PICTURE_BYTES
from model_server.images import MAX_PIXELS, encode, identify

DRAW, VARY = "/v1/images/generations", "/v1/images/variations"
AT_ONCE = 2
ENDLESS = {"steps": 150, "n": 16}
"""Takes much longer than any test waits."""


@pytest.fixture(scope="session")
def server_url(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with one model, which takes two jobs at once."""
    catalogue = tmp_path_factory.mktemp("catalogue") / "tiny.toml"
    catalogue.write_text(
        f'[models.tiny]\nengine = "diffusion"\ndescription = "Draws"\nlicence = "MIT"\nfolder = "{plain}"\n'
        f'device = "cpu"\ndtype = "float32"\noptions = {{ batch = {AT_ONCE}, steps = 4 }}\n'
    )
    with model_server("--catalogue", str(catalogue), "--model", "tiny", threads="1") as url:
        yield url


@pytest.fixture
async def http(server_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server_url, read_bufsize=1 << 22) as session:
        yield session


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{server_url}/v1", api_key="none", max_retries=0) as client:
        yield client


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": "tiny", "prompt": "a cat", "seed": 7, **fields}


def unpacked(item: dict[str, Any]) -> bytes:
    return base64.b64decode(item["b64_json"])


async def draw(http: aiohttp.ClientSession, **fields: Any) -> dict[str, Any]:
    async with http.post(DRAW, json=asked(**fields)) as response:
        assert response.status == 200, await response.text()
        return dict(await response.json())


async def stream(http: aiohttp.ClientSession, **fields: Any) -> list[Any]:
    async with http.post(DRAW, json=asked(stream=True, **fields)) as response:
        assert response.status == 200
        return [event async for event in events_of(response)]


@contextlib.asynccontextmanager
async def busy(http: aiohttp.ClientSession) -> AsyncIterator[list[aiohttp.ClientResponse]]:
    """Occupy all slots for long, and yield the responses; closing one frees its slot."""
    async with contextlib.AsyncExitStack() as stack:
        holding = []
        for _ in range(AT_ONCE):
            response = await stack.enter_async_context(http.post(DRAW, json=asked(stream=True, **ENDLESS)))
            await anext(events_of(response))
            holding.append(response)
        yield holding
        for response in holding:
            response.close()


# Whole answers


async def test_an_answer_has_pictures_and_everything_that_made_them(http: aiohttp.ClientSession) -> None:
    body = await draw(http, n=2, guidance=5.5, negative_prompt="a dog", size="48x32")
    assert body.keys() == {"created", "data", "output_format", "tempera"}
    assert body["output_format"] == "png"
    for place, item in enumerate(body["data"]):
        assert open_image(unpacked(item)).size == (48, 32)
        assert identify(unpacked(item))[1]["seed"] == str(7 + place)
    details = body["tempera"]
    assert details.pop("job").startswith("job_")
    assert details.pop("seconds") > 0
    assert len(details.pop("fingerprint")) == 8
    assert details.pop("parts") == []
    assert details.pop("meant") == details.pop("enlarged_by") == ""
    all_read = {"dropped": [], "unknown": [], "limit": 16}
    assert details == {
        "seed": 7,
        "steps": 4,
        "guidance": 5.5,
        "references": 0,
        "width": 48,
        "height": 32,
        "sampler": "DPM-Solver++ 2M",
        "strength": None,
        "guided_by": "comparison",
        "prompt": {"tokens": ["[CLS]", "a", "c", "##a", "##t", "[SEP]"], **all_read},
        "negative_prompt": {"tokens": ["[CLS]", "a", "d", "##o", "##g", "[SEP]"], **all_read},
        "starts": True,
        "shows": True,
    }


async def test_a_request_without_a_seed_gets_one_that_is_reported(http: aiohttp.ClientSession) -> None:
    first, second = [await draw(http, seed=None) for _ in range(2)]
    assert first["tempera"]["seed"] != second["tempera"]["seed"]
    again = await draw(http, seed=first["tempera"]["seed"])
    assert again["data"] == first["data"]


# Streams


async def test_the_official_client_reads_a_stream(client: AsyncOpenAI) -> None:
    events = [
        event
        async for event in await client.images.generate(
            model="tiny", prompt="a cat", n=1, stream=True, partial_images=2, extra_body={"seed": 7, "steps": 8}
        )
    ]
    reported = [event.model_extra["tempera"] for event in events if event.type == "tempera.progress"]
    steps = [one["step"] for one in reported if "step" in one]
    # A slow reader does not get outdated events.
    assert steps == sorted(set(steps))
    assert steps[-1] == 8
    partial = [event for event in events if event.type == "image_generation.partial_image"]
    assert [event.partial_image_index for event in partial] in ([0, 1], [1])
    assert partial[0].partial_image_index or partial[0].model_extra["tempera"]["step"] <= 3
    assert {event.model_extra["tempera"]["steps"] for event in partial} == {8}
    last = events[-1]
    assert last.type == "image_generation.completed"
    assert (last.size, last.output_format) == (f"{EDGE}x{EDGE}", "png")
    assert (last.quality, last.background) == ("auto", "opaque")
    assert (last.usage.input_tokens, last.usage.total_tokens) == (6, 6)
    whole = await client.images.generate(model="tiny", prompt="a cat", extra_body={"seed": 7, "steps": 8})
    assert last.b64_json == whole.data[0].b64_json
    ended = last.model_extra["tempera"]
    assert ended.keys() == whole.model_extra["tempera"].keys() | {"step"}
    assert (ended["step"], ended["steps"]) == (8, 8)


async def test_events_have_names_and_the_stream_has_an_end(http: aiohttp.ClientSession) -> None:
    async with http.post(DRAW, json=asked(stream=True, n=2, steps=3)) as response:
        text = (await response.read()).decode()
    *blocks, last, rest = text.split("\n\n")
    assert (last, rest) == ("data: [DONE]", "")
    for block in blocks:
        name, data = block.split("\n")
        assert name == f"event: {json.loads(data.removeprefix('data: '))['type']}"
    # Of the progress, a slow reader gets the newest alone.
    *before, first, second = ["completed" in block for block in blocks]
    assert (any(before), first, second) == (False, True, True)


async def test_a_waiting_job_gets_its_place_and_a_closed_stream_frees_a_slot(http: aiohttp.ClientSession) -> None:
    async with busy(http) as holding, http.post(DRAW, json=asked(stream=True)) as waiting:
        events = events_of(waiting)
        first = await anext(events)
        assert first["type"] == "tempera.progress"
        assert first["tempera"]["queue"]["place"] == 1
        holding[0].close()
        reported = [event async for event in events]
        assert reported[-1] == "[DONE]"
        assert reported[-2]["type"] == "image_generation.completed"
        assert not holding[1].closed


async def test_a_refusal_after_a_wait_ends_the_stream(http: aiohttp.ClientSession) -> None:
    async with busy(http) as holding, http.post(DRAW, json=asked(stream=True, guidance=31)) as waiting:
        events = events_of(waiting)
        await anext(events)
        holding[0].close()
        *_, last = [event async for event in events]
    assert last["error"]["message"] == "The guidance is 31; it must be from 0 to 30."
    assert last["error"]["param"] == "guidance"


# Variations


@pytest.fixture(scope="module")
def source() -> bytes:
    return encode(Image.linear_gradient("L").resize((64, 64)).convert("RGB"), {})


async def test_the_official_client_draws_variations(client: AsyncOpenAI, source: bytes) -> None:
    wanted = {"prompt": "a cat", "seed": 5, "strength": 0.5, "steps": 8, "layout": "grid"}
    body = await client.images.create_variation(model="tiny", image=source, n=4, extra_body=wanted)
    assert len(body.data) == 1
    details = body.model_extra["tempera"]
    assert (details["strength"], details["steps"], details["seed"]) == (0.5, 8, 5)
    assert open_image(base64.b64decode(body.data[0].b64_json)).size == (2 * EDGE + 4, 2 * EDGE + 4)
    with pytest.raises(openai.BadRequestError, match="`prompt` is missing, and the picture has none of its own"):
        await client.images.create_variation(model="tiny", image=source)


async def test_a_variation_without_a_prompt_uses_that_of_its_picture(client: AsyncOpenAI) -> None:
    drawn = await client.images.generate(model="tiny", prompt="a größe")
    body = await client.images.create_variation(model="tiny", image=base64.b64decode(drawn.data[0].b64_json))
    assert identify(base64.b64decode(body.data[0].b64_json))[1]["prompt"] == "a größe"


def form(picture: bytes | None, **fields: str) -> aiohttp.FormData:
    data = aiohttp.FormData(default_to_multipart=True)
    for name, value in (fields | {"model": fields.get("model", "tiny")}).items():
        data.add_field(name.replace("_list", "[]"), value)
    if picture is not None:
        data.add_field("image", io.BytesIO(picture), filename="source.png")
    return data


async def test_a_variation_can_be_streamed(http: aiohttp.ClientSession, source: bytes) -> None:
    fields = {"prompt": "a cat", "strength": "0.5", "steps": "8", "stream": "true", "partial_images": "1", "seed": ""}
    async with http.post(VARY, data=form(source, **fields)) as response:
        events = [event async for event in events_of(response)]
    progress = [event["tempera"] for event in events[:-1] if event["type"] == "tempera.progress"]
    # A slow reader does not get outdated events.
    steps = [reported["step"] for reported in progress]
    assert steps == sorted(set(steps))
    assert steps[-1] == 4
    assert {reported["steps"] for reported in progress} == {4}
    assert events[-2]["type"] == "image_generation.completed"
    assert events[-2]["tempera"]["strength"] == 0.5


@pytest.mark.parametrize("fields", [{"frames": "[0, 2]"}, {"frames_list": "2"}], ids=str)
async def test_a_form_can_carry_lists(http: aiohttp.ClientSession, source: bytes, fields: dict[str, str]) -> None:
    asked_for = {"prompt": "a cat", "strength": "1", "layout": "strip"} | fields
    async with http.post(VARY, data=form(source, **asked_for)) as response:
        body = await response.json()
    count = 2 if "frames" in fields else 1
    numbers_below = 13 if count > 1 else 0
    assert open_image(unpacked(body["data"][0])).size == (count * EDGE + (count - 1) * 4, EDGE + numbers_below)


def bomb() -> bytes:
    return encode(Image.new("1", (5000, MAX_PIXELS // 5000 + 1)), {})


def broken_off() -> bytes:
    return encode(Image.effect_noise((64, 64), 90), {})[:-200]


@pytest.mark.parametrize(
    ("picture", "fields", "param", "sentence"),
    [
        (None, {}, "image", "`image` is missing; send the picture to start from."),
        (b"no picture", {}, "image", "This is no picture that can be read; send a PNG, JPEG or WebP file."),
        (bomb, {}, "image", "The picture has 5000×3201 pixels; it may have up to 16 million."),
        (broken_off, {}, "image", "The picture is damaged; send another copy of it."),
        (bytes(MAX_PICTURE_BYTES + 1), {}, "image", "The picture is larger than 16 MB; send a smaller one."),
        ("source", {"prompt": " "}, "prompt", "`prompt` must not be empty."),
        ("source", {"strength": "2"}, "strength", "`strength` must be at most 1, but 2 was given."),
        ("source", {"steps": "many"}, "steps", "`steps` must be a whole number, but 'many' was given."),
        (
            "source",
            {"steps": "[" * 60_000},
            "steps",
            f"`steps` must be a whole number, but {repr('[' * 60)[:40]}… was given.",
        ),
        ("source", {"prompt": "x" * (1 << 17)}, "prompt", "`prompt` is longer than 65,536 bytes."),
        ("source", {"size": "8x8"}, "size", "The width is 8 pixels; it must be a multiple of 8 from 16 to 64."),
        (
            "source",
            {"layout": "strip", "frames": "[9]"},
            "frames",
            "A frame after 9 steps was asked for, but the picture takes 2; 0 is the noise.",
        ),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_mistakes_in_a_form_are_refused(
    http: aiohttp.ClientSession, source: bytes, picture: Any, fields: dict[str, str], param: str, sentence: str
) -> None:
    data = source if picture == "source" else picture() if callable(picture) else picture
    async with http.post(VARY, data=form(data, **{"prompt": "a cat"} | fields)) as response:
        error = await error_of(response)
        assert response.status == 400
    assert (error["param"], error["message"]) == (param, sentence)


async def test_bodies_that_are_not_a_form_are_refused(http: aiohttp.ClientSession) -> None:
    async with http.post(VARY, json=asked()) as response:
        assert response.status == 400
        assert "multipart/form-data" in (await error_of(response))["message"]
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    nameless = b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--\r\n"
    for body in (b"", b"--x\r\nnothing", b"--y\r\n\r\n", nameless):
        async with http.post(VARY, data=body, headers=broken) as response:
            assert response.status == 400
            await error_of(response)


async def test_many_parts_are_refused(http: aiohttp.ClientSession, source: bytes) -> None:
    many = {f"field{number}": "x" for number in range(100)}
    async with http.post(VARY, data=form(source, prompt="a cat", **many)) as response:
        assert response.status == 400
        assert "more than 64 parts" in (await error_of(response))["message"]


# Mistakes


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"steps": 151}, "steps"),
        ({"size": "36x32"}, "size"),
        ({"enlarge": 5000}, "enlarge"),
        ({"sweep": {"guidance": [1, 99]}}, "guidance"),
        ({"stream": True, "guidance": 31}, "guidance"),
    ],
    ids=str,
)
async def test_mistakes_are_refused_with_a_status_instead_of_a_stream(
    http: aiohttp.ClientSession, fields: dict[str, Any], param: str
) -> None:
    async with http.post(DRAW, json=asked(**fields)) as response:
        assert response.status == 400
        assert (await error_of(response))["param"] == param
