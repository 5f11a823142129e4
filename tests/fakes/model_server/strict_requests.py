"""Validates requests as the real model server and its engines do, as far as that needs no neural network."""

import base64
import json
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from model_server.api.image_requests import CHOICES, ImageRequest, VariationRequest
from model_server.api.requests import ChatRequest, CompletionRequest, EmbeddingRequest, ModerationRequest, parse
from model_server.api.responses import to_api_error
from model_server.engines.common.refusal import JobRefused, check_encodable, check_texts
from model_server.engines.diffusion.request import Capabilities, complete_task, count_needed_steps
from model_server.engines.language.prompt import check_turns
from model_server.errors import ApiError
from model_server.jobs import Imagine

JPEG_URL = "data:image/jpeg;base64,"
ARTIST = Capabilities(name="fake-images", sampler="DDIM", steps=4, guidance=3.0, width=16, height=16, multiple=8)
"""The capabilities and defaults of the fake image model."""


class Strictly:
    """Validates request bodies for the models in `listed`, which maps names to tasks. Raises ApiError.

    The models in `seeing` read pictures, as those of other servers do.
    """

    def __init__(self, listed: Mapping[str, str], seeing: Container[str] = ()) -> None:
        self.listed = listed
        self.seeing = seeing

    def chat(self, body: bytes) -> None:
        whole = json.loads(body)
        if whole.get("model") in self.seeing:
            body = json.dumps(whole | {"messages": [_without_pictures(turn) for turn in whole["messages"]]}).encode()
        parsed = parse(ChatRequest, body)
        self._find(parsed.model, "chat")
        with _refusing():
            check_turns(parsed.to_task())

    def completion(self, body: bytes) -> None:
        parsed = parse(CompletionRequest, body)
        self._find(parsed.model, "chat")
        parsed.to_task()

    def picture(self, body: bytes) -> None:
        parsed = parse(ImageRequest, body)
        if self._find(parsed.model, "faces", "images") == "faces":
            parsed.to_faces()
        else:
            _drawn(parsed.to_imagine())

    def variation(self, fields: bytes, picture: bytes) -> None:
        parsed = parse(VariationRequest, fields)
        self._find(parsed.model, "images")
        _drawn(parsed.to_variation(picture))

    def embedding(self, body: bytes) -> None:
        parsed = parse(EmbeddingRequest, body)
        self._find(parsed.model, "embeddings")
        with _refusing():
            check_texts(parsed.to_task().texts, "input")

    def moderation(self, body: bytes) -> None:
        with _refusing():
            for text in parse(ModerationRequest, body).to_task().texts:
                check_encodable(text, "input")

    def _find(self, model: str, *tasks: str) -> str:
        if (task := self.listed.get(model, "")) not in tasks:
            raise ApiError(404, f"There is no model {model} for this here.", code="model_not_found", param="model")
        return task


def pictures_of(turn: Mapping[str, Any]) -> list[bytes]:
    """Return the pictures in a message, which stand in it as data."""
    parts = turn["content"] if isinstance(turn["content"], list) else []
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    if any(not url.startswith(JPEG_URL) for url in urls):
        raise ApiError(400, "A picture is no JPEG that stands in the message.")
    return [base64.b64decode(url.removeprefix(JPEG_URL), validate=True) for url in urls]


def _without_pictures(turn: dict[str, Any]) -> dict[str, Any]:
    if not pictures_of(turn):
        return turn
    return turn | {"content": [part for part in turn["content"] if part["type"] != "image_url"]}


def chosen(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the steps and the guidance of pictures, with defaults where the request leaves them open."""
    names = [name for name in CHOICES if name != "references"]
    completed = complete_task(Imagine(prompt="", seed=0, **{name: body.get(name) for name in names}), ARTIST)
    return {"steps": completed.steps, "guidance": completed.guidance}


def _drawn(parsed: Imagine) -> None:
    with _refusing():
        count_needed_steps(parsed, complete_task(parsed, ARTIST).steps or 0)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except JobRefused as refused:
        raise to_api_error(refused.to_event("fake")) from None
