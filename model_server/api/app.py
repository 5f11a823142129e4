"""The gateway: an aiohttp application that listens at once, and the lifetimes of what stands behind it."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import TYPE_CHECKING

from aiohttp import web

from model_server.api.auth import Authenticator, check_exposure
from model_server.api.routes import JOB, STREAM, TRUSTED, Routes
from model_server.errors import RETRY_AFTER_SECONDS, ApiError
from model_server.workers.served_model import ServedModel, lookup
from model_server.workers.supervisor import FACTORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp.typedefs import Handler, Middleware

    from model_server.api.sse import EventStream
    from model_server.catalogue import CatalogueEntry
    from model_server.files.cache import ModelCache

log = logging.getLogger(__name__)
requests_log = logging.getLogger("model_server.requests")

ERROR = web.RequestKey("ERROR", str)
LARGEST_BODY = 1 << 20
SHUTDOWN_SECONDS = 2.0
LIVE = "/health/live"
GONE_STATUS = 499

SENTENCES = {
    404: "There is nothing at this address; the API is under /v1.",
    405: "This address does not take that method.",
    413: f"The body is larger than {LARGEST_BODY:,} bytes, which is all this server reads.",
}


async def serve(
    *,
    host: str,
    port: int,
    entries: Sequence[CatalogueEntry],
    store: ModelCache,
    api_key: str | None,
    trusted_key: str | None = None,
    factory: str = FACTORY,
) -> None:
    """Listen at once, then fetch and start each model; serve until cancelled.

    `api_key` is needed for every request. Without one, requests that bear `trusted_key` are believed for whom they
    ask, and all others are served too, as one user for each address that they come from.
    `factory` is where workers find the function that makes engines, as `module:function`.
    Raises ValueError when `host` is open to the network without a key, OSError when it cannot be listened on.
    """
    check_exposure(host, api_key)
    models = [ServedModel(entry, store, factory=factory) for entry in entries]
    runner = web.AppRunner(
        application(models, guard=Authenticator(host, api_key, trusted_key)),
        # Off by default: it is what ends a job whose client has gone.
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        log.info("Listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
        async with asyncio.TaskGroup() as tasks:
            for model in models:
                tasks.create_task(model.run())
            await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def application(models: Sequence[ServedModel], *, guard: Authenticator) -> web.Application:
    """The routes and what every request passes: the log, the errors' shape, the guard."""
    app = web.Application(client_max_size=LARGEST_BODY, middlewares=[_account, shape_errors, _guarded_by(guard)])
    app.add_routes(Routes(models).table())
    app.add_routes(_Catalogue(models).table())
    return app


class _Catalogue:
    """What there is, and how it fares."""

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self._models = models
        self._created = int(time.time())

    def table(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/models", self.models),
            web.get("/v1/models/{id:.+}", self.model),
            web.get(LIVE, self.live),
            web.get("/health/ready", self.ready),
        ]

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [self._described(model) for model in self._models]})

    async def model(self, request: web.Request) -> web.Response:
        models = {model.name: model for model in self._models}
        return web.json_response(self._described(lookup(models, request.match_info["id"])))

    async def live(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def ready(self, _: web.Request) -> web.Response:
        missing = {model.name: model.state for model in self._models if model.state != "ready"}
        loaded = [model.name for model in self._models if model.name not in missing]
        if not missing:
            return web.json_response({"status": "ready", "models": loaded})
        return web.json_response(
            {"status": "starting", "models": loaded, "missing": missing},
            status=503,
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )

    def _described(self, model: ServedModel) -> dict[str, object]:
        entry = model.entry
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
            },
        }


@web.middleware
async def _account(request: web.Request, handler: Handler) -> web.StreamResponse:
    """One line per request, and nothing of what was asked."""
    began = time.monotonic()
    status = GONE_STATUS
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        route, job = request.match_info.route.resource, request.get(JOB)
        requests_log.log(
            logging.DEBUG if request.path.startswith("/health/") else logging.INFO,
            "method=%s route=%s status=%d ms=%d model=%s job=%s error=%s",
            request.method,
            route.canonical if route else "-",
            status,
            1000 * (time.monotonic() - began),
            job.model if job else "-",
            job.id if job else "-",
            request.get(ERROR, "-"),
        )


@web.middleware
async def shape_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error in OpenAI's shape; of an unforeseen one, the client learns no more than a mark."""
    try:
        return await handler(request)
    except ApiError as error:
        return await _response(request, error)
    except web.HTTPException as error:
        sentence = SENTENCES.get(error.status, f"The request was refused: {error.reason}.")
        shaped = ApiError(error.status, sentence, code=error.reason.lower().replace(" ", "_"))
        if "Allow" in error.headers:
            shaped.headers["Allow"] = error.headers["Allow"]
        return await _response(request, shaped)
    except ConnectionResetError:
        # The client left between two events of its stream; there is nobody to answer.
        raise
    except Exception:
        mark = secrets.token_hex(4)
        log.exception("A request to %s failed (error %s).", request.path, mark)
        sentence = f"The server failed at this request (error {mark}; its log says more)."
        return await _response(request, ApiError(500, sentence, code="internal_error", final=True))


def _guarded_by(guard: Authenticator) -> Middleware:
    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        guard.check_source(request.headers.get("Host"), request.headers.get("Origin"))
        if request.path != LIVE:
            request[TRUSTED] = guard.check_key(request.headers.get("Authorization"))
        return await handler(request)

    return check


async def _response(request: web.Request, error: ApiError) -> web.StreamResponse:
    request[ERROR] = error.code or "-"
    stream: EventStream | None = request.get(STREAM)
    if stream and stream.begun:
        return await stream.fail(error)
    if JOB in request:
        error.headers["X-Job-Id"] = request[JOB].id
    return web.json_response(error.body(), status=error.status, headers=error.headers)
