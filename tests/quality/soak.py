"""Whether the programs grow while they run: `python -m quality.soak [--picture FILE.svg]`.

A real bot and a real model server with tiny models get 10,000 questions for /explain and 2,000 short ones for /ask,
from one visitor of the web chat after the other. After every round all is left to end, and memory, open files, threads
and the tasks of the event loops are counted. It prints the medians of the quarters, and ends with status 1 if the last
is more than 5 % above the second: whatever fills at first, such as what a room shows, has to be full by then.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import psutil
from fakes.engines.tiny_models import CHAT, EMBEDDINGS, write_tiny_models
from fakes.model_server.gateway import eventually, free_port
from fakes.platforms.web_page import visitor
from fakes.programs.deployment import Deployment, model_server, wait_for
from matplotlib.figure import Figure
from prometheus_client.parser import text_string_to_metric_families

from research import DATA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

QUESTIONS = DATA / "explain" / "development.jsonl"
SETTINGS = {"limits.user.minute": 0, "limits.user.hour": 0, "limits.address.minute": 0, "limits.address.hour": 0}
CONTEXT_TOKENS = 1024
VISITORS, AT_ONCE = 2, 4
"""Visitors at the same time, and what each of them waits for at once."""
MOST_GROWTH = 0.05
"""How far the last quarter's median may be above that of the second."""
MOST_ERRORS = 0.05
"""How many of all answers may be errors, as where a busy machine looks something up for too long."""
MEMORY = "memory, MB"

Sample = dict[tuple[str, str], float]
"""Numbers by program and figure."""


@dataclass(frozen=True)
class Amount:
    """How many questions there are for each command, in how many rounds, each with a sample at its end."""

    explain: int = 10_000
    ask: int = 2_000
    rounds: int = 60

    def lines(self) -> Iterator[list[str]]:
        """Yield the lines of each round; no two are the same, so that nothing can be answered from memory."""
        questions = itertools.cycle(json.loads(line)["question"] for line in QUESTIONS.read_text().splitlines())
        numbers, order = itertools.count(), random.Random(7)
        for done in range(self.rounds):
            explain, ask = (
                count * (done + 1) // self.rounds - count * done // self.rounds for count in (self.explain, self.ask)
            )
            lines = [f"/explain {next(questions)} {next(numbers)}" for _ in range(explain)]
            lines += [f"/ask max_tokens:8 {next(questions)} {next(numbers)}" for _ in range(ask)]
            # One kind after the other would be served alone.
            order.shuffle(lines)
            yield lines


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of a program: the median of each quarter."""

    program: str
    figure: str
    quarters: tuple[float, ...]

    @property
    def growth(self) -> float:
        """The last quarter's median compared with that of the second, as a share of it."""
        return self.quarters[3] / self.quarters[1] - 1 if self.quarters[1] else 0.0

    @property
    def complaint(self) -> str:
        """What is wrong with it; "" if nothing."""
        if self.growth <= MOST_GROWTH:
            return ""
        return (
            f"{self.figure} of the {self.program}: {self.quarters[3]:.1f} in the last quarter is "
            f"{100 * self.growth:.1f} % more than {self.quarters[1]:.1f} in the second; at most "
            f"{100 * MOST_GROWTH:.0f} % was promised."
        )


class Programs:
    """The running programs: the bot, the model server, and its workers, whose processes are found again each time."""

    def __init__(self, made: Deployment, models_url: str, monitoring_url: str) -> None:
        assert made.process is not None
        self.url = made.web_url
        self._models_url, self._monitoring_url = models_url, monitoring_url
        self._bot = psutil.Process(made.process.pid)
        port = models_url.rsplit(":", 1)[1]
        [self._server] = [child for child in psutil.Process().children() if port in child.cmdline()]

    async def sample(self) -> Sample:
        """Wait until nothing is being answered, and count."""
        await eventually(self._is_idle)
        loops = {
            "bot": await self._figures(self._monitoring_url),
            "model server": await self._figures(self._models_url),
        }
        processes = {"bot": self._bot, "model server": self._server}
        processes |= {f"worker of {worker.cmdline()[-1]}": worker for worker in self._server.children()}
        found: Sample = {}
        for name, process in processes.items():
            found[name, MEMORY] = process.memory_full_info().uss / 1e6
            # Connections to the database stay open in a pool, which fills as questions happen to meet.
            kept = sum(".db" in Path(opened.path).suffix for opened in process.open_files())
            found[name, "open files"] = process.num_fds() - kept
            found[name, "threads"] = process.num_threads()
            if name in loops:
                [tasks] = [value for key, value in loops[name].items() if key.endswith("_tasks")]
                found[name, "tasks"] = tasks
        return found

    async def _is_idle(self) -> bool:
        port = int(self.url.rsplit(":", 1)[1])
        # The server closes its side of a visitor's connection a little after the visitor.
        if any(at.raddr and at.laddr.port == port for at in self._bot.net_connections("tcp")):
            return False
        figures = await self._figures(self._monitoring_url) | await self._figures(self._models_url)
        return not any(value for key, value in figures.items() if key.split(" ")[0].endswith(("_running", "_waiting")))

    async def _figures(self, url: str) -> dict[str, float]:
        async with aiohttp.request("GET", f"{url}/metrics") as response:
            families = text_string_to_metric_families(await response.text())
        samples = (sample for family in families for sample in family.samples)
        return {" ".join([sample.name, *sample.labels.values()]): sample.value for sample in samples}


async def visit(url: str, name: str, lines: Sequence[str]) -> int:
    """Open a page, ask all of this, a few at once, and return how many of the answers were errors."""
    async with visitor(url) as person, person.page(name) as page:
        coming, ended, errors = iter(lines), set[int](), 0
        for line in itertools.islice(coming, AT_ONCE):
            await page.say(line)
        while len(ended) < len(lines):
            message = await page.read()
            assert message["type"] != "refused", message
            # Other visitors' are shown on the page, too.
            if message["type"] != "exchange" or not message["mine"] or message["id"] in ended:
                continue
            if message["reply"]["final"]:
                ended.add(message["id"])
                errors += message["reply"]["error"]
                if (line := next(coming, "")) != "":
                    await page.say(line)
    return errors


async def ask_all(programs: Programs, amount: Amount) -> list[Sample]:
    """Ask everything, and return a sample for each round."""
    samples, done, errors, began = list[Sample](), 0, 0, time.monotonic()
    for number, lines in enumerate(amount.lines(), 1):
        parts = [lines[place::VISITORS] for place in range(VISITORS)]
        visits = [visit(programs.url, f"Visitor {number}-{place}", part) for place, part in enumerate(parts)]
        errors += sum(await asyncio.gather(*visits))
        done += len(lines)
        samples.append(sample := await programs.sample())
        shown = ", ".join(f"{name} {value:.1f} MB" for (name, figure), value in sample.items() if "MB" in figure)
        print(f"{time.monotonic() - began:6.0f} s  {done:6} answered, {errors} errors: {shown}", flush=True)
        if errors > MOST_ERRORS * (amount.explain + amount.ask):
            raise SystemExit(f"{errors} of {done} answers were errors, so this says nothing about answers.")
    return samples


def compare(samples: Sequence[Sample]) -> list[Row]:
    """Return the medians of the quarters of each figure."""
    size = len(samples) // 4
    quarters = [samples[size * place : size * (place + 1) if place < 3 else None] for place in range(4)]
    return [
        Row(*key, tuple(statistics.median(sample[key] for sample in quarter) for quarter in quarters))
        for key in samples[0]
    ]


def print_table(rows: Sequence[Row]) -> None:
    """Print the medians of the quarters, and the growth from the second to the last."""
    print("| program | figure | first | second | third | last quarter | growth |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for row in rows:
        numbers = " | ".join(f"{value:.1f}" if "MB" in row.figure else f"{value:.0f}" for value in row.quarters)
        print(f"| {row.program} | {row.figure} | {numbers} | {100 * row.growth:+.1f} % |")


def draw(samples: Sequence[Sample], amount: Amount, path: Path) -> None:
    """Draw a chart of each program's memory while it answers."""
    figure = Figure(figsize=(6.4, 3), layout="constrained")
    axes = figure.add_subplot()
    answers = [(amount.explain + amount.ask) * (place + 1) / len(samples) for place in range(len(samples))]
    for name, figure_name in samples[0]:
        if figure_name == MEMORY:
            axes.plot(answers, [sample[name, MEMORY] for sample in samples], label=name)
    axes.set(xlabel="answers", ylabel=MEMORY, ylim=(0, None))
    axes.legend()
    figure.savefig(path)


def soak(amount: Amount, folder: Path) -> list[Sample]:
    """Start both programs with what they need in a folder, ask everything, and return the samples."""
    catalogue, cache = write_tiny_models(folder, CONTEXT_TOKENS)
    monitoring = free_port()
    extra = {
        "TEMPERA_SETTINGS": json.dumps(SETTINGS),
        "TEMPERA_EXPLAIN__LESSONS": '["lessons/what-is-generative-ai.md"]',
        "TEMPERA_MONITORING__PORT": str(monitoring),
        "TEMPERA_LOG__LEVEL": "warning",
    }
    with ExitStack() as stack:
        os.environ["TEMPERA_CACHE"] = str(cache)
        stack.callback(os.environ.pop, "TEMPERA_CACHE")
        models_url = stack.enter_context(
            model_server("--catalogue", str(catalogue), "--model", CHAT, "--model", EMBEDDINGS)
        )
        made = Deployment(folder, foreign_models=models_url, extra=extra)
        stack.callback(made.end)
        made.start()
        monitoring_url = f"http://127.0.0.1:{monitoring}"
        wait_for(f"{monitoring_url}/health/ready")
        return asyncio.run(ask_all(Programs(made, models_url, monitoring_url), amount))


def main() -> int:
    """Run it, print what was found, and return 0 if nothing grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--explain", type=int, default=Amount.explain, help="questions for /explain")
    parser.add_argument("--ask", type=int, default=Amount.ask, help="questions for /ask")
    parser.add_argument(
        "--picture", type=Path, help="draw the memory of all programs into this file, such as memory.svg"
    )
    options = parser.parse_args()
    amount = Amount(options.explain, options.ask)
    with tempfile.TemporaryDirectory() as folder:
        samples = soak(amount, Path(folder))
    rows = compare(samples)
    print_table(rows)
    if options.picture:
        draw(samples, amount, options.picture)
    complaints = [row.complaint for row in rows if row.complaint]
    print("\n".join(complaints or ["Nothing grew by more than was promised."]))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
