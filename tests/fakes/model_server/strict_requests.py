"""Validates requests as the real model server and its engines do, as far as that needs no neural network."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from model_server.api.image_requests import BOUND_FIELDS, ImageRequest, VariationRequest
from model_server.api.requests import ChatRequest, CompletionRequest, EmbeddingRequest, ModerationRequest, parse
from model_server.api.responses import to_api_error
from model_server.engines.common.refusal import JobRefused, check_encodable, check_texts
from model_server.engines.diffusion.request import Capabilities, complete_task, count_needed_steps
from model_server.engines.language.prompt import check_turns
from model_server.errors import ApiError
from model_server.jobs import Imagine

ARTIST = Capabilities(name="fake-images", sampler="DDIM", steps=4, guidance=3.0, width=16, height=16, multiple=8)
"""The capabilities and defaults of the fake image model."""


class Strictly:
    """Validates request bodies for the models in `listed`, which maps names to tasks. Raises ApiError."""

    def __init__(self, listed: Mapping[str, str]) -> None:
        self.listed = listed

    def chat(self, body: bytes) -> None:
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


def chosen(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the steps and the guidance of pictures, with defaults where the request leaves them open."""
    names = ("steps", "guidance", *BOUND_FIELDS)
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
