"""The routes that ask a model for something: decode, submit, and answer whole or as a stream."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import TYPE_CHECKING

from aiohttp import web

from model_server.answers import ChatAnswer, CompletionAnswer, TextAnswer, embeddings, failure, pictures
from model_server.errors import ApiError
from model_server.job import Chat, Completion, Failed, Finished, Job, Picture, Vectors
from model_server.model import Model, lookup
from model_server.protocol import ChatRequest, CompletionRequest, EmbeddingRequest, ImageRequest, StreamOptions, parse
from model_server.sse import EventStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from model_server.job import Task
    from model_server.scheduler import Heard, Ticket

KEEP_ALIVE_SECONDS = 15.0
JOB = web.RequestKey("JOB", Job)
STREAM = web.RequestKey("STREAM", EventStream)
"""What a request became, for those who log it and shape its errors."""

ASK = {
    "chat": "answers in text at /v1/chat/completions and /v1/completions",
    "faces": "draws faces at /v1/images/generations",
    "embeddings": "turns texts into vectors at /v1/embeddings",
}


class Routes:
    """The handlers, with the models that they ask. `trusts_users`: clients hold a key, so their `user` field counts."""

    def __init__(self, models: Iterable[Model], *, trusts_users: bool) -> None:
        self._models = {model.name: model for model in models}
        self._trusts_users = trusts_users

    def table(self) -> list[web.RouteDef]:
        """What to serve under which path."""
        return [
            web.post("/v1/chat/completions", self.chat),
            web.post("/v1/completions", self.complete),
            web.post("/v1/images/generations", self.draw),
            web.post("/v1/embeddings", self.embed),
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
        task = asked.task()
        with self._submit(request, asked.model, "faces", task, asked.user) as ticket:
            events = await _all(ticket)
            drawn = [event for event in events if isinstance(event, Picture)]
            return await _whole(ticket, lambda: json.dumps(pictures(ticket, task.seed, drawn)))

    async def embed(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/embeddings."""
        asked = parse(EmbeddingRequest, await request.read())
        packed = asked.encoding_format == "base64"
        with self._submit(request, asked.model, "embeddings", asked.task(), asked.user) as ticket:
            events = await _all(ticket)
            found = next(event for event in events if isinstance(event, Vectors))
            end = next(event for event in events if isinstance(event, Finished))
            return await _whole(ticket, lambda: json.dumps(embeddings(ticket, found, end, packed=packed)))

    async def cancel(self, request: web.Request) -> web.Response:
        """DELETE /v1/jobs/{id}."""
        job_id = request.match_info["id"]
        tickets = (model.lane.find(job_id) for model in self._models.values())
        ticket = next(filter(None, tickets), None)
        if ticket is None:
            raise ApiError(404, "There is no such job; it may have ended already.", code="job_not_found")
        ticket.cancel()
        return web.json_response({"id": job_id, "object": "job", "status": "cancelled"})

    def _submit(self, request: web.Request, name: str, purpose: str, task: Task, user: str | None) -> Ticket:
        model = lookup(self._models, name)
        if model.task != purpose:
            raise ApiError(400, f"{name} {ASK[model.task]}, and does nothing else.", code="wrong_model", param="model")
        owner = (user or "") if self._trusts_users else ""
        job = Job(id=f"job_{secrets.token_hex(12)}", model=name, task=task, user=owner)
        request[JOB] = job
        return model.submit(job)

    async def _write(
        self, request: web.Request, asked: ChatRequest | CompletionRequest, kind: type[TextAnswer]
    ) -> web.StreamResponse:
        task: Chat | Completion = asked.task()
        with self._submit(request, asked.model, "chat", task, asked.user) as ticket:
            answer = kind(ticket, task)
            if asked.stream:
                options = asked.stream_options or StreamOptions()
                stream = request[STREAM] = EventStream(request, _headers(ticket))
                return await _streamed(stream, ticket, answer, options)
            for event in await _all(ticket):
                answer.take(event)
            return await _whole(ticket, lambda: json.dumps(answer.whole(), allow_nan=False))


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
    while True:
        try:
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                event = await anext(ticket, None)
        except TimeoutError:
            await stream.keep_alive()
            continue
        if event is None:
            break
        answer.take(event)
        if chunk := answer.chunk(event, progress=bool(options.include_progress)):
            await stream.send(chunk | ({"usage": None} if options.include_usage else {}))
    if options.include_usage:
        await stream.send(answer.usage_chunk())
    return await stream.finish()


def _headers(ticket: Ticket) -> dict[str, str]:
    return {"X-Job-Id": ticket.job.id}


async def _whole(ticket: Ticket, render: Callable[[], str]) -> web.Response:
    # A thousand vectors take long enough to write down that other requests would notice.
    text = await asyncio.to_thread(render)
    return web.Response(text=text, content_type="application/json", headers=_headers(ticket))
