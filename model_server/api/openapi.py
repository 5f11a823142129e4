"""The description of the HTTP API as an OpenAPI 3.1 document. Requests are described by the models that parse them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from aiohttp import web
from pydantic.json_schema import models_json_schema

from model_server.api.auth import NONCE
from model_server.api.image_requests import ImageRequest, VariationRequest
from model_server.api.multipart import PICTURE, TEXT_FIELDS
from model_server.api.requests import ApiRequest, ChatRequest, CompletionRequest, EmbeddingRequest, ModerationRequest

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
            task={"enum": ["chat", "images", "faces", "embeddings", "moderations"]},
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
ANONYMOUS: list[Schema] = [{}]
"""The security of an operation that needs no key."""


def _content(schema: Schema, *, streams: bool = False) -> Schema:
    return {JSON: {"schema": schema}} | ({EVENTS: {"schema": EVENT}} if streams else {})


def _response(status: int, description: str, content: Schema) -> Schema:
    headers = {"Retry-After": {"description": "When to ask again, in seconds", "schema": TEXT}}
    described: Schema = {"description": description, "content": content}
    return described | ({"headers": headers} if status in RETRY_STATUSES else {})


def _operation(
    name: str, summary: str, answer: str, errors: tuple[int, ...] = PLAIN_ERRORS, *, streams: bool = False, **more: Any
) -> Schema:
    responses = {str(status): _response(status, ERRORS[status], _content(_refer("Error"))) for status in errors}
    succeeded = {"200": _response(200, summary, _content(_refer(answer), streams=streams))}
    return {"operationId": name, "summary": summary, "responses": succeeded | responses, **more}


def _job(
    name: str, summary: str, request: type[ApiRequest], answer: str, *, kind: str = JSON, streams: bool = False
) -> Schema:
    """Return an operation that is a job for a model."""
    content: Schema = {"schema": _refer(request.__name__)}
    if kind == FORM:
        # What is not plain text is written as JSON in its part.
        others = [field for field in request.model_fields if field not in TEXT_FIELDS]
        content["encoding"] = {field: {"contentType": JSON} for field in others}
    body = {"required": True, "content": {kind: content}}
    return _operation(name, summary, answer, JOB_ERRORS, streams=streams, requestBody=body)


def _parameter(name: str, where: str, schema: Schema) -> Schema:
    return {"name": name, "in": where, "required": True, "schema": schema}


def _paths() -> dict[str, dict[str, Schema]]:
    ready = _operation("ready", "Which models are loaded", "Readiness")
    ready["responses"]["503"] = _response(503, "Some models are not loaded yet", _content(_refer("Readiness")))
    measured = _operation("metrics", "What is counted and measured, for Prometheus", "Document")
    measured["responses"]["200"]["content"] = {"text/plain": {"schema": TEXT}}
    identifier = _parameter("id", "path", {"type": "string", "minLength": 1})
    digest: Schema = {"type": "string", "pattern": f"^{NONCE.pattern}$"}
    return {
        "/v1/chat/completions": {
            "post": _job("chat", "Answer a conversation", ChatRequest, "ChatCompletion", streams=True)
        },
        "/v1/completions": {
            "post": _job("complete", "Continue a text", CompletionRequest, "TextCompletion", streams=True)
        },
        "/v1/images/generations": {"post": _job("draw", "Draw pictures", ImageRequest, "Images", streams=True)},
        "/v1/images/variations": {
            "post": _job("vary", "Draw variations", VariationRequest, "Images", kind=FORM, streams=True)
        },
        "/v1/embeddings": {"post": _job("embed", "Turn texts into vectors", EmbeddingRequest, "Embeddings")},
        "/v1/moderations": {"post": _job("moderate", "Score texts", ModerationRequest, "Moderations")},
        "/v1/queue": {"get": _operation("queue", "The jobs of every model", "Queues")},
        "/v1/jobs/{id}": {
            "delete": _operation("cancel", "Cancel a job", "Cancelled", (*PLAIN_ERRORS, 404), parameters=[identifier])
        },
        "/v1/models": {"get": _operation("models", "The models", "Models")},
        "/v1/models/{id}": {
            "get": _operation("model", "One model", "Model", (*PLAIN_ERRORS, 404), parameters=[identifier])
        },
        "/health/live": {"get": _operation("live", "Whether the server lives", "Live", (403,), security=ANONYMOUS)},
        "/health/proof": {
            "get": _operation(
                "prove",
                "Proof that the server knows the key by which the claim was made",
                "Proof",
                (400, *PLAIN_ERRORS),
                security=ANONYMOUS,
                parameters=[_parameter(name, "query", digest) for name in ("nonce", "claim")],
            )
        },
        "/health/ready": {"get": ready},
        "/metrics": {"get": measured},
        PATH: {"get": _operation("describe", "This document", "Document", (403,), security=ANONYMOUS)},
    }


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
        "paths": _paths(),
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": RESPONSES | _request_schemas(),
        },
    }


async def serve_document(_: web.Request) -> web.Response:
    """GET /openapi.json."""
    return web.Response(text=_render(), content_type=JSON)


@cache
def _render() -> str:
    return json.dumps(build_document())
