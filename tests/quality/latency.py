"""How soon the bot shows that it works: `python -m quality.latency`.

A real bot runs in a process of its own, and a fake model server and fakes of Discord and Slack in this one. Measured
are the time that the bot adds to the first words while a hundred answers grow at once, and the slowest acknowledgement
of 200 commands in one second. What it adds is the time from the moment when the model server sends the first words
until a page has them, or until the request that shows them arrives at Discord. Then bot and model server are started
with real models whose files are in place.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import signal
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from fakes.discord import FakeDiscord
from fakes.model_server.linked_cache import link_cache
from fakes.model_server.model_api import FakeModels
from fakes.platforms.web_page import visitor
from fakes.programs.deployment import Deployment
from fakes.slack import FakeSlack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from aiohttp import web
    from fakes.platforms.web_page import Page

STREAMS, QUESTIONS, COMMANDS, CHANNELS = 100, 3, 200, 20
PIECES, PIECE_SECONDS = 40, 0.15
"""The length and the pace of an answer: about those of a small model on a processor."""
FIRST_SECONDS = (1.2, 3.0)
"""When the first piece comes after the question, at random, since no model begins a hundred answers at one moment."""
PATIENCE_SECONDS = 300
UNLIMITED = dict.fromkeys(("user.minute", "user.hour", "address.minute", "address.hour"), 0)
SETTINGS = {"safety.level": "off", **{f"limits.{name}": value for name, value in UNLIMITED.items()}}


class Pace(asyncio.Event):
    """The gate of the answers: each passes it before every piece, at the pace of a model, unless all are held back."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[asyncio.Task[object] | None, str] = {}
        self.began: dict[str, float] = {}
        self.held = asyncio.Event()
        self.held.set()
        self._random = random.Random(7)

    async def wait(self) -> bool:  # type: ignore[override]
        await self.held.wait()
        question = self.asked.pop(asyncio.current_task(), "")
        await asyncio.sleep(self._random.uniform(*FIRST_SECONDS) if question else PIECE_SECONDS)
        self.began.setdefault(question, time.monotonic())
        return True


class PacedModels(FakeModels):
    """A model server that answers at the pace of a model, and notes when a question came and its first piece went."""

    def __init__(self) -> None:
        super().__init__(*(f"word{number} " for number in range(PIECES)))
        self.gate = self.pace = Pace()
        self.before_gate = 0
        self.came: dict[str, float] = {}

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        question = json.loads(await request.read())["messages"][-1]["content"]
        self.came[question] = time.monotonic()
        self.pace.asked[asyncio.current_task()] = question
        return await super()._chat(request)


class Asked:
    """What was asked on one platform: when, and when the first words were shown."""

    def __init__(self, models: PacedModels) -> None:
        self._models = models
        self.sent: dict[str, float] = {}
        self.shown: dict[str, float] = {}

    def row(self, name: str) -> str:
        """Return a row of medians and 99th percentiles in milliseconds: before the model, behind it, and both."""
        before = {one: self._models.came[one] - sent for one, sent in self.sent.items()}
        behind = {one: shown - self._models.pace.began[one] for one, shown in self.shown.items()}
        both = [before[one] + behind[one] for one in behind]
        columns = " | ".join(_describe(part) for part in (behind.values(), before.values(), both))
        return f"| {name} | {len(both)} | {columns} |"


def _describe(seconds: Iterable[float]) -> str:
    milliseconds = sorted(1000 * one for one in seconds)
    high = milliseconds[min(len(milliseconds) - 1, int(0.99 * len(milliseconds)))]
    return f"{statistics.median(milliseconds):.1f} | {high:.1f}"


async def open_private_pages(stack: AsyncExitStack, made: Deployment, count: int) -> list[Page]:
    """Open a page for each of so many visitors, in their private places, where nobody else's answers are shown."""
    pages = []
    for number in range(count):
        person = await stack.enter_async_context(visitor(made.web_url))
        page = await stack.enter_async_context(person.page(f"Visitor {number}"))
        await page.send("enter", room=page.received[0]["private"])
        await page.until("welcome")
        pages.append(page)
    return pages


async def stream_on_pages(pages: Sequence[Page], models: PacedModels) -> Asked:
    """Let each page ask one question after the other. Those after the first are counted: all others stream then."""
    asked = Asked(models)

    async def follow(page: Page, number: int) -> None:
        await asyncio.sleep(number / len(pages) * PIECES * PIECE_SECONDS)
        for turn in range(QUESTIONS):
            question = f"question {turn} of {number}"
            sent = time.monotonic()
            await page.say(f"/ask {question}")
            await page.until("exchange", lambda message: bool(message["reply"]["text"]))
            shown = time.monotonic()
            if turn:
                asked.sent[question], asked.shown[question] = sent, shown
            await page.final()

    await asyncio.gather(*(follow(page, number) for number, page in enumerate(pages)))
    return asked


async def stream_on_discord(discord: FakeDiscord, models: PacedModels) -> Asked:
    """Let a hundred people ask in a few seconds, and return what was measured.

    Each has a channel of their own, since Discord takes only so many changes of messages in a channel.
    """
    asked, channels = Asked(models), list(discord.guild.channels.values())

    async def follow(number: int) -> None:
        await asyncio.sleep(number / STREAMS * PIECES * PIECE_SECONDS / 2)
        question, channel = f"question of {number} on Discord", channels[number % len(channels)]
        asked.sent[question] = time.monotonic()
        used = await discord.slash(discord.add_user(f"P{number}"), channel, "ask", prompt=question)
        message = await used.message()
        await discord.until(lambda: "word0" in message.content, PATIENCE_SECONDS)
        asked.shown[question] = next(moment for moment, text in message.edits if "word0" in text)
        await discord.until(lambda: f"word{PIECES - 1}" in message.content, PATIENCE_SECONDS)

    await asyncio.gather(*map(follow, range(STREAMS)))
    return asked


async def paced(act: Callable[[int], object]) -> None:
    """Begin all commands within a second."""
    loop = asyncio.get_running_loop()
    began, acts = loop.time(), []
    for number in range(COMMANDS):
        acts.append(asyncio.ensure_future(act(number)))  # type: ignore[arg-type]
        await asyncio.sleep(max(0.0, began + (number + 1) / COMMANDS - loop.time()))
    await asyncio.gather(*acts)


async def burst_on_pages(made: Deployment) -> list[float]:
    """Return how long each of 200 lines waited until it was taken."""
    sent: dict[int, float] = {}

    async def wait(page: Page, number: int) -> float:
        await page.until("taken", lambda message: message["ref"] == f"burst {number}")
        return time.monotonic() - sent[number]

    async with AsyncExitStack() as stack:
        pages = await open_private_pages(stack, made, COMMANDS)
        # A page that nobody reads does not answer the pings of the bot.
        waiting = [asyncio.create_task(wait(page, number)) for number, page in enumerate(pages)]

        async def say(number: int) -> None:
            sent[number] = time.monotonic()
            await pages[number].say(f"/ask burst {number}", f"burst {number}")
            await waiting[number]

        await paced(say)
        return [task.result() for task in waiting]


async def burst_on_discord(discord: FakeDiscord) -> list[float]:
    """Return how long each of 200 commands waited for its acknowledgement."""
    channels, before = list(discord.guild.channels.values())[:CHANNELS], len(discord.acknowledgements)
    people = [discord.add_user(f"B{number}") for number in range(COMMANDS)]

    async def use(number: int) -> None:
        used = await discord.slash(people[number], channels[number % len(channels)], "ask", prompt=f"burst {number}")
        await used.acknowledged()

    await paced(use)
    return discord.acknowledgements[before:]


async def burst_on_slack(slack: FakeSlack) -> list[float]:
    """Return how long each of 200 commands waited for its acknowledgement."""
    channels = [slack.add_channel(f"room-{number}") for number in range(CHANNELS)]
    people = [slack.add_user(f"P{number}") for number in range(COMMANDS)]

    async def use(number: int) -> None:
        used = await slack.command(people[number], channels[number % CHANNELS], "/ask", f"burst {number}")
        await used.acknowledged()

    await paced(use)
    return slack.acknowledgements


async def measure_bot(folder: Path) -> None:
    """Measure one bot with all platforms."""
    async with AsyncExitStack() as stack:
        models = await stack.enter_async_context(PacedModels())
        discord = await stack.enter_async_context(FakeDiscord())
        slack = await stack.enter_async_context(FakeSlack())
        extra = {
            "TEMPERA_SETTINGS": json.dumps(SETTINGS),
            "TEMPERA_LOG__LEVEL": "warning",
            "TEMPERA_DISCORD__TOKEN": discord.token,
            "TEMPERA_DISCORD__API_BASE": discord.api_base,
            "TEMPERA_SLACK__BOT_TOKEN": slack.bot_token,
            "TEMPERA_SLACK__APP_TOKEN": slack.app_token,
            "TEMPERA_SLACK__API_BASE": slack.api_base,
        }
        made = Deployment(folder, foreign_models=models.url, extra=extra)
        # With another signal it would wait for the answers that are held back at the end.
        stack.push_async_callback(asyncio.to_thread, made.stop, signal.SIGKILL)
        await asyncio.to_thread(made.start)
        for number in range(STREAMS):
            discord.guild.add_channel(f"more-{number}")
        await discord.until(lambda: bool(discord.gateway.connected and discord.commands()), PATIENCE_SECONDS)
        await slack.until(lambda: slack.courier.sockets, PATIENCE_SECONDS)
        pages = await open_private_pages(stack, made, STREAMS)
        print(
            "| 100 answers at once, ms | count | after the first token | 99th | before the model | 99th | both | 99th |"
        )
        print("|---|---:|---:|---:|---:|---:|---:|---:|")
        print((await stream_on_pages(pages, models)).row("web chat"), flush=True)
        print((await stream_on_discord(discord, models)).row("Discord"), flush=True)
        models.pace.held.clear()
        print("\n| 200 commands in a second | median, ms | slowest, ms |\n|---|---:|---:|")
        for name, measured in (
            ("web chat", await burst_on_pages(made)),
            ("Discord", await burst_on_discord(discord)),
            ("Slack", await burst_on_slack(slack)),
        ):
            print(f"| {name} | {1000 * statistics.median(measured):.1f} | {1000 * max(measured):.0f} |", flush=True)


def measure_start(folder: Path) -> float:
    """Return the seconds from the start of `tempera run` until the chat and all its models are ready."""
    (folder / "cache").mkdir()
    made = Deployment(folder, extra={"TEMPERA_CACHE": str(link_cache(folder / "cache"))})
    began = time.monotonic()
    try:
        made.start()
        return time.monotonic() - began
    finally:
        made.end()


def main() -> None:
    """Measure and print everything, or the start alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=["bot", "start"], help="measure only this")
    part = parser.parse_args().part
    if part != "start":
        # A search for garbage in the fakes, which takes a tenth of a second, would count as the bot's.
        gc.disable()
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measure_bot(Path(folder)))
    if part != "bot":
        with tempfile.TemporaryDirectory() as folder:
            print(f"\nFrom the start with files in place until all is ready: {measure_start(Path(folder)):.1f} s")


if __name__ == "__main__":
    main()
