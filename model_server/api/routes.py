"""The routes that use a model: parse the request, submit a job, and answer in one response or as a stream."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import TYPE_CHECKING, Any

from aiohttp import web

from model_server.api.image_requests import ImageRequest, VariationRequest
from model_server.api.image_responses import ImageAnswer
from model_server.api.multipart import read_form
from model_server.api.openapi import FORM, PLAIN_ERRORS, describe, describe_job, parameter
from model_server.api.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ModerationRequest,
    StreamOptions,
    parse,
)
from model_server.api.responses import (
    ChatAnswer,
    CompletionAnswer,
    TextAnswer,
    build_embeddings,
    build_moderations,
    to_api_error,
)
from model_server.api.sse import EventStream
from model_server.errors import ApiError
from model_server.jobs import Chat, Completion, Failed, Finished, Job, Scores, Vectors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from model_server.jobs import Faces, Imagine, Task
    from model_server.scheduling.ticket import Ticket, TicketEvent
    from model_server.workers.served_model import ServedModel
    from model_server.workers.served_models import ServedModels

ImageRequests = ImageRequest | VariationRequest
ParsedRequest = ChatRequest | CompletionRequest | ImageRequests | EmbeddingRequest | ModerationRequest
KEEP_ALIVE_SECONDS = 15.0
JOB = web.RequestKey("JOB", Job)
STREAM = web.RequestKey("STREAM", EventStream)
"""The job and the stream of a request, for the middlewares that log it and render its errors."""
TRUSTED = web.RequestKey("TRUSTED", bool)
"""True if the client has a key, so that the `user` field of its requests is believed."""

TASK_ENDPOINTS = {
    "chat": "answers in text at /v1/chat/completions and /v1/completions",
    "images": "draws pictures at /v1/images/generations and /v1/images/variations",
    "faces": "draws faces at /v1/images/generations",
    "embeddings": "turns texts into vectors at /v1/embeddings",
    "moderations": "tells what is wrong with texts at /v1/moderations",
}


class Routes:
    """The handlers and the models that they use."""

    def __init__(self, models: ServedModels) -> None:
        self._models = models

    @describe_job("/v1/chat/completions", ChatRequest, "ChatCompletion", streams=True)
    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer a conversation."""
        return await self._answer_text(request, parse(ChatRequest, await request.read()), ChatAnswer)

    @describe_job("/v1/completions", CompletionRequest, "TextCompletion", streams=True)
    async def complete(self, request: web.Request) -> web.StreamResponse:
        """Continue a text."""
        return await self._answer_text(request, parse(CompletionRequest, await request.read()), CompletionAnswer)

    @describe_job("/v1/images/generations", ImageRequest, "Images", streams=True)
    async def draw(self, request: web.Request) -> web.StreamResponse:
        """Draw pictures."""
        parsed = parse(ImageRequest, await request.read())
        model = self._find_model(parsed, "faces", "images")
        return await self._answer_images(
            request, parsed, parsed.to_faces() if model.task == "faces" else parsed.to_imagine()
        )

    @describe_job("/v1/images/variations", VariationRequest, "Images", kind=FORM, streams=True)
    async def vary(self, request: web.Request) -> web.StreamResponse:
        """Draw variations."""
        fields, picture = await read_form(request)
        parsed = parse(VariationRequest, fields)
        self._find_model(parsed, "images")
        return await self._answer_images(request, parsed, parsed.to_variation(picture))

    @describe_job("/v1/embeddings", EmbeddingRequest, "Embeddings")
    async def embed(self, request: web.Request) -> web.StreamResponse:
        """Turn texts into vectors."""
        parsed = parse(EmbeddingRequest, await request.read())
        packed = parsed.encoding_format == "base64"
        self._find_model(parsed, "embeddings")
        with self._submit(request, parsed, parsed.to_task()) as ticket:
            events = await _collect_events(ticket)
            vectors = next(event for event in events if isinstance(event, Vectors))
            end = next(event for event in events if isinstance(event, Finished))
            return await _json_response(
                ticket, lambda: json.dumps(build_embeddings(ticket, vectors, end, packed=packed))
            )

    @describe_job("/v1/moderations", ModerationRequest, "Moderations")
    async def moderate(self, request: web.Request) -> web.StreamResponse:
        """Score texts."""
        parsed = parse(ModerationRequest, await request.read())
        if not parsed.model:
            parsed = parsed.model_copy(update={"model": self._first_model_name("moderations")})
        self._find_model(parsed, "moderations")
        with self._submit(request, parsed, parsed.to_task()) as ticket:
            scores = next(event for event in await _collect_events(ticket) if isinstance(event, Scores))
            return await _json_response(ticket, lambda: json.dumps(build_moderations(ticket, scores)))

    @describe("get", "/v1/queue", "Queues")
    async def queue(self, request: web.Request) -> web.Response:
        """The jobs of every model."""
        # Without their content, and with their users only for clients with a key.
        data = [_describe_queue(model, with_users=request[TRUSTED]) for model in self._models.at_work()]
        return web.json_response({"object": "list", "data": data})

    @describe("delete", "/v1/jobs/{id}", "Cancelled", errors=(*PLAIN_ERRORS, 404), parameters=[parameter("id")])
    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel a job."""
        # A client without a key can only cancel jobs from its own address.
        job_id = request.match_info["id"]
        tickets = (model.queue.find(job_id) for model in self._models.at_work())
        ticket = next(filter(None, tickets), None)
        if ticket is None or not (request[TRUSTED] or ticket.job.user == _queue_user(request, None)):
            raise ApiError(404, "There is no such job; it may have ended already.", code="job_not_found")
        ticket.cancel()
        return web.json_response({"id": job_id, "object": "job", "status": "cancelled"})

    def _find_model(self, parsed: ParsedRequest, *purposes: str) -> ServedModel:
        """Return the requested model. Raises ApiError if there is none, or if its task is not among `purposes`."""
        model = self._models.find(parsed.model)
        if model.task not in purposes:
            sentence = f"{model.name} {TASK_ENDPOINTS[model.task]}, and does nothing else."
            raise ApiError(400, sentence, code="wrong_model", param="model")
        return model

    def _first_model_name(self, purpose: str) -> str:
        """Return the name of the first model whose task is `purpose`. Raises ApiError (404) if there is none."""
        for model in self._models.listed():
            if model.task == purpose:
                return model.name
        raise ApiError(404, f"No model here is for {purpose}.", code="model_not_found", param="model")

    def _submit(self, request: web.Request, parsed: ParsedRequest, task: Task) -> Ticket:
        # The name of the model that really answers, which may be another one than was asked for.
        model = self._models.find(parsed.model)
        job = Job(
            id=f"job_{secrets.token_hex(12)}", model=model.name, task=task, user=_queue_user(request, parsed.user)
        )
        request[JOB] = job
        return model.submit(job, deadline_s=parsed.deadline_s)

    async def _answer_text(
        self, request: web.Request, parsed: ChatRequest | CompletionRequest, kind: type[TextAnswer]
    ) -> web.StreamResponse:
        self._find_model(parsed, "chat")
        task: Chat | Completion = parsed.to_task()
        with self._submit(request, parsed, task) as ticket:
            answer = kind(ticket, task)
            if parsed.stream:
                options = parsed.stream_options or StreamOptions()
                stream = request[STREAM] = EventStream(request, _job_headers(ticket))
                return await _stream_text(stream, ticket, answer, options)
            for event in await _collect_events(ticket):
                answer.add(event)
            return await _json_response(ticket, lambda: json.dumps(answer.build_response(), allow_nan=False))

    async def _answer_images(
        self, request: web.Request, parsed: ImageRequests, task: Faces | Imagine
    ) -> web.StreamResponse:
        with self._submit(request, parsed, task) as ticket:
            answer = ImageAnswer(ticket, task)
            if parsed.stream:
                stream = request[STREAM] = EventStream(request, _job_headers(ticket))
                return await _stream_images(stream, ticket, answer)
            for event in await _collect_events(ticket):
                answer.add(event)
            return await _json_response(ticket, lambda: json.dumps(answer.build_response()))


async def _collect_events(ticket: Ticket) -> list[TicketEvent]:
    """Return all events of the job until it has finished. Raises ApiError if it failed."""
    events: list[TicketEvent] = []
    async for event in ticket:
        if isinstance(event, Failed):
            raise to_api_error(event)
        events.append(event)
    return events


async def _stream_text(
    stream: EventStream, ticket: Ticket, answer: TextAnswer, options: StreamOptions
) -> web.StreamResponse:
    async for event in _events_with_keep_alive(stream, ticket):
        answer.add(event)
        if chunk := answer.build_chunk(event, progress=bool(options.include_progress)):
            await stream.send(chunk | ({"usage": None} if options.include_usage else {}))
    if options.include_usage:
        await stream.send(answer.build_usage_chunk())
    return await stream.finish()


async def _stream_images(stream: EventStream, ticket: Ticket, answer: ImageAnswer) -> web.StreamResponse:
    async for event in _events_with_keep_alive(stream, ticket):
        answer.add(event)
        if part := answer.build_event(event):
            await stream.send(part, part["type"])
    for completed in answer.build_completed_events():
        await stream.send(completed, completed["type"])
    return await stream.finish()


async def _events_with_keep_alive(stream: EventStream, ticket: Ticket) -> AsyncIterator[TicketEvent]:
    """Iterate over the events of a job; send a keep-alive to the client while there are none for long."""
    while True:
        try:
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                event = await anext(ticket, None)
        except TimeoutError:
            await stream.keep_alive()
            continue
        if event is None:
            break
        yield event


def _queue_user(request: web.Request, user: str | None) -> str:
    """Return the user of a job for the queue. A client without a key could invent users, so its address counts."""
    return user or "" if request[TRUSTED] else f"address:{request.remote}"


def _describe_queue(model: ServedModel, *, with_users: bool) -> dict[str, Any]:
    queue = model.queue
    jobs = [
        {"id": job.id, "state": "waiting" if job.place else "running", "place": job.place, "age_s": round(job.age_s, 3)}
        | ({"user": job.user} if with_users else {})
        for job in queue.snapshots()
    ]
    waiting = sum(job["state"] == "waiting" for job in jobs)
    return {
        "model": model.name,
        "capacity": queue.capacity,
        "running": len(jobs) - waiting,
        "waiting": waiting,
        "mean_seconds": _round(queue.throughput.mean_seconds),
        "tokens_per_second": _round(queue.throughput.tokens_per_second),
        "prefix_hit_rate": _round(queue.throughput.prefix_hit_rate),
        "jobs": jobs,
    }


def _round(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 3)


def _job_headers(ticket: Ticket) -> dict[str, str]:
    return {"X-Job-Id": ticket.job.id}


async def _json_response(ticket: Ticket, render: Callable[[], str]) -> web.Response:
    # In a thread, because encoding a thousand vectors would block the event loop noticeably.
    text = await asyncio.to_thread(render)
    return web.Response(text=text, content_type="application/json", headers=_job_headers(ticket))
