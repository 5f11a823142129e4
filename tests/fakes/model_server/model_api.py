"""A fake model server: OpenAI's format over a real socket, with answers that a test can hold back."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import math
import re
import struct
import zlib
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web
from fakes.model_server.gateway import PATIENCE_SECONDS
from fakes.model_server.strict_requests import ARTIST, Strictly, chosen
from PIL import Image

from model_server.api.app import MAX_BODY_BYTES, render_errors
from model_server.api.multipart import read_form
from model_server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler

LISTED = {"fake-chat": "chat", "fake-faces": "faces", "fake-images": "images", "fake-embeddings": "embeddings"}
DUEL_MODEL = "emoji-faces"
"""A model with a detective, which a test lists if it wants it."""
EDGE = ARTIST.width
"""Size of the image model's pictures in pixels."""
VOCABULARY = (" mat", " floor", " roof", "\n", "…", "<end>", " bed", " sofa", " table", " moon", " grass", " sun")
START = 100
"""The id of a prompt's first token; the ids of the others follow it."""
PIECES = re.compile(r"\s?\S+")
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAAAAAAALAAAAAABAAEAAAIBRAA7")


def png(seed: int, width: int = 16, height: int = 16) -> bytes:
    """Return a picture of one colour, which depends on `seed`."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    # Moduli without a common factor: two seeds are seldom of one colour.
    colour = bytes(60 + (seed * factor) % modulus for factor, modulus in ((37, 160), (59, 157), (83, 151)))
    rows = (b"\0" + colour * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def look_at(data: bytes) -> tuple[object, ...]:
    """Return the format, the size and the first pixel of a picture, whatever the bot has written into its file."""
    with Image.open(io.BytesIO(data)) as picture:
        return picture.format, picture.size, picture.convert("RGB").getpixel((0, 0))


class FakeModels:
    """An async context manager; `url` is the address while it is open.

    It refuses every request that the real server would refuse. If there was such a request, leaving the context fails
    with the sentences in `refused`; a test that sends one on purpose clears them.

    A chat streams the pieces of `answer`, and ends with `finish_reason`. Clear `gate` to hold back chats after their
    first `before_gate` pieces, drawings after their first preview, and dials and faces altogether; `embedding_gate`
    holds back embeddings, `moderation_gate` moderations, `listing_gate` the list of models. `requests` are the bodies
    received, `running` is the number of requests being answered, `dropped` that of requests whose client left before
    the end. `failure` (status, sentence) refuses the requests for which `failing` is true; `place` puts every chat and
    drawing into a queue first, while the gate is closed. `listed` maps its models to their tasks, and `told_of` to what
    else is listed
    of them, such as a `stand_in`; `candidates` is the number of tokens in a dial. `scores` maps a part of a text to its
    moderation scores; None is a server without moderation. `queues`: what runs and waits for a model, and its speed;
    `alternatives`: the models to choose between.
    `moderated` are the texts of moderations and `moderated_for` their users; the first `crowd` of them find the queue
    full. `guided_by` and the fields in `told` are added to pictures. `unlikely` sets the probability of pieces of the
    answer; `unshown` are further pieces that only have tokens and no text. `opening` is a special token before the text
    of a dial.
    """

    def __init__(self, *answer: str) -> None:
        self.answer = answer or ("Paris", " is", " the", " capital", " of", " France.")
        self._gates = [asyncio.Event() for _ in range(4)]
        self.gate, self.embedding_gate, self.moderation_gate, self.listing_gate = self._gates
        self._open_gates()
        self.finish_reason = "stop"
        self.before_gate = 1
        self.failure: tuple[int, str] | None = None
        self.failing: Callable[[dict[str, Any]], bool] = lambda body: True
        self.listed = dict(LISTED)
        self.told_of: dict[str, dict[str, Any]] = {}
        self.queues: dict[str, tuple[int, int, float | None]] = {}
        self.alternatives: list[dict[str, Any]] = []
        self.candidates = len(VOCABULARY)
        self.place: int | None = None
        self.guided_by = ""
        self.told: dict[str, Any] = {}
        self.requests: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.pieces: dict[int, str] = {}
        self.unlikely: dict[str, float] = {}
        self.unshown: tuple[str, ...] = ()
        self.opening = ""
        self.running = 0
        self.dropped = 0
        self.scores: dict[str, dict[str, float]] | None = {}
        self.moderated: list[str] = []
        self.moderated_for: list[str] = []
        self.crowd = 0
        self.url = ""
        self._changed = asyncio.Condition()
        self._lifetime = AsyncExitStack()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[render_errors, self._noting_refusals])
        app.add_routes(
            [
                web.get("/v1/models", self._models),
                web.get("/v1/queue", self._queue),
                web.get("/health/live", self._live),
                web.get("/health/ready", self._live),
                web.post("/v1/chat/completions", self._chat),
                web.post("/v1/completions", self._dial),
                web.post("/v1/images/generations", self._pictures),
                web.post("/v1/images/variations", self._variations),
                web.post("/v1/embeddings", self._embeddings),
                web.post("/v1/moderations", self._moderations),
            ]
        )
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        self._lifetime.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._open_gates()
        await self._lifetime.aclose()
        assert not self.refused, self.refused

    def _open_gates(self) -> None:
        for gate in self._gates:
            gate.set()

    async def until(
        self, *, running: int | None = None, dropped: int | None = None, requests: int | None = None
    ) -> None:
        """Wait until so many are running, and at least so many were dropped and received."""

        def reached() -> bool:
            return (
                (running is None or self.running == running)
                and (dropped is None or self.dropped >= dropped)
                and (requests is None or len(self.requests) >= requests)
            )

        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(reached)

    async def _count(self, *, running: int = 0, dropped: int = 0) -> None:
        async with self._changed:
            self.running += running
            self.dropped += dropped
            self._changed.notify_all()

    @web.middleware
    async def _noting_refusals(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as error:
            # Models come and go under the bot's hands.
            if error.status != 404:
                self.refused.append(error.message)
            raise
        except web.HTTPRequestEntityTooLarge as error:
            self.refused.append(str(error))
            raise

    async def _moderations(self, request: web.Request) -> web.Response:
        data = await request.read()
        Strictly(self.listed).moderation(data)
        body = json.loads(data)
        texts = body["input"]
        if self.crowd > 0:
            self.crowd -= 1
            return web.json_response({"error": {"message": "64 of your requests are waiting already."}}, status=429)
        self.moderated += texts
        self.moderated_for.append(body.get("user", ""))
        await self.moderation_gate.wait()
        if self.scores is None:
            raise web.HTTPNotFound
        found = [next((score for part, score in self.scores.items() if part in text), {"hate": 0.0}) for text in texts]
        return web.json_response({"results": [{"category_scores": score} for score in found]})

    async def _queue(self, request: web.Request) -> web.Response:
        data = [
            {"model": model, "running": running, "waiting": waiting, "tokens_per_second": speed}
            for model, (running, waiting, speed) in self.queues.items()
        ]
        return web.json_response({"object": "list", "data": data})

    async def _models(self, request: web.Request) -> web.Response:
        await self.listing_gate.wait()
        data = [
            {"id": name, "object": "model", "tempera": {"task": task} | self.told_of.get(name, {})}
            for name, task in self.listed.items()
        ]
        return web.json_response({"object": "list", "data": data})

    async def _live(self, request: web.Request) -> web.Response:
        return web.json_response({"models": list(self.listed), "missing": {}, "alternatives": self.alternatives})

    async def _received(self, request: web.Request, read: Callable[[bytes], None]) -> dict[str, Any]:
        data = await request.read()
        read(data)
        return await self._noted(json.loads(data))

    async def _noted(self, body: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(body)
        await self._count()
        return body

    def _refusal(self, body: dict[str, Any]) -> web.Response | None:
        if self.failure is None or not self.failing(body):
            return None
        status, message = self.failure
        error = {"message": message, "type": "error", "param": None, "code": "fake"}
        return web.json_response({"error": error}, status=status)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        seeing = {name for name, told in self.told_of.items() if told.get("reads_images")}
        body = await self._received(request, Strictly(self.listed, seeing).chat)
        if refusal := self._refusal(body):
            return refusal
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Job-Id": "fake"})
        await response.prepare(request)

        async def send(chunk: dict[str, Any]) -> None:
            await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")

        await self._count(running=1)
        try:
            if self.place is not None and not self.gate.is_set():
                await send({"choices": [], "tempera": {"queue": {"place": self.place, "eta_s": 3.0}}})
                await self.gate.wait()
            for number, piece in enumerate((*self.answer, *self.unshown)):
                if number >= self.before_gate:
                    await self.gate.wait()
                text = piece if number < len(self.answer) else ""
                choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
                told = {"entropy": [0.5]} if body.get("logprobs") else {}
                listed = {"content": [self._token(piece, number, body["top_logprobs"])]} if told else None
                model = self.told_of.get(body["model"], {}).get("stand_in", body["model"])
                await send({"model": model, "choices": [choice | {"logprobs": listed}], "tempera": told})
            await send({"choices": [{"index": 0, "delta": {}, "finish_reason": self.finish_reason}]})
            usage = {"prompt_tokens": 5, "completion_tokens": len(self.answer)}
            await send({"choices": [], "usage": usage, "tempera": {"seed": body.get("seed"), "seconds": 0.5}})
            await response.write(b"data: [DONE]\n\n")
        except (asyncio.CancelledError, ConnectionError):
            self.dropped += 1
            raise
        finally:
            await asyncio.shield(self._count(running=-1))
        return response

    def _token(self, piece: str, number: int, count: int) -> dict[str, Any]:
        share = self.unlikely.get(piece)
        return token(piece, number, count) | ({} if share is None else {"logprob": math.log(share)})

    async def _dial(self, request: web.Request) -> web.Response:
        body = await self._received(request, Strictly(self.listed).completion)
        if refusal := self._refusal(body):
            return refusal
        assert body["dial"] is True
        await self.gate.wait()
        dial = dialled(body, self.pieces, self.opening)
        dial["tokens"] = dial["tokens"][: self.candidates]
        return web.json_response({"choices": [], "tempera": {"dial": dial}})

    async def _variations(self, request: web.Request) -> web.StreamResponse:
        fields, picture = await read_form(request)
        Strictly(self.listed).variation(fields, picture)
        return await self._drawn(request, await self._noted(json.loads(fields) | {"image": picture}))

    async def _drawn(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        """Stream pictures; every second step has a preview, which is the picture in another colour."""
        if refusal := self._refusal(body):
            return refusal
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Job-Id": "fake"})
        await response.prepare(request)

        async def send(kind: str, **chunk: Any) -> None:
            data = json.dumps({"type": kind, **chunk}).encode()
            await response.write(b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n")

        body = body | chosen(body)
        steps = body["steps"]
        edge = body.get("enlarge", EDGE)
        await self._count(running=1)
        try:
            if self.place is not None and not self.gate.is_set():
                await send("tempera.progress", tempera={"job": "fake", "queue": {"place": self.place, "eta_s": 3.0}})
                await self.gate.wait()
            for step in range(1, steps + 1):
                done = {"job": "fake", "step": step, "steps": steps}
                await send("tempera.progress", tempera=done)
                if step % 2 and body.get("partial_images"):
                    half = base64.b64encode(png(body["seed"] + step, edge, edge)).decode()
                    await send("image_generation.partial_image", b64_json=half, partial_image_index=step, tempera=done)
                    await self.gate.wait()
            for number in range(body["n"] if body["layout"] == "separate" else 1):
                whole, kind = png(body["seed"] + number, edge, edge), "png"
                if body["layout"] == "animation":
                    whole, kind = GIF, "gif"
                data = base64.b64encode(whole).decode()
                about = made_with(body, steps, self.guided_by) | self.told
                await send("image_generation.completed", b64_json=data, output_format=kind, tempera=about)
            await response.write(b"data: [DONE]\n\n")
        except (asyncio.CancelledError, ConnectionError):
            self.dropped += 1
            raise
        finally:
            await asyncio.shield(self._count(running=-1))
        return response

    async def _pictures(self, request: web.Request) -> web.StreamResponse:
        body = await self._received(request, Strictly(self.listed).picture)
        if body.get("layout") == "duel":
            return await self._duel(body)
        if self.listed.get(body["model"]) == "images":
            return await self._drawn(request, body)
        if refusal := self._refusal(body):
            return refusal
        await self._count(running=1)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.dropped += 1
            raise
        finally:
            await asyncio.shield(self._count(running=-1))
        width, height = map(int, body.get("size", "64x64").split("x"))
        whole = GIF if body["layout"] == "animation" else png(body.get("seed", 0), width, height)
        told = {"seed": body["seed"], "seconds": 0.1} | (judged(body) if body["model"] == DUEL_MODEL else {})
        return web.json_response({"data": [{"b64_json": base64.b64encode(whole).decode()}], "tempera": told})

    async def _duel(self, body: dict[str, Any]) -> web.Response:
        """Answer with a sheet of one colour. Faces with odd numbers are real, and the detective is wrong about two."""
        if refusal := self._refusal(body):
            return refusal
        await self.gate.wait()
        edge, columns = int(body["size"].split("x")[0]), math.ceil(math.sqrt(body["n"]))
        sheet = base64.b64encode(png(body["seed"], columns * edge, body["n"] // columns * edge)).decode()
        real = [number % 2 == 0 for number in range(body["n"])]
        verdicts = [0.9 if is_real != (number < 2) else 0.2 for number, is_real in enumerate(real)]
        told = {"seed": body["seed"], "seconds": 0.1, "real": real, "verdicts": verdicts}
        return web.json_response({"data": [{"b64_json": sheet}], "tempera": told})

    async def _embeddings(self, request: web.Request) -> web.Response:
        body = await self._received(request, Strictly(self.listed).embedding)
        if refusal := self._refusal(body):
            return refusal
        await self.embedding_gate.wait()
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        vectors = [[float(len(text)), float(text.count(" ")), 1.0] for text in texts]
        return web.json_response({"data": [{"index": i, "embedding": v} for i, v in enumerate(vectors)]})


def judged(body: dict[str, Any]) -> dict[str, Any]:
    """Return what a model with a detective tells of faces: of three snapshots if the request shows a training."""
    shows_training = body["layout"] in {"strip", "animation"} and "blend" not in body
    count = body["n"] * (3 if shows_training else 1)
    verdicts = {"verdicts": [(25 + 50 * (number % 2)) / 100 for number in range(count)]}
    training = {"pictures": [0, 160, 3200], "losses": [[160, 0.5, 1.5], [3200, 0.75, 1.25]]}
    return verdicts | (training if shows_training else {})


def token(text: str, number: int, count: int) -> dict[str, Any]:
    """Return a token of an answer with its alternatives. Every second token is not the most probable one."""

    def named(text: str, share: float, **more: Any) -> dict[str, Any]:
        return {"token": text, "bytes": list(text.encode()), "logprob": math.log(share), **more}

    first, second = named(text, 0.5), named(" so", 0.25)
    if number % 2:
        first, second = named(" so", 0.5), named(text, 0.25)
    others = [first, second, named(" if", 0.125), named("<end>", 0.0625, special=True)]
    return named(text, 0.25 if number % 2 else 0.5) | {"top_logprobs": others[:count]}


def dialled(body: dict[str, Any], pieces: dict[int, str], opening: str = "") -> dict[str, Any]:
    """Return the dial of any prompt: the words of `VOCABULARY`, each half as probable as the one before it.

    Temperature and top-p apply as usual; the seed draws the word of its own number. `pieces` are the tokens of the last
    prompt that was a text.
    """
    ids = body["prompt"]
    if isinstance(ids, str):
        pieces.clear()
        pieces.update(enumerate([*filter(None, [opening]), *PIECES.findall(ids)], START))
        ids = list(pieces)
    heights = [-math.log(2) * number for number in range(len(VOCABULARY))]
    weights = [math.exp(height / max(body["temperature"], 1e-9)) for height in heights]
    whole = sum(weights)
    weights = [
        weight if not number or sum(weights[:number]) < body["top_p"] * whole else 0.0
        for number, weight in enumerate(weights)
    ]
    listed = [
        {"token": word, "id": number, "bytes": list(word.encode()), "logit": heights[number]}
        | {"after": weights[number] / sum(weights)}
        | ({"special": True} if word == "<end>" else {})
        for number, word in enumerate(VOCABULARY)
    ]
    return {
        "tokens": listed,
        "temperatures": [0.5, 1.0, 2.0],
        "log_sum_exp": [math.log(sum(math.exp(height / at) for height in heights)) for at in (0.5, 1.0, 2.0)],
        "entropy": [0.5, 1.0, 1.5],
        "drawn": listed[body["seed"] % len(listed)],
        "prompt": [
            {"id": number, "bytes": list((VOCABULARY[number] if number < START else pieces[number]).encode())}
            | ({"special": True} if opening and number == START else {})
            for number in ids
        ],
    }


def made_with(body: dict[str, Any], steps: int, guided_by: str = "") -> dict[str, Any]:
    """Return the `tempera` object of finished pictures. The text encoder reads the first eight words."""

    def reading(text: str) -> dict[str, Any]:
        words = text.split()
        return {"tokens": words[:8], "dropped": words[8:], "limit": 8}

    negative = body.get("negative_prompt")
    return {
        "job": "fake",
        "step": steps,
        "steps": steps,
        "seed": body["seed"],
        "seconds": 1.25,
        "guidance": body["guidance"],
        "width": EDGE,
        "height": EDGE,
        "sampler": "DDIM",
        "strength": body.get("strength"),
        "guided_by": guided_by or {0: "nothing", 1: "prompt"}.get(body["guidance"], "comparison"),
        "prompt": reading(body["prompt"]),
        "negative_prompt": None if negative is None else reading(negative),
    }
