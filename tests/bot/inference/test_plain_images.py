"""Pictures of servers by others, which draw them in one go and tell nothing else."""

import base64
import io
from typing import Any

import pytest
from fakes.model_server.model_api import look_at, png
from fakes.model_server.other_server import OtherServer
from PIL import Image

from bot.config.upstreams import UpstreamSection
from bot.core.errors import ModelError, ModelUnavailable
from bot.core.model_events import Drawn
from bot.inference.client import ModelClient
from bot.inference.upstreams.upstream import Upstream
from bot.provenance.metadata import Label, read_label


def sent(data: bytes) -> dict[str, Any]:
    return {"created": 1, "data": [{"b64_json": base64.b64encode(data).decode(), "revised_prompt": "A cat."}]}


def encode(kind: str, size: tuple[int, int] = (16, 16)) -> bytes:
    file = io.BytesIO()
    Image.new("1" if kind == "PNG" else "RGB", size).save(file, kind)
    return file.getvalue()


async def draw(server: OtherServer, **options: object) -> list[object]:
    async with ModelClient(server.url) as client:
        return [event async for event in client.imagine("a cat", seed=7, model="flux", user="ann", **options)]


async def test_a_finished_picture_comes_with_what_is_known_of_it() -> None:
    async with OtherServer(listed=[{"id": "flux"}]) as server:
        server.shapes["images/generations"] = sent(png(3, 24, 32))
        [drawn] = await draw(server, count=4, steps=20, guidance=5, layout="grid", previews=8, enlarge=512)
    assert isinstance(drawn, Drawn)
    assert [look_at(file) for file in drawn.files] == [look_at(png(3, 24, 32))]
    assert read_label(drawn.files[0]) == Label({"model": "flux", "size": "24x32"})
    assert (drawn.width, drawn.height, drawn.media_type) == (24, 32, "image/png")
    assert (drawn.repeats, drawn.starts, drawn.shows) == (False, False, False)
    assert drawn.left_out == ("guidance", "negative", "references", "seed", "steps")
    assert server.requests == [{"model": "flux", "prompt": "a cat", "n": 1, "response_format": "b64_json"}]


@pytest.mark.parametrize(("leave_out", "asked"), [((), 2), (("response_format",), 1)])
async def test_a_server_that_always_sends_files_may_refuse_to_be_told(leave_out: tuple[str, ...], asked: int) -> None:
    async with OtherServer(listed=[{"id": "flux"}]) as server:
        server.unknown = {"response_format"}
        server.shapes["images/generations"] = sent(encode("WEBP"))
        section = UpstreamSection(name="other", url=server.url, leave_out=leave_out)
        async with ModelClient.over([Upstream(section)]) as client:
            [drawn] = [event async for event in client.imagine("a cat", seed=7, model="flux@other", user="ann")]
    assert isinstance(drawn, Drawn)
    assert drawn.media_type == "image/png"
    assert len(server.requests) == asked
    assert sorted(server.requests[-1]) == ["model", "n", "prompt"]


@pytest.mark.parametrize(
    "shape",
    [
        {"data": [{"url": "http://127.0.0.1/picture.png"}]},
        sent(b"no picture"),
        sent(encode("BMP")),
        sent(encode("PNG", (8192, 8192))),
        {"data": [{"b64_json": "?"}]},
    ],
    ids=["address", "noise", "other format", "too large", "no base64"],
)
async def test_what_is_no_picture_is_told_in_a_sentence(shape: dict[str, Any]) -> None:
    async with OtherServer(listed=[{"id": "flux"}]) as server:
        server.shapes["images/generations"] = shape
        with pytest.raises(ModelUnavailable, match="^“model server” sent no picture that I can show"):
            await draw(server)
    assert server.connections == 1


@pytest.mark.parametrize("shape", [{}, {"data": []}, {"data": {}}, {"data": ["x"]}])
async def test_an_unknown_form_is_told_in_a_sentence(shape: dict[str, Any]) -> None:
    async with OtherServer(listed=[{"id": "flux"}]) as server:
        server.shapes["images/generations"] = shape
        with pytest.raises(ModelUnavailable, match="came in a form that I do not know"):
            await draw(server)


@pytest.mark.parametrize("options", [{"source": b"x"}, {"sweep": {"steps": [1, 2]}}, {"layout": "strip"}])
async def test_what_needs_more_than_words_is_refused_before_anything_is_sent(options: dict[str, Any]) -> None:
    async with OtherServer(listed=[{"id": "flux"}]) as server:
        with pytest.raises(ModelError, match="^“flux” draws finished pictures from words alone"):
            await draw(server, **options)
    assert server.requests == []
