"""How much later a word of an answer reaches a reader because the bot stands between: `python -m quality.overhead`.

A fake server sends its first word at once. It is asked directly; through the client, which chooses a model and an
upstream; and through a whole bot, which also checks the question and stores it in a file before anything is shown. That
is measured with a fake of our model server and with an upstream by others.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

import aiohttp
from fakes.core.requests import ask
from fakes.model_server.model_api import FakeModels
from fakes.model_server.other_server import OtherServer

from bot import Delta, Turn
from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.config.upstreams import UpstreamSection
from bot.inference.client import ModelClient
from bot.inference.upstreams.upstream import Upstream
from bot.plugin_host import plugin
from bot.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Sequence

WARM_UP = 10
"""Requests before those that are counted."""


async def measure_direct(url: str, model: str, count: int) -> list[float]:
    """Return the seconds until the first word of each answer, without a bot."""
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    body |= {"seed": 1, "temperature": 1, "max_tokens": 8}
    taken = []
    async with aiohttp.ClientSession() as session:
        for _ in range(WARM_UP + count):
            started = time.perf_counter()
            async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                async for line in response.content:
                    choices = json.loads(line[5:])["choices"] if line.startswith(b"data: {") else []
                    if choices and choices[0]["delta"].get("content"):
                        taken.append(time.perf_counter() - started)
                        break
    return taken[WARM_UP:]


async def measure_client(models: ModelClient, count: int) -> list[float]:
    """Return the seconds that the client takes to the first word, with the choice of a model."""
    taken = []
    async with models:
        for _ in range(WARM_UP + count):
            started = time.perf_counter()
            model = (await models.choose("chat")).name
            chat = models.chat([Turn("user", "hi")], temperature=1, seed=1, max_tokens=8, model=model)
            async with aclosing(chat) as events:
                async for event in events:
                    if isinstance(event, Delta):
                        taken.append(time.perf_counter() - started)
                        break
    return taken[WARM_UP:]


async def measure_bot(models: ModelClient, count: int) -> list[float]:
    """Return the seconds from a typed line to the first reply with a word."""
    plugins = plugin.load(PluginsSection(entry_points=False))
    taken = []
    limits = {"safety.level": "off", "limits.user.minute": 0, "limits.user.hour": 0}
    with tempfile.TemporaryDirectory() as folder:
        async with Bot(models, plugins, Database(f"sqlite:///{folder}/tempera.db"), settings=limits) as bot:
            for _ in range(WARM_UP + count):
                started = time.perf_counter()
                has_text = False
                async with aclosing(bot.prepare(ask("/ask hi")).start()) as replies:
                    async for reply in replies:
                        if reply.text and not has_text:
                            has_text = True
                            taken.append(time.perf_counter() - started)
    return taken[WARM_UP:]


def describe(name: str, *measured: Sequence[float]) -> str:
    """Return a row with the medians of the three ways in milliseconds."""
    direct, client, bot = (1000 * statistics.median(taken) for taken in measured)
    return f"| {name} | {direct:.1f} | {client:.1f} | {client - direct:.1f} | {bot:.1f} |"


async def main(count: int) -> None:
    """Measure and print both ways."""
    print("| ms to the first word | directly | through the client | more | through the bot |")
    print("|---|---|---|---|---|")
    async with FakeModels() as own:
        direct = await measure_direct(own.url, "fake-chat", count)
        client = await measure_client(ModelClient(own.url), count)
        print(describe("our model server's format", direct, client, await measure_bot(ModelClient(own.url), count)))
    async with OtherServer("Paris ", "is ", "it.") as other:
        section = UpstreamSection(name="other", url=other.url)
        direct = await measure_direct(other.url, "tiny", count)
        client = await measure_client(ModelClient.over([Upstream(section)]), count)
        bot = await measure_bot(ModelClient.over([Upstream(section)]), count)
        print(describe("an upstream by others", direct, client, bot))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="answers of each kind")
    asyncio.run(main(parser.parse_args().count))
