"""The gateway: an aiohttp application that listens at once, and the lifetimes of its models."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from aiohttp import web
from opentelemetry import propagate, trace
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from http_server.listening import LIMITS, Limits, listening
from http_server.wire import PROOF
from model_server import metrics
from model_server.api.auth import NONCE, Authenticator, check_exposure
from model_server.api.openapi import OPEN, PATH, PLAIN_ERRORS, describe, parameter, response, routes, serve_document
from model_server.api.routes import JOB, STREAM, TRUSTED, Routes
from model_server.errors import RETRY_AFTER_SECONDS, ApiError, invalid_value
from model_server.scheduling.ticket import CANCELLED_STATUS
from model_server.workers.served_model import ServedModel
from model_server.workers.served_models import ServedModels
from model_server.workers.supervisor import FACTORY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiohttp.typedefs import Handler, Middleware

    from model_server.api.sse import EventStream
    from model_server.catalogue import CatalogueEntry
    from model_server.files.cache import ModelCache
    from model_server.workers.served_model import ShowProgress

log = logging.getLogger(__name__)
tracer = trace.get_tracer("tempera.models")
requests_log = logging.getLogger("model_server.requests")

ERROR_CODE = web.RequestKey("ERROR_CODE", str)
MAX_BODY_BYTES = 1 << 20

HTTP_ERROR_SENTENCES = {
    404: "There is nothing at this address; the API is under /v1.",
    405: "This address does not take that method.",
    408: "The body of the request did not arrive in time; send it again, more quickly.",
    413: f"The body is larger than {MAX_BODY_BYTES:,} bytes, which is all this server reads.",
}


async def serve(
    *,
    host: str,
    port: int,
    entries: Sequence[CatalogueEntry],
    model_cache: ModelCache,
    api_key: str | None,
    trusted_key: str | None = None,
    stand_ins: Mapping[str, CatalogueEntry] | None = None,
    notes: Sequence[str] = (),
    alternatives: Sequence[Mapping[str, object]] = (),
    show_progress: ShowProgress = nullcontext,
    cluster: bool = False,
    factory: str = FACTORY,
    limits: Limits = LIMITS,
) -> None:
    """Listen at once, then fetch and start each model; serve until cancelled.

    Every request needs `api_key` if there is one. Otherwise the `user` field is believed of requests that bear
    `trusted_key`; all other requests are served, too, as one user for each client address.
    `stand_ins`, keyed by names of `entries`, answer in their place until these are loaded. `notes` are sentences for
    the operator, and `alternatives` the models to choose between; /health/ready has both. `show_progress` shows the
    progress of fetching a model.
    In a `cluster`, which has been started, Ray Serve runs replicas of the models.
    `factory` names the function that creates engines in the workers, as `module:function`; `limits` are those of
    connections.
    Raises ValueError if `host` is open to the network without a key, OSError if it cannot be listened on.
    """
    check_exposure(host, api_key)

    def build(entry: CatalogueEntry) -> ServedModel:
        return ServedModel(entry, model_cache, factory=factory, show_progress=show_progress, cluster=cluster)

    models = ServedModels(map(build, entries), {name: build(entry) for name, entry in (stand_ins or {}).items()})
    app = build_application(models, notes, alternatives, authenticator=Authenticator(host, api_key, trusted_key))
    # Cancels the job of a client that closed its connection; aiohttp's default is off.
    async with listening(app, host, port, limits=limits, handler_cancellation=True):
        log.info("Listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
        await models.run()


def build_application(
    models: ServedModels,
    notes: Sequence[str] = (),
    alternatives: Sequence[Mapping[str, object]] = (),
    *,
    authenticator: Authenticator,
) -> web.Application:
    """Return the application: the routes, and middlewares that log, render errors and check access."""
    app = web.Application(
        client_max_size=MAX_BODY_BYTES, middlewares=[_log_request, render_errors, _check_access_with(authenticator)]
    )
    app.add_routes(routes(Routes(models)))
    app.add_routes(routes(_StatusRoutes(models, notes, alternatives, authenticator)))
    app.add_routes([web.get(PATH, serve_document)])
    return app


class _StatusRoutes:
    """The routes that list the models and tell whether they are ready."""

    def __init__(
        self,
        models: ServedModels,
        notes: Sequence[str],
        alternatives: Sequence[Mapping[str, object]],
        authenticator: Authenticator,
    ) -> None:
        self._models = models
        self._notes, self._alternatives = list(notes), list(alternatives)
        self._authenticator = authenticator
        self._created = int(time.time())

    @describe("get", "/v1/models", "Models")
    async def models(self, _: web.Request) -> web.Response:
        """The models."""
        return web.json_response(
            {"object": "list", "data": [self._describe_model(model) for model in self._models.listed()]}
        )

    @describe("get", "/v1/models/{id:.+}", "Model", errors=(*PLAIN_ERRORS, 404), parameters=[parameter("id")])
    async def model(self, request: web.Request) -> web.Response:
        """One model."""
        name = request.match_info["id"]
        listed = next((model for model in self._models.listed() if model.name == name), None)
        return web.json_response(self._describe_model(listed or self._models.find(name)))

    @describe("get", "/health/live", "Live", errors=(403,), is_open=True)
    async def live(self, _: web.Request) -> web.Response:
        """Whether the server lives."""
        return web.json_response({"status": "live"})

    @describe(
        "get",
        PROOF,
        "Proof",
        errors=(400, *PLAIN_ERRORS),
        is_open=True,
        parameters=[parameter(name, "query", pattern=NONCE.pattern) for name in ("nonce", "claim")],
    )
    async def prove(self, request: web.Request) -> web.Response:
        """Proof that the server knows the key by which the claim was made."""
        query = request.query
        return web.json_response({"proof": self._authenticator.prove(query.get("nonce", ""), query.get("claim", ""))})

    @describe(
        "get", "/health/ready", "Readiness", responses=response(503, "Some models are not loaded yet", "Readiness")
    )
    async def ready(self, _: web.Request) -> web.Response:
        """Which models are loaded."""
        listed = self._models.listed()
        states = {model.name: model.state for model in listed if model.state != "ready"}
        loaded = [model.name for model in listed if model.name not in states]
        # Nobody has to wait for a model while another one answers in its place.
        coming = {model.name for model in listed if (other := self._models.stand_in(model)) and other.name in loaded}
        missing = {name: state for name, state in states.items() if name not in coming}
        body = {
            "status": "starting" if missing else "ready",
            "models": loaded,
            "missing": missing,
            "coming": {name: state for name, state in states.items() if name in coming},
            "notes": self._notes,
            "alternatives": self._alternatives,
        }
        body = {name: value for name, value in body.items() if value or name == "models"}
        if not missing:
            return web.json_response(body)
        return web.json_response(body, status=503, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})

    @describe("get", "/metrics", "")
    async def metrics(self, _: web.Request) -> web.Response:
        """What is counted and measured, for Prometheus."""
        for model in self._models.at_work():
            jobs = model.queue.snapshots()
            waiting = sum(job.place is not None for job in jobs)
            metrics.READY.labels(model.name).set(model.state == "ready")
            metrics.WAITING.labels(model.name).set(waiting)
            metrics.RUNNING.labels(model.name).set(len(jobs) - waiting)
            metrics.CAPACITY.labels(model.name).set(model.queue.capacity)
            metrics.MEMORY.labels(model.name).set(model.memory_bytes)
        metrics.TASKS.set(len(asyncio.all_tasks()))
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _describe_model(self, model: ServedModel) -> dict[str, object]:
        entry, stand_in = model.entry, self._models.stand_in(model)
        waiting = {"stand_in": stand_in.name, "state": model.public_state} if stand_in is not None else {}
        return {
            "id": model.name,
            "object": "model",
            "created": self._created,
            "owned_by": "tempera",
            "tempera": {
                "task": model.task,
                "description": entry.description,
                "licence": entry.licence,
                "ready": model.state == "ready",
                **({"languages": entry.languages} if entry.languages else {}),
                **({"defaults": defaults} if (defaults := (stand_in or model).defaults) else {}),
                **({"context": context} if (context := (stand_in or model).context) else {}),
                **waiting,
            },
        }


@web.middleware
async def _log_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Log one line for each request, without its content."""
    started = time.monotonic()
    status = CANCELLED_STATUS
    resource = request.match_info.route.resource
    route = resource.canonical if resource else "-"
    context = propagate.extract(request.headers)
    span = tracer.start_span(f"{request.method} {route}", context=context, kind=trace.SpanKind.SERVER)
    try:
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            response = await handler(request)
        status = response.status
        return response
    finally:
        job = request.get(JOB)
        metrics.REQUESTS.labels(route, status, request.get(ERROR_CODE, "")).inc()
        requests_log.log(
            logging.DEBUG if request.path.startswith(("/health/", "/metrics")) else logging.INFO,
            "method=%s route=%s status=%d ms=%d model=%s job=%s error=%s",
            request.method,
            route,
            status,
            1000 * (time.monotonic() - started),
            job.model if job else "-",
            job.id if job else "-",
            request.get(ERROR_CODE, "-"),
        )


@web.middleware
async def render_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error in OpenAI's shape. An unexpected one is logged, and the client gets the id in the log."""
    try:
        return await handler(request)
    except ApiError as error:
        return await _error_response(request, error)
    except web.HTTPException as error:
        sentence = HTTP_ERROR_SENTENCES.get(error.status, f"The request was refused: {error.reason}.")
        shaped = ApiError(error.status, sentence, code=error.reason.lower().replace(" ", "_"))
        if "Allow" in error.headers:
            shaped.headers["Allow"] = error.headers["Allow"]
        return await _error_response(request, shaped)
    except web.RequestPayloadError:
        sentence = "The body cannot be read: it is not what its Content-Encoding or Transfer-Encoding says."
        return await _error_response(request, invalid_value(sentence))
    except ConnectionResetError:
        # The client closed the connection between two events of its stream.
        raise
    except Exception:
        error_id = secrets.token_hex(4)
        log.exception("A request to %s failed (error %s).", request.path, error_id)
        sentence = f"The server failed at this request (error {error_id}; its log says more)."
        return await _error_response(request, ApiError(500, sentence, code="internal_error", final=True))


def _check_access_with(authenticator: Authenticator) -> Middleware:
    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        authenticator.check_source(request.headers.get("Host"), request.headers.get("Origin"))
        if request.path not in OPEN:
            request[TRUSTED] = authenticator.check_key(request.headers.get("Authorization"))
        return await handler(request)

    return check


async def _error_response(request: web.Request, error: ApiError) -> web.StreamResponse:
    request[ERROR_CODE] = error.code or "-"
    stream: EventStream | None = request.get(STREAM)
    if stream and stream.has_begun:
        return await stream.fail(error)
    if JOB in request:
        error.headers["X-Job-Id"] = request[JOB].id
    return web.json_response(error.body(), status=error.status, headers=error.headers)
