"""The document about the API, and the real server with fake engines under requests that the document leads to."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
import schemathesis
from fakes.model_server.gateway import PATIENCE_SECONDS, running_gateway, serving
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from PIL import Image
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from model_server.api.app import build_application
from model_server.api.auth import Authenticator
from model_server.api.openapi import FORM, JSON, build_document
from model_server.images import encode
from model_server.workers.served_models import ServedModels

OPERATIONS = [(method, path) for path, operations in build_document()["paths"].items() for method in operations]
MODELS = {
    "/v1/chat/completions": ["parrot"],
    "/v1/completions": ["parrot"],
    "/v1/images/generations": ["painter", "sketcher"],
    "/v1/images/variations": ["sketcher"],
    "/v1/embeddings": ["ruler"],
    "/v1/moderations": ["judge"],
}
EXAMPLES = 30
DOCUMENTED_FAILURES = (503, 504)
"""A model that is not loaded, and a deadline that the request itself sets."""
BOUNDED = settings(
    derandomize=True,
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
PICTURE = encode(Image.new("RGB", (64, 64)), {})
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


def test_the_document_has_every_route_and_no_other() -> None:
    app = build_application(ServedModels([]), authenticator=Authenticator("127.0.0.1", None))
    routes = {
        (route.method.lower(), route.resource.canonical) for route in app.router.routes() if route.resource is not None
    }
    heads = {("head", path) for method, path in OPERATIONS if method == "get"}
    assert routes == {*OPERATIONS, *heads}


def test_every_schema_of_the_document_is_valid_and_every_reference_leads_somewhere() -> None:
    document = build_document()
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    references = set(_references(document))
    assert references == {f"#/components/schemas/{name}" for name in schemas}


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


async def test_the_document_is_served_without_a_key(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, models=(), api_key="s3cret") as url,
        aiohttp.request("GET", f"{url}/openapi.json") as response,
    ):
        assert await response.json() == build_document()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with fake engines of all kinds."""
    with running_gateway(tmp_path_factory.mktemp("models"), sketches=True) as gateway:
        yield gateway.url


POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
TAKING = [(method, path) for method, path in OPERATIONS if path in MODELS or path == "/health/proof"]
"""The operations that can be given something wrong."""


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [*((*one, POSITIVE) for one in OPERATIONS), *((*one, NEGATIVE) for one in TAKING)],
    ids=lambda part: part if isinstance(part, str) else part.value,
)
def test_the_server_keeps_to_the_document(url: str, method: str, path: str, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_dict(build_document())
    operation = schema[path][method]
    models = st.sampled_from([None, *MODELS.get(path, [])])

    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=mode), model=models, picture=st.sampled_from([None, PICTURE]))
    def send(case: schemathesis.Case, model: str | None, picture: bytes | None) -> None:
        # A name that no model has, and bytes that are no picture, lead no further than that.
        if model and isinstance(case.body, dict):
            case.body["model"] = model
        if picture and isinstance(case.body, dict) and "image" in case.body:
            case.body["image"] = picture
        response = case.call(base_url=url, timeout=PATIENCE_SECONDS)
        check(response.status_code, response.text)
        case.validate_response(response, checks=CHECKS)

    send()


@pytest.mark.parametrize("path", MODELS)
def test_a_body_of_any_bytes_is_refused_with_a_sentence(url: str, path: str) -> None:
    headers = {
        "Content-Encoding": st.sampled_from(["identity", "gzip", "deflate", "br", "zstd", "odd"]),
        "Content-Type": st.sampled_from([JSON, "text/plain; charset=odd", f"{FORM}; boundary=a", FORM, "odd"]),
    }
    bodies = st.binary() | st.binary().map(lambda data: b"--a\r\n" + data) | st.binary().map(gzip.compress)

    @BOUNDED
    @given(body=bodies, headers=st.fixed_dictionaries({}, optional=headers))
    def send(body: bytes, headers: dict[str, str]) -> None:
        response = requests.post(f"{url}{path}", data=body, headers=headers, timeout=PATIENCE_SECONDS)
        check(response.status_code, response.text)
        assert response.status_code == 400

    send()


def check(status: int, text: str) -> None:
    """Fail for an error of the server that is not documented, and for a trace."""
    assert status < 500 or status in DOCUMENTED_FAILURES, text
    assert "Traceback" not in text
    assert ".py" not in text
