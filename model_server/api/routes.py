"""The routes that ask a model for something: decode, submit, and answer whole or as a stream."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import TYPE_CHECKING, Any

from aiohttp import web

from model_server.api.image_requests import ImageRequest, VariationRequest
from model_server.api.image_responses import ImageAnswer
from model_server.api.multipart import read_form
from model_server.api.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ModerationRequest,
    StreamOptions,
    parse,
)
from model_server.api.responses import ChatAnswer, CompletionAnswer, TextAnswer, embeddings, failure, moderations
from model_server.api.sse import EventStream
from model_server.errors import ApiError
from model_server.jobs import Chat, Completion, Failed, Finished, Job, Scores, Vectors
from model_server.workers.served_model import ServedModel, lookup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from model_server.jobs import Faces, Imagine, Task
    from model_server.scheduling.ticket import Heard, Ticket

ImageRequests = ImageRequest | VariationRequest
AnyRequest = ChatRequest | CompletionRequest | ImageRequests | EmbeddingRequest | ModerationRequest
KEEP_ALIVE_SECONDS = 15.0
JOB = web.RequestKey("JOB", Job)
STREAM = web.RequestKey("STREAM", EventStream)
"""What a request became, for those who log it and shape its errors."""
TRUSTED = web.RequestKey("TRUSTED", bool)
"""Whether the client showed a key, so that it is believed for whom it asks."""

ASK = {
    "chat": "answers in text at /v1/chat/completions and /v1/completions",
    "images": "draws pictures at /v1/images/generations and /v1/images/variations",
    "faces": "draws faces at /v1/images/generations",
    "embeddings": "turns texts into vectors at /v1/embeddings",
    "moderations": "tells what is wrong with texts at /v1/moderations",
}


class Routes:
    """The handlers, with the models that they ask."""

    def __init__(self, models: Iterable[ServedModel]) -> None:
        self._models = {model.name: model for model in models}

    def table(self) -> list[web.RouteDef]:
        """What to serve under which path."""
        return [
            web.post("/v1/chat/completions", self.chat),
            web.post("/v1/completions", self.complete),
            web.post("/v1/images/generations", self.draw),
            web.post("/v1/images/variations", self.vary),
            web.post("/v1/embeddings", self.embed),
            web.post("/v1/moderations", self.moderate),
            web.get("/v1/queue", self.queue),
            web.delete("/v1/jobs/{id}", self.cancel),
        ]

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        return await self._write(request, parse(ChatRequest, await request.read()), ChatAnswer)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/completions."""
        return await self._write(request, parse(CompletionRequest, await request.read()), CompletionAnswer)

    async def draw(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/images/generations."""
        asked = parse(ImageRequest, await request.read())
        model = self._find(asked, "faces", "images")
        return await self._draw(request, asked, asked.faces() if model.task == "faces" else asked.imagine())

    async def vary(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/images/variations."""
        fields, picture = await read_form(request)
        asked = parse(VariationRequest, fields)
        self._find(asked, "images")
        return await self._draw(request, asked, asked.variation(picture))

    async def embed(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/embeddings."""
        asked = parse(EmbeddingRequest, await request.read())
        packed = asked.encoding_format == "base64"
        self._find(asked, "embeddings")
        with self._submit(request, asked, asked.task()) as ticket:
            events = await _all(ticket)
            found = next(event for event in events if isinstance(event, Vectors))
            end = next(event for event in events if isinstance(event, Finished))
            return await _whole(ticket, lambda: json.dumps(embeddings(ticket, found, end, packed=packed)))

    async def moderate(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/moderations."""
        asked = parse(ModerationRequest, await request.read())
        if not asked.model:
            asked = asked.model_copy(update={"model": self._first("moderations")})
        self._find(asked, "moderations")
        with self._submit(request, asked, asked.task()) as ticket:
            found = next(event for event in await _all(ticket) if isinstance(event, Scores))
            return await _whole(ticket, lambda: json.dumps(moderations(ticket, found)))

    async def queue(self, request: web.Request) -> web.Response:
        """GET /v1/queue: every model's jobs, without what they ask; whose they are is told to holders of a key."""
        data = [_queue_of(model, with_users=request[TRUSTED]) for model in self._models.values()]
        return web.json_response({"object": "list", "data": data})

    async def cancel(self, request: web.Request) -> web.Response:
        """DELETE /v1/jobs/{id}. Without a key, only jobs from the same address are there to be cancelled."""
        job_id = request.match_info["id"]
        tickets = (model.lane.find(job_id) for model in self._models.values())
        ticket = next(filter(None, tickets), None)
        if ticket is None or not (request[TRUSTED] or ticket.job.user == _owner(request, None)):
            raise ApiError(404, "There is no such job; it may have ended already.", code="job_not_found")
        ticket.cancel()
        return web.json_response({"id": job_id, "object": "job", "status": "cancelled"})

    def _find(self, asked: AnyRequest, *purposes: str) -> ServedModel:
        """The model that is asked. Raises ApiError when there is none, or when it is for something else."""
        model = lookup(self._models, asked.model)
        if model.task not in purposes:
            sentence = f"{model.name} {ASK[model.task]}, and does nothing else."
            raise ApiError(400, sentence, code="wrong_model", param="model")
        return model

    def _first(self, purpose: str) -> str:
        """The name of the first model that is for `purpose`. Raises ApiError (404) when there is none."""
        for model in self._models.values():
            if model.task == purpose:
                return model.name
        raise ApiError(404, f"No model here is for {purpose}.", code="model_not_found", param="model")

    def _submit(self, request: web.Request, asked: AnyRequest, task: Task) -> Ticket:
        job = Job(id=f"job_{secrets.token_hex(12)}", model=asked.model, task=task, user=_owner(request, asked.user))
        request[JOB] = job
        return lookup(self._models, asked.model).submit(job, deadline_s=asked.deadline_s)

    async def _write(
        self, request: web.Request, asked: ChatRequest | CompletionRequest, kind: type[TextAnswer]
    ) -> web.StreamResponse:
        self._find(asked, "chat")
        task: Chat | Completion = asked.task()
        with self._submit(request, asked, task) as ticket:
            answer = kind(ticket, task)
            if asked.stream:
                options = asked.stream_options or StreamOptions()
                stream = request[STREAM] = EventStream(request, _headers(ticket))
                return await _streamed(stream, ticket, answer, options)
            for event in await _all(ticket):
                answer.take(event)
            return await _whole(ticket, lambda: json.dumps(answer.whole(), allow_nan=False))

    async def _draw(self, request: web.Request, asked: ImageRequests, task: Faces | Imagine) -> web.StreamResponse:
        with self._submit(request, asked, task) as ticket:
            answer = ImageAnswer(ticket, task)
            if asked.stream:
                stream = request[STREAM] = EventStream(request, _headers(ticket))
                return await _drawn(stream, ticket, answer)
            for event in await _all(ticket):
                answer.take(event)
            return await _whole(ticket, lambda: json.dumps(answer.whole()))


async def _all(ticket: Ticket) -> list[Heard]:
    """All that happens until the job is finished. Raises ApiError when it fails."""
    events: list[Heard] = []
    async for event in ticket:
        if isinstance(event, Failed):
            raise failure(event)
        events.append(event)
    return events


async def _streamed(
    stream: EventStream, ticket: Ticket, answer: TextAnswer, options: StreamOptions
) -> web.StreamResponse:
    async for event in _heard(stream, ticket):
        answer.take(event)
        if chunk := answer.chunk(event, progress=bool(options.include_progress)):
            await stream.send(chunk | ({"usage": None} if options.include_usage else {}))
    if options.include_usage:
        await stream.send(answer.usage_chunk())
    return await stream.finish()


async def _drawn(stream: EventStream, ticket: Ticket, answer: ImageAnswer) -> web.StreamResponse:
    async for event in _heard(stream, ticket):
        answer.take(event)
        if news := answer.news(event):
            await stream.send(news, news["type"])
    for last in answer.completed():
        await stream.send(last, last["type"])
    return await stream.finish()


async def _heard(stream: EventStream, ticket: Ticket) -> AsyncIterator[Heard]:
    """What happens to a job; where that is nothing for long, the client is told at least that it waits."""
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


def _owner(request: web.Request, user: str | None) -> str:
    """Whom the queue must be fair to. A client without a key could invent users; its address is all that is known."""
    return user or "" if request[TRUSTED] else f"address:{request.remote}"


def _queue_of(model: ServedModel, *, with_users: bool) -> dict[str, Any]:
    lane = model.lane
    jobs = [
        {"id": job.id, "state": "waiting" if job.place else "running", "place": job.place, "age_s": round(job.age_s, 3)}
        | ({"user": job.user} if with_users else {})
        for job in lane.sights()
    ]
    waiting = sum(job["state"] == "waiting" for job in jobs)
    return {
        "model": model.name,
        "capacity": lane.capacity,
        "running": len(jobs) - waiting,
        "waiting": waiting,
        "mean_seconds": _rounded(lane.meter.mean_seconds),
        "tokens_per_second": _rounded(lane.meter.tokens_per_second),
        "prefix_hit_rate": _rounded(lane.meter.prefix_hit_rate),
        "jobs": jobs,
    }


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 3)


def _headers(ticket: Ticket) -> dict[str, str]:
    return {"X-Job-Id": ticket.job.id}


async def _whole(ticket: Ticket, render: Callable[[], str]) -> web.Response:
    # A thousand vectors take long enough to write down that other requests would notice.
    text = await asyncio.to_thread(render)
    return web.Response(text=text, content_type="application/json", headers=_headers(ticket))
