"""The client of models: it speaks OpenAI's HTTP formats and returns typed events.

It works with any server that speaks these formats, and with several at once. Closing one of its generators closes the
connection, which tells the server that the rest of the answer is not needed.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from bot.core.errors import ModelError, ModelUnavailable
from bot.core.model_events import (
    Alternative,
    Answered,
    Delta,
    ModelChoice,
    Preview,
    QueueState,
    Readiness,
    Step,
    Waiting,
)
from bot.inference import faces, logprobs
from bot.inference.chat import ChatRequest, stream_chat
from bot.inference.images import LINE_BUFFER_BYTES, PictureStream, build_form, label_drawn, label_preview
from bot.inference.models import choose_model, read_languages, read_readiness, read_scores
from bot.inference.partial_dial import fetch_partial_dial
from bot.inference.plain_images import draw_plain, require_plain
from bot.inference.responses import DOWN, broken, checked_format, read_as
from bot.inference.upstreams.routing import Load, Route, no_model
from bot.inference.upstreams.upstream import DONE, Address, Timing, Upstream
from bot.inference.vectors import read_vectors

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from types import TracebackType

    from bot.core.model_events import Dial, Drawn, DuelSheet, FaceLayout, Pictures, Turn
    from bot.inference.upstreams.routing import Target
    from http_server.wire import Layout

__all__ = ["ModelClient", "Timing"]


class ModelClient:
    """The models of one or more upstreams. Use it as an async context manager.

    Remote upstreams get nothing, unless it was made by `reaching(remote=True)`.
    """

    def __init__(
        self, url: str, api_key: str = "", timing: Timing | None = None, traces: Sequence[aiohttp.TraceConfig] = ()
    ) -> None:
        """Make the client of one server, with arguments of `Upstream`; `over` makes that of several."""
        url = url.rstrip("/")
        address = Address(url=url, base=f"{url}/v1", key=api_key)
        self.upstreams: tuple[Upstream, ...] = (Upstream(address, timing, traces),)
        self._route = Route(self.upstreams)

    @classmethod
    def over(cls, upstreams: Sequence[Upstream]) -> Self:
        """Return the client of several upstreams; the first one that has a model for a task is the default."""
        client = cls.__new__(cls)
        client.upstreams, client._route = tuple(upstreams), Route(upstreams)
        return client

    def reaching(self, *, remote: bool) -> Self:
        """Return this client with remote upstreams, or without them. It shares the connections of this one."""
        client = type(self).over(self.upstreams)
        client._route = self._route.reaching(remote=remote)
        return client

    @property
    def remote_names(self) -> tuple[str, ...]:
        """The names of the remote upstreams that may get what it is asked."""
        return tuple(one.name for one in self._route.upstreams if not one.is_local)

    def is_remote(self, model: str) -> bool:
        """Return whether a model is at one of the `remote_names`."""
        return model.rpartition("@")[2] in self.remote_names

    async def __aenter__(self) -> Self:
        for upstream in self.upstreams:
            upstream.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for upstream in self.upstreams:
            await upstream.close()

    async def chat(
        self,
        turns: Sequence[Turn],
        *,
        temperature: float,
        seed: int,
        max_tokens: int | None = None,
        min_p: float = 0.0,
        likely: int | None = None,
        goes_on: bool = False,
        model: str | None = None,
        user: str = "",
    ) -> AsyncGenerator[Waiting | Step | Delta | Answered, None]:
        """Stream an answer to the last turn. The oldest turns are left out if the model cannot read them all.

        `min_p` leaves out tokens that are less probable at this temperature than this share of the most probable one;
        0 is not sent, since not every server knows it. `likely` (0 to 20) requests the tokens, each with so many of the
        most probable ones. With `goes_on`, the last turn is the beginning of the answer, and only the rest of it is
        streamed. Ends with `Answered`. Raises ModelError if the server refuses, ModelUnavailable if it is out of reach.
        """
        request = ChatRequest(
            turns=turns,
            temperature=temperature,
            seed=seed,
            max_tokens=max_tokens,
            min_p=min_p,
            likely=likely,
            goes_on=goes_on,
            user=user,
        )
        targets = await self._route.find("chat", model, reads_images=request.has_images)
        load = Load(user, sum(len(turn.content) for turn in turns))
        answer = self._route.stream(targets, lambda target: stream_chat(target, request), load)
        async with contextlib.aclosing(answer) as events:
            async for event in events:
                yield event

    async def dial(
        self,
        prompt: str | Sequence[int],
        *,
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int = 0,
        model: str | None = None,
        user: str = "",
    ) -> Dial:
        """Return the possible next tokens of `prompt` and the one that `seed` draws. Errors as for `chat`.

        `prompt` is a text or the ids of its tokens. It is continued as it is, not as a turn of a conversation.
        """
        fields: dict[str, Any] = {
            "prompt": prompt if isinstance(prompt, str) else list(prompt),
            "temperature": temperature,
            "top_p": top_p,
            "seed": seed,
            "dial": True,
            "user": user,
        }

        async def ask(target: Target) -> Dial:
            if not (await target.upstream.dialect()).is_ours:
                if not isinstance(prompt, str):
                    raise ModelError("“{model}” goes on with texts alone, not with single tokens.", model=target.name)
                dial = await fetch_partial_dial(target, prompt, temperature=temperature, top_p=top_p, seed=seed)
                return replace(dial, sent_to=target.sent_to)
            answer = await target.upstream.request("POST", "/completions", {"model": target.model, **fields})
            with checked_format(target.upstream.shown_name):
                told = str(answer.get("model") or target.model)
                dial = logprobs.read_dial(target.named(told), answer["tempera"]["dial"])
            return replace(dial, sent_to=target.sent_to)

        return await self._route.call(await self._route.find("chat", model), ask, Load(user, len(prompt)))

    async def faces(
        self,
        *,
        seed: int,
        count: int = 1,
        truncation: float = 1.0,
        face_size: int | None = None,
        layout: FaceLayout = "grid",
        captions: bool = False,
        snapshot: int | None = None,
        broken: bool = False,
        blend: int | None = None,
        best_of: int | None = None,
        model: str | None = None,
        user: str = "",
    ) -> Pictures:
        """Draw `count` faces into one file; `face_size` is the edge of each in pixels. Errors as for `chat`.

        Of `best_of` seeds in a row from `seed`, the one whose faces look best is taken.

        What follows `layout` is for a model that has a detective (`faces.DUEL_MODEL`). With `captions`, its verdict
        stands below each face. `snapshot` is the number of the one that draws, the last one by default, and `broken`
        asks for the training that lost its balance. `blend` is the seed of the last face, to which the others lead. As
        strip or animation, what is no blend shows the training.
        """
        fields = faces.build_fields(
            seed=seed,
            count=count,
            layout=layout,
            user=user,
            truncation=truncation,
            size=f"{face_size}x{face_size}" if face_size is not None else None,
            captions=captions or None,
            snapshot=snapshot,
            run="broken" if broken else None,
            blend=blend,
            best_of=best_of,
        )
        # No other model has the same faces.
        targets = await self._route.find("faces", model, others=model is None)
        return await self._route.call(targets, lambda target: faces.draw_faces(target, fields), Load(user, 0))

    async def duel(
        self, *, seed: int, count: int = 12, snapshot: int | None = None, model: str | None = None, user: str = ""
    ) -> DuelSheet:
        """Return one numbered sheet of `count` faces, half of them real and half forged. Errors as for `chat`.

        `snapshot` is the moment of the training, from 0, at which both networks draw and judge; None is its end.
        """
        size = f"{faces.FACE_PIXELS}x{faces.FACE_PIXELS}"
        fields = faces.build_fields(seed=seed, count=count, layout="duel", user=user, size=size, snapshot=snapshot)
        targets = await self._route.find("faces", model or faces.DUEL_MODEL, others=False)
        return await self._route.call(targets, lambda target: faces.draw_duel(target, fields), Load(user, 0))

    async def imagine(
        self,
        prompt: str,
        *,
        seed: int,
        count: int = 1,
        negative_prompt: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        references: int | None = None,
        least: Mapping[str, float] | None = None,
        most: Mapping[str, float] | None = None,
        source: bytes | None = None,
        strength: float | None = None,
        layout: Layout = "separate",
        enlarge: int | None = None,
        previews: int = 0,
        frames: Sequence[int] = (),
        sweep: Mapping[str, Sequence[float]] | None = None,
        model: str | None = None,
        user: str = "",
    ) -> AsyncGenerator[Waiting | Step | Preview | Drawn, None]:
        """Draw `count` pictures of `prompt`; picture i has `seed + i`. Ends with `Drawn`. Errors as for `chat`.

        None lets the model choose, within the limits `least` and `most` ({"steps": 40, "guidance": 10}). With `source`,
        an encoded picture, the pictures are variations of it: `strength` in (0, 1] says how much of it is replaced.
        `references`: how many drawings by people the model may look at for each thing. `enlarge` is the longer side of
        each picture in pixels, `previews` the number of previews, and `frames` the steps that a strip or an animation
        shows. `sweep` ({"guidance": [1, 3, 7]}, "steps" or "references") draws one picture for each value instead, in a
        row. Models of servers by others draw one picture of the words (see plain_images.py).
        """
        fields: dict[str, Any] = {
            "prompt": prompt,
            "n": count,
            "seed": seed,
            "negative_prompt": negative_prompt,
            "steps": steps,
            "guidance": guidance,
            "references": references,
            **{f"least_{name}": value for name, value in (least or {}).items()},
            **{f"most_{name}": value for name, value in (most or {}).items()},
            "strength": strength,
            "layout": layout,
            "enlarge": enlarge,
            "stream": True,
            "partial_images": previews,
            "frames": list(frames) or None,
            "sweep": {name: list(values) for name, values in sweep.items()} if sweep else None,
            "response_format": "b64_json",
            "user": user,
        }
        fields = {name: value for name, value in fields.items() if value is not None}
        targets = await self._route.find("images", model, others=source is None)
        drawing = self._route.stream(targets, lambda target: _draw(target, fields, source), Load(user, len(prompt)))
        async with contextlib.aclosing(drawing) as events:
            async for event in events:
                yield event

    async def embed(self, texts: Sequence[str], *, model: str | None = None, user: str = "") -> list[list[float]]:
        """Return one vector for each text, in order. Errors as for `chat`."""

        async def ask(target: Target) -> list[list[float]]:
            body = {"model": target.model, "input": list(texts)} | ({"user": user} if target.upstream.is_ours else {})
            answer = await target.upstream.request("POST", "/embeddings", body)
            with checked_format(target.upstream.shown_name):
                return read_vectors(answer, len(texts), is_ours=target.upstream.is_ours)

        # The vectors of two models have nothing to do with each other.
        targets = await self._route.find("embeddings", model, others=False)
        return await self._route.call(targets, ask, Load(user, sum(map(len, texts))))

    async def moderate(self, texts: Sequence[str], *, user: str = "") -> list[dict[str, float]]:
        """Return for each text its probability of belonging to each of OpenAI's categories. Errors as for `chat`."""

        async def ask(target: Target) -> list[dict[str, float]]:
            body = {"input": list(texts)} | ({"user": user} if target.upstream.is_ours else {})
            answer = await target.upstream.request(
                "POST", "/moderations", body | ({"model": target.model} if target.model else {})
            )
            with checked_format(target.upstream.shown_name):
                return read_scores(answer, len(texts))

        return await self._route.call(self._route.moderators(), ask, None)

    async def offered(self, task: str) -> list[str]:
        """Return the names of the models that there are for `task`, the default first. Errors as for `chat`."""
        return list((await self.listed(task))[task])

    async def listed(self, *tasks: str) -> dict[str, dict[str, Mapping[str, Any]]]:
        """Return what is said about the models for `tasks`, by task and name. Errors as for `chat`."""
        return await self._route.listed(*tasks)

    async def choose(self, task: str, *wanted: str) -> ModelChoice:
        """Return the first of the `wanted` models that is offered for `task`, "" passed over, or else the first one."""
        if not (listed := (await self.listed(task))[task]):
            raise no_model(task)
        return choose_model(listed, wanted)

    async def first(self, task: str) -> str:
        """Return the name of the first model that there is for `task`, in the order of the configuration."""
        return await self._route.first(task)

    async def languages(self, task: str, model: str) -> frozenset[str] | None:
        """Return the codes of the languages that a model knows, None if it does not tell. Errors as for `chat`."""
        return read_languages((await self.listed(task))[task].get(model, {}))

    async def queues(self) -> list[QueueState]:
        """Return the queues of our model server's models; none if it does not tell them."""
        for upstream in self._route.upstreams:
            if upstream.is_ours and upstream.is_local:
                with contextlib.suppress(ModelError), checked_format():
                    return read_as(list[QueueState], (await upstream.request("GET", "/queue"))["data"])
        return []

    async def alternatives(self) -> tuple[Alternative, ...]:
        """Return the models of which our model server's operator chooses one; none if it does not tell them."""
        with contextlib.suppress(ModelError):
            return (await self.readiness()).alternatives
        return ()

    async def readiness(self) -> Readiness:
        """Return which models of our model server are ready, and the states of others.

        Raises ModelUnavailable if it is down.
        """
        if (own := next((one for one in self.upstreams if not one.name), None)) is None:
            raise ModelUnavailable(DOWN)
        try:
            status, body = await own.get("/health/ready")
        except (aiohttp.ClientError, LineTooLong, TimeoutError, ValueError) as error:
            raise ModelUnavailable(DOWN) from error
        with checked_format():
            return read_readiness(body, is_ready=status == 200)


async def _draw(
    target: Target, fields: Mapping[str, Any], source: bytes | None
) -> AsyncGenerator[Waiting | Step | Preview | Drawn, None]:
    """Stream the pictures of one model."""
    upstream, body = target.upstream, {"model": target.model, **fields}
    if not (await upstream.dialect()).is_ours:
        require_plain(target, fields, source)
        yield await draw_plain(target, fields)
        return
    stream = PictureStream(target.name)
    if source is None:
        sent = upstream.stream("/images/generations", json=body, read_bufsize=LINE_BUFFER_BYTES)
    else:
        form = build_form(upstream.anonymous(body), source)
        sent = upstream.stream("/images/variations", data=form, read_bufsize=LINE_BUFFER_BYTES)
    is_done = False
    async with contextlib.aclosing(sent) as chunks:
        async for chunk in chunks:
            if chunk is DONE:
                is_done = True
                break
            with checked_format(upstream.shown_name):
                event = stream.read(chunk)
            if isinstance(event, Preview):
                event = await label_preview(event, target.name)
            if event is not None:
                yield event
    if not is_done:
        raise broken(upstream.shown_name)
    with checked_format(upstream.shown_name):
        drawn = stream.result()
    yield replace(await label_drawn(drawn), sent_to=target.sent_to)
