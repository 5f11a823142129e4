"""The description of the HTTP API as an OpenAPI 3.1 document. Requests are described by the models that parse them."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web
from pydantic.json_schema import models_json_schema

from http_server.wire import TASKS
from model_server.api.image_requests import ImageRequest, VariationRequest
from model_server.api.multipart import PICTURE, TEXT_FIELDS
from model_server.api.requests import ApiRequest, ChatRequest, CompletionRequest, EmbeddingRequest, ModerationRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PATH = "/openapi.json"
Schema = dict[str, Any]

REQUESTS: tuple[type[ApiRequest], ...] = (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ModerationRequest,
    ImageRequest,
    VariationRequest,
)
JSON, FORM, EVENTS = "application/json", "multipart/form-data", "text/event-stream"

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
ANY_OBJECT: Schema = {"type": "object"}


def _object(optional: tuple[str, ...] = (), **properties: Schema) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _constant(value: str) -> Schema:
    return {"const": value}


def _refer(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


EVENT = _object(("event",), event=TEXT, data=TEXT)
"""One event of a stream. `data` is a JSON object, or the mark of the end, [DONE]."""
USAGE = _object(
    prompt_tokens=COUNT,
    completion_tokens=COUNT,
    total_tokens=COUNT,
    prompt_tokens_details=_object(cached_tokens=COUNT),
)
TEMPERA = _object(("seed", "seconds"), job=TEXT, seed={"type": "integer"}, seconds=NUMBER)
TEMPERA["description"] = "What is this server's own; docs/internals/wire.md lists it."
DRAWING = _object(("distance",), thing=TEXT, set=TEXT, author=TEXT, licence=TEXT, picture=TEXT, distance=NUMBER)
"""A drawing by somebody that a picture model looked at; the nearest one has its distance from the picture."""
DRAWINGS = _object(("looked_at", "nearest"), looked_at=_list(DRAWING), nearest=DRAWING)
FINISH_REASON = {"enum": ["stop", "length", None]}
SCORES = {"type": "object", "additionalProperties": NUMBER}
JOB = _object(("user",), id=TEXT, state={"enum": ["waiting", "running"]}, place=COUNT, age_s=NUMBER, user=TEXT)
RESPONSES: dict[str, Schema] = {
    "Error": _object(
        error=_object(message=TEXT, type=TEXT, param=_or_null(TEXT), code=_or_null(TEXT)),
    ),
    "ChatCompletion": _object(
        id=TEXT,
        object=_constant("chat.completion"),
        created=COUNT,
        model=TEXT,
        choices=_list(
            _object(
                index=COUNT,
                message=_object(role=_constant("assistant"), content=TEXT, refusal={"type": "null"}),
                logprobs=_or_null(_object(content=_list(ANY_OBJECT), refusal={"type": "null"})),
                finish_reason=FINISH_REASON,
            )
        ),
        usage=USAGE,
        tempera=TEMPERA,
    ),
    "TextCompletion": _object(
        id=TEXT,
        object=_constant("text_completion"),
        created=COUNT,
        model=TEXT,
        choices=_list(_object(index=COUNT, text=TEXT, logprobs=_or_null(ANY_OBJECT), finish_reason=FINISH_REASON)),
        usage=USAGE,
        tempera=TEMPERA,
    ),
    "Images": _object(
        created=COUNT,
        data=_list(_object(("tempera",), b64_json=TEXT, tempera=DRAWINGS)),
        output_format={"enum": ["png", "gif"]},
        tempera=TEMPERA,
    ),
    "Embeddings": _object(
        object=_constant("list"),
        model=TEXT,
        data=_list(_object(object=_constant("embedding"), index=COUNT, embedding={"anyOf": [_list(NUMBER), TEXT]})),
        usage=_object(prompt_tokens=COUNT, total_tokens=COUNT),
        tempera=TEMPERA,
    ),
    "Moderations": _object(
        id=TEXT,
        model=TEXT,
        results=_list(
            _object(
                flagged=FLAG,
                categories={"type": "object", "additionalProperties": FLAG},
                category_scores=SCORES,
                category_applied_input_types=ANY_OBJECT,
            )
        ),
        tempera=TEMPERA,
    ),
    "Model": _object(
        id=TEXT,
        object=_constant("model"),
        created=COUNT,
        owned_by=TEXT,
        tempera=_object(
            ("languages", "stand_in", "state", "defaults", "context"),
            task={"enum": list(TASKS)},
            description=TEXT,
            licence=TEXT,
            ready=FLAG,
            languages=_list(TEXT),
            stand_in=TEXT,
            state=TEXT,
            defaults=SCORES,
            context=COUNT,
        ),
    ),
    "Models": _object(object=_constant("list"), data=_list(_refer("Model"))),
    "Queues": _object(
        object=_constant("list"),
        data=_list(
            _object(
                model=TEXT,
                capacity=COUNT,
                running=COUNT,
                waiting=COUNT,
                mean_seconds=_or_null(NUMBER),
                tokens_per_second=_or_null(NUMBER),
                prefix_hit_rate=_or_null(NUMBER),
                jobs=_list(JOB),
            )
        ),
    ),
    "Cancelled": _object(id=TEXT, object=_constant("job"), status=_constant("cancelled")),
    "Live": _object(status=_constant("live")),
    "Readiness": _object(
        ("missing", "coming", "notes", "alternatives"),
        status={"enum": ["ready", "starting"]},
        models=_list(TEXT),
        missing={"type": "object", "additionalProperties": TEXT},
        coming={"type": "object", "additionalProperties": TEXT},
        notes=_list(TEXT),
        alternatives=_list(
            _object(
                ("lacks",),
                model=TEXT,
                chosen=FLAG,
                lacks=_object(part={"enum": ["memory", "card"]}, needed_gb=COUNT, present_gb=COUNT),
            )
        ),
    ),
    "Proof": _object(proof=TEXT),
    "Document": _object(openapi=TEXT, info=ANY_OBJECT, paths=ANY_OBJECT),
}

ERRORS = {
    400: "The request is wrong; the sentence says what would be right.",
    401: "The key is missing or wrong.",
    403: "The request comes from another website, or by a name that is not the server's.",
    404: "There is no such model or job.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    429: "Too many jobs wait.",
    499: "The job was cancelled.",
    500: "The engine failed; the number in the sentence is also in the server's log.",
    503: "The model is not loaded yet, or starts again.",
    504: "The job was not done by its deadline.",
}
PLAIN_ERRORS = (401, 403)
JOB_ERRORS = (400, 401, 403, 404, 408, 413, 429, 499, 500, 503, 504)
RETRY_STATUSES = (429, 503)


PATHS: dict[str, dict[str, Schema]] = {}
"""The operations by path and method, as handlers are described."""
OPEN: set[str] = set()
"""The paths that are answered without a key."""
HandlerT = TypeVar("HandlerT", bound="Callable[..., Awaitable[web.StreamResponse]]")


def describe(
    method: str,
    path: str,
    answer: str,
    *,
    errors: tuple[int, ...] = PLAIN_ERRORS,
    responses: Schema | None = None,
    streams: bool = False,
    is_open: bool = False,
    **more: Any,
) -> Callable[[HandlerT], HandlerT]:
    """Describe a handler, whose docstring is the summary, by the name of its answer; `routes` finds it by this.

    What `is_open` is answered without a key. `more` has the format of the document.
    """

    if is_open:
        OPEN.add(path)
        more["security"] = [{}]

    def note(handler: HandlerT) -> HandlerT:
        summary = (handler.__doc__ or "").removesuffix(".")
        answers = response(200, summary, answer)
        if streams:
            answers["200"]["content"][EVENTS] = {"schema": EVENT}
        for status in errors:
            answers |= response(status, ERRORS[status], "Error")
        described = {"operationId": handler.__name__, "summary": summary, "responses": answers | (responses or {})}
        PATHS.setdefault(re.sub(r":[^}]+", "", path), {})[method] = described | more
        handler.__dict__["route"] = (method, path)
        return handler

    return note


def describe_job(
    path: str, request: type[ApiRequest], answer: str, *, kind: str = JSON, streams: bool = False
) -> Callable[[HandlerT], HandlerT]:
    """Describe a handler that makes a job of a request."""
    content: Schema = {"schema": _refer(request.__name__)}
    if kind == FORM:
        # What is not plain text is written as JSON in its part.
        others = [field for field in request.model_fields if field not in TEXT_FIELDS]
        content["encoding"] = {field: {"contentType": JSON} for field in others}
    body = {"required": True, "content": {kind: content}}
    return describe("post", path, answer, errors=JOB_ERRORS, streams=streams, requestBody=body)


def routes(handlers: object) -> list[web.RouteDef]:
    """Return the routes to the methods of an object that are described."""
    methods = [getattr(handlers, name) for name in vars(type(handlers))]
    described = [(*method.route, method) for method in methods if hasattr(method, "route")]
    # In capitals, as else aiohttp would not answer HEAD where it answers GET.
    return [web.route(method.upper(), path, handler) for method, path, handler in described]


def response(status: int, description: str, answer: str) -> Schema:
    """Return the description of the responses with a status, which have this answer, or plain text if it is ""."""
    headers = {"Retry-After": {"description": "When to ask again, in seconds", "schema": TEXT}}
    content = {JSON: {"schema": _refer(answer)}} if answer else {"text/plain": {"schema": TEXT}}
    described: Schema = {"description": description, "content": content}
    return {str(status): described | ({"headers": headers} if status in RETRY_STATUSES else {})}


def parameter(name: str, where: str = "path", *, pattern: str = "") -> Schema:
    """Return the description of a parameter, which matches the `pattern` or else is not empty."""
    schema = {"type": "string", **({"pattern": f"^{pattern}$"} if pattern else {"minLength": 1})}
    return {"name": name, "in": where, "required": True, "schema": schema}


def _request_schemas() -> dict[str, Schema]:
    _, generated = models_json_schema(
        [(request, "validation") for request in REQUESTS], ref_template="#/components/schemas/{model}"
    )
    schemas: dict[str, Schema] = generated["$defs"]
    form = schemas[VariationRequest.__name__]
    form["properties"][PICTURE] = {"type": "string", "format": "binary"}
    # The prompt of a picture that was drawn here counts if there is none.
    form["required"] = ["model", PICTURE]
    return schemas


def build_document() -> Schema:
    """Return the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tempera's model server",
            "version": "1",
            "description": "OpenAI's formats, with additions. Unknown fields are ignored.",
        },
        "security": [{"key": []}, {}],
        "paths": PATHS,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": RESPONSES | _request_schemas(),
        },
    }


@describe("get", PATH, "Document", errors=(403,), is_open=True, operationId="describe")
async def serve_document(_: web.Request) -> web.Response:
    """This document."""
    return web.Response(text=_render(), content_type=JSON)


@cache
def _render() -> str:
    return json.dumps(build_document())
