"""The client of the model server: it speaks OpenAI's HTTP formats and returns typed events.

It works with any server that speaks these formats. Closing one of its generators closes the connection, which tells the
server that the rest of the answer is not needed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from bot.core.errors import ModelUnavailable
from bot.core.model_events import Answered, Delta, ModelChoice, Pictures, Preview, Readiness, Step, Waiting
from bot.inference import logprobs
from bot.inference.images import LINE_BUFFER_BYTES, PictureStream, build_form, label_drawn, label_preview
from bot.inference.logprobs import TokenReader, read_entropies
from bot.inference.models import choose_model, read_languages, read_models, read_readiness
from bot.inference.responses import BROKEN, DOWN, checked_format, connection_errors, raise_error, require_object
from bot.provenance.labelling import label_picture

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from types import TracebackType

    from bot.core.model_events import Dial, Drawn, Layout, Turn


@dataclass(frozen=True, slots=True)
class Timing:
    """The longest times that a model server may take, in seconds."""

    connect: float = 5
    silence: float = 300
    """The longest time without data, so that a request can wait in the queue but not for ever."""


class ModelClient:
    """A connection pool to one model server. Use it as an async context manager."""

    def __init__(
        self, url: str, api_key: str = "", timing: Timing | None = None, traces: Sequence[aiohttp.TraceConfig] = ()
    ) -> None:
        """`traces` are called by aiohttp while it connects, and may refuse the server (see key_proof.py)."""
        self.url = url.rstrip("/")
        self._timing = timing or Timing()
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._traces = list(traces)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(sock_connect=self._timing.connect, sock_read=self._timing.silence)
        # The server's queue is fair between users; a limited pool would be a second queue that is not.
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            timeout=timeout,
            connector=connector,
            read_bufsize=1 << 22,
            trace_configs=self._traces,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

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
        streamed. Ends with `Answered`. Raises ModelError if the server refuses, and ModelUnavailable if it cannot be
        reached.
        """
        body: dict[str, Any] = {
            "model": model or await self.first("chat"),
            "messages": [{"role": turn.role, "content": turn.content} for turn in turns],
            "temperature": temperature,
            "seed": seed,
            "stream": True,
            "stream_options": {"include_usage": True, "include_progress": True},
            "truncation": "auto",
            "user": user,
        }
        if max_tokens is not None:
            body["max_tokens"] = max_tokens
        if min_p > 0:
            body["min_p"] = min_p
        if likely is not None:
            body |= {"logprobs": True, "top_logprobs": likely}
        if goes_on:
            body["continue_final_message"] = True
        reader = TokenReader()
        finish, extra, usage, model_name = "stop", dict[str, Any](), dict[str, Any](), str(body["model"])
        async with contextlib.aclosing(self._stream("/v1/chat/completions", json=body)) as chunks:
            async for chunk in chunks:
                news = chunk.get("tempera") or {}
                extra |= news
                usage = chunk.get("usage") or usage
                model_name = str(chunk.get("model") or model_name)
                if queue := news.get("queue"):
                    yield Waiting(queue["place"], queue.get("eta_s"))
                if "step" in news:
                    yield Step(news["step"], news["steps"])
                for choice in chunk.get("choices", ()):
                    finish = choice.get("finish_reason") or finish
                    text = choice["delta"].get("content") or ""
                    with checked_format():
                        tokens, entropies = reader.read_tokens(choice), read_entropies(choice, news)
                    if text or tokens:
                        yield Delta(text, tokens, entropies)
        yield Answered(
            model=model_name,
            seed=extra.get("seed", seed),
            finish_reason=finish,
            prompt_tokens=usage.get("prompt_tokens", 0),
            completion_tokens=usage.get("completion_tokens", 0),
            seconds=extra.get("seconds", 0.0),
            dropped_turns=extra.get("dropped_turns", 0),
        )

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
        body: dict[str, Any] = {
            "model": model or await self.first("chat"),
            "prompt": prompt if isinstance(prompt, str) else list(prompt),
            "temperature": temperature,
            "top_p": top_p,
            "seed": seed,
            "dial": True,
            "user": user,
        }
        answer = await self._post("/v1/completions", body)
        with checked_format():
            return logprobs.read_dial(str(answer.get("model") or body["model"]), answer["tempera"]["dial"])

    async def faces(
        self,
        *,
        seed: int,
        count: int = 1,
        truncation: float = 1.0,
        face_size: int | None = None,
        model: str | None = None,
        user: str = "",
    ) -> Pictures:
        """Draw `count` faces into one grid; `face_size` is the edge of each in pixels. Errors as for `chat`."""
        body: dict[str, Any] = {
            "model": model or await self.first("faces"),
            "prompt": "",
            "n": count,
            "seed": seed,
            "truncation": truncation,
            "layout": "grid",
            "response_format": "b64_json",
            "user": user,
        }
        if face_size is not None:
            body["size"] = f"{face_size}x{face_size}"
        answer = await self._post("/v1/images/generations", body)
        extra = answer.get("tempera") or {}
        facts = {"model": body["model"], "seed": str(extra.get("seed", seed)), "truncation": f"{truncation:g}"}
        files = [base64.b64decode(item["b64_json"]) for item in answer["data"]]
        return Pictures(
            model=body["model"],
            seed=extra.get("seed", seed),
            seconds=extra.get("seconds", 0.0),
            png=tuple([await asyncio.to_thread(label_picture, file, facts) for file in files]),
        )

    async def imagine(
        self,
        prompt: str,
        *,
        seed: int,
        count: int = 1,
        negative_prompt: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
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
        `enlarge` is the longer side of each picture in pixels, `previews` the number of previews, and `frames` the
        steps that a strip or an animation shows. `sweep` ({"guidance": [1, 3, 7]} or "steps") draws one picture for
        each value instead, in a row.
        """
        body: dict[str, Any] = {
            "model": model or await self.first("images"),
            "prompt": prompt,
            "n": count,
            "seed": seed,
            "negative_prompt": negative_prompt,
            "steps": steps,
            "guidance": guidance,
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
        body = {name: value for name, value in body.items() if value is not None}
        stream = PictureStream(body["model"])
        if source is None:
            sent = self._stream("/v1/images/generations", json=body, read_bufsize=LINE_BUFFER_BYTES)
        else:
            sent = self._stream("/v1/images/variations", data=build_form(body, source), read_bufsize=LINE_BUFFER_BYTES)
        async with contextlib.aclosing(sent) as chunks:
            async for chunk in chunks:
                with checked_format():
                    event = stream.read(chunk)
                if isinstance(event, Preview):
                    event = await label_preview(event, body["model"])
                if event is not None:
                    yield event
        with checked_format():
            drawn = stream.result()
        yield await label_drawn(drawn)

    async def embed(self, texts: Sequence[str], *, model: str | None = None, user: str = "") -> list[list[float]]:
        """Return one vector for each text, in order. Errors as for `chat`."""
        body = {"model": model or await self.first("embeddings"), "input": list(texts), "user": user}
        answer = await self._post("/v1/embeddings", body)
        return [item["embedding"] for item in sorted(answer["data"], key=lambda item: item["index"])]

    async def moderate(self, texts: Sequence[str], *, user: str = "") -> list[dict[str, float]]:
        """Return for each text its probability of belonging to each of OpenAI's categories. Errors as for `chat`."""
        answer = await self._post("/v1/moderations", {"input": list(texts), "user": user})
        with checked_format():
            return [{name: float(value) for name, value in one["category_scores"].items()} for one in answer["results"]]

    async def offered(self, task: str) -> list[str]:
        """Return the names of the models that the server has for `task`, its default first. Errors as for `chat`."""
        return list((await self.listed(task))[task])

    async def listed(self, *tasks: str) -> dict[str, dict[str, Mapping[str, Any]]]:
        """Return what the server says about its models for `tasks`, by task and name. Errors as for `chat`."""
        listed = await self._request("GET", "/v1/models")
        with checked_format():
            return {task: read_models(listed, task) for task in tasks}

    async def choose(self, task: str, *wanted: str) -> ModelChoice:
        """Return the first of the `wanted` models that is offered for `task`, "" passed over, or else the first one."""
        if not (listed := (await self.listed(task))[task]):
            raise ModelUnavailable("The model server offers no model for {task}.", task=task)
        return choose_model(listed, wanted)

    async def first(self, task: str) -> str:
        """Return the name of the first model that the server offers for `task`."""
        return (await self.choose(task)).name

    async def languages(self, task: str, model: str) -> frozenset[str] | None:
        """Return the codes of the languages that a model knows, None if it does not tell. Errors as for `chat`."""
        return read_languages((await self.listed(task))[task].get(model, {}))

    async def readiness(self) -> Readiness:
        """Return which models are ready, and the states of others. Raises ModelUnavailable if the server is down."""
        try:
            async with self._require_session().get(f"{self.url}/health/ready", allow_redirects=False) as response:
                if response.status not in (200, 503):
                    await raise_error(response)
                body = require_object(await response.json(content_type=None))
        except (aiohttp.ClientError, LineTooLong, TimeoutError, ValueError) as error:
            raise ModelUnavailable(DOWN) from error
        with checked_format():
            return read_readiness(body, is_ready=response.status == 200)

    def _require_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("ModelClient is used before it was entered")
        return self._session

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return await self._request("POST", path, body)

    async def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        session = self._require_session()
        with connection_errors():
            async with session.request(method, f"{self.url}{path}", json=body) as response:
                if response.status >= 400:
                    await raise_error(response)
                return require_object(await response.json())

    async def _stream(self, path: str, **request: Any) -> AsyncGenerator[Mapping[str, Any], None]:
        """Yield the chunks of a stream of server-sent events. `request` has the arguments of aiohttp's `post`."""
        session = self._require_session()
        finished = False
        with connection_errors():
            async with session.post(f"{self.url}{path}", **request) as response:
                if response.status >= 400:
                    await raise_error(response)
                async for line in response.content:
                    data = line.strip().removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
                    if data == b"[DONE]":
                        finished = True
                        break
                    if data:
                        chunk = require_object(json.loads(data))
                        if problem := chunk.get("error"):
                            raise ModelUnavailable("{message}", message=require_object(problem)["message"])
                        yield chunk
        if not finished:
            raise ModelUnavailable(BROKEN)
