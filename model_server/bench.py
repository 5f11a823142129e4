"""Measures what a model server gives its clients, over HTTP, as a client sees it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import socket
import statistics
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from model_server.catalogue import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

PROMPT = "Explain in plain words, and at length, how a computer stores a picture."
LOOK_SECONDS = 0.5
GRACE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One streamed answer: seconds to its first text, seconds from there to its last, and its tokens."""

    first: float
    rest: float
    tokens: int

    @property
    def rate(self) -> float:
        """Tokens per second once the first one is there."""
        return (self.tokens - 1) / self.rest if self.rest > 0 else 0.0


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark that is named, or say which there are."""
    parser = argparse.ArgumentParser(prog="tempera-models bench", description=__doc__)
    commands = parser.add_subparsers(dest="benchmark", metavar="BENCHMARK")
    for name, (summary, _) in BENCHMARKS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("--url", help="a running model server (default: one is started for the measurement)")
        command.add_argument("--model", default="qwen2.5-coder-0.5b-instruct", help="default: %(default)s")
        command.add_argument("--runs", type=int, default=3, help="answers measured (default: %(default)s)")
        command.add_argument("--tokens", type=int, default=64, help="tokens per answer (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.benchmark is None:
        parser.print_help()
        return 0
    if options.runs < 1 or options.tokens < 2:
        raise StoreError("--runs should be at least 1 and --tokens at least 2.")
    try:
        asyncio.run(BENCHMARKS[options.benchmark][1](options))
    except aiohttp.ClientError as error:
        raise StoreError(f"The model server at {options.url} does not answer as one: {error}.") from error
    return 0


async def language(options: argparse.Namespace) -> None:
    """Time to first text and tokens per second of one stream at temperature 0, medians over the runs."""
    async with contextlib.AsyncExitStack() as stack:
        url = options.url or await stack.enter_async_context(_own_server(options.model))
        session = await stack.enter_async_context(aiohttp.ClientSession(url, headers=_headers()))
        await _answer(session, options.model, 2)
        answers = [await _answer(session, options.model, options.tokens) for _ in range(options.runs)]
    sys.stdout.write(
        f"{options.model}, one stream, {len(answers)} answers of {answers[0].tokens} tokens each, "
        f"on {platform.processor() or platform.machine()} with {os.cpu_count()} cores\n"
        f"time to first text  {statistics.median(answer.first for answer in answers):8.3f} s\n"
        f"decoding            {statistics.median(answer.rate for answer in answers):8.1f} tokens/s\n"
    )


async def _answer(session: aiohttp.ClientSession, model: str, tokens: int) -> Answer:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": PROMPT}],
        "temperature": 0,
        "max_tokens": tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    started = first = last = time.perf_counter()
    count = 0
    async with session.post("/v1/chat/completions", json=body) as response:
        if response.status != 200:
            raise StoreError(f"The model server refused: {await _refusal(response)}")
        async for line in response.content:
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line.removeprefix(b"data: "))
            if usage := chunk.get("usage"):
                count = usage["completion_tokens"]
            if any(choice["delta"].get("content") for choice in chunk.get("choices", ())):
                last = time.perf_counter()
                first = last if first == started else first
    if first == started:
        raise StoreError("The model server sent no text.")
    return Answer(first - started, last - first, count)


async def _refusal(response: aiohttp.ClientResponse) -> str:
    try:
        return str((await response.json())["error"]["message"])
    except (aiohttp.ContentTypeError, ValueError, KeyError, TypeError):
        return f"status {response.status}."


@contextlib.asynccontextmanager
async def _own_server(model: str) -> AsyncIterator[str]:
    """A server for one model on a free port, ready when this yields its URL and gone afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["-m", "model_server", "serve", "--model", model, "--port", str(port), "--exit-on-eof"]
    child = await asyncio.create_subprocess_exec(sys.executable, *command, stdin=asyncio.subprocess.PIPE)
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession(url, headers=_headers()) as session:
            while not await _is_ready(session):
                if child.returncode is not None:
                    raise StoreError("The model server that was started for the measurement ended.")
                await asyncio.sleep(LOOK_SECONDS)
        yield url
    finally:
        await _end(child)


async def _is_ready(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("/health/ready") as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        child.terminate()
    try:
        async with asyncio.timeout(GRACE_SECONDS):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()


def _headers() -> dict[str, str]:
    key = os.environ.get("TEMPERA_MODEL_SERVER__API_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}


BENCHMARKS = {"language": ("time to first text and tokens per second of a chat model", language)}
