"""Measures speeds and waiting times of servers that get the same requests in turns, one server at a time."""

from __future__ import annotations

import asyncio
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from research.bench.language.lessons import lesson_messages
from research.bench.machine import report_stage
from research.bench.servers import CLIENTS
from research.bench.streams import Request, StreamResult, ask, ask_together, make_prompt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from research.bench.language.traffic import BandwidthProbe
    from research.bench.servers import BenchServer

SHORT, LONG = 50, 400
"""Lengths of a prompt in tokens."""
ALONE_TOKENS, TOGETHER_TOKENS, LESSON_TOKENS = 96, 64, 96
SETTLE_SECONDS = 0.2
"""Threads of a server that has just answered may still be waiting for work in a loop."""


@dataclass(slots=True)
class LanguageSpeeds:
    """The speeds of one side in each run, in tokens per second or, for waits, in seconds."""

    alone: list[float] = field(default_factory=list)
    lessons: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    wait: list[float] = field(default_factory=list)
    wait_cached: list[float] = field(default_factory=list)
    prompts: list[int] = field(default_factory=list)
    """The exact lengths of the long prompts in tokens."""
    lengths: list[float] = field(default_factory=list)
    """The mean number of tokens before each one of a single stream."""


async def compare(
    sides: Sequence[BenchServer], model: str, runs: int, probe: BandwidthProbe | None = None
) -> tuple[list[LanguageSpeeds], list[float]]:
    """Measure the speeds of all sides, which take turns and go first in turns, and the bandwidth in between.

    Return the speeds of each side, and the bandwidths in bytes per second.
    """
    figures, bandwidths = [LanguageSpeeds() for _ in sides], list[float]()
    for side in sides:
        await ask(side.session, model, make_prompt(SHORT, "warm"), 8)
    measures: list[Callable[[BenchServer, str, str, LanguageSpeeds], Awaitable[None]]]
    measures = [_alone, _lessons, _together, _waits]
    for run in range(runs):
        report_stage(f"speed, run {run + 1} of {runs}")
        first = run % len(sides)
        for measure in measures:
            for index in (*range(first, len(sides)), *range(first)):
                if probe is not None:
                    await asyncio.sleep(SETTLE_SECONDS)
                    bandwidths.append(await asyncio.to_thread(probe.measure))
                await measure(sides[index], model, f"run {run}", figures[index])
    return figures, bandwidths


async def _alone(side: BenchServer, model: str, seed: str, figures: LanguageSpeeds) -> None:
    answer = await ask(side.session, model, make_prompt(SHORT, f"alone {seed}"), ALONE_TOKENS)
    figures.alone.append(answer.rate)
    figures.lengths.append(answer.read + answer.written / 2)


async def _lessons(side: BenchServer, model: str, _seed: str, figures: LanguageSpeeds) -> None:
    answers = [await ask(side.session, model, messages, LESSON_TOKENS) for messages in lesson_messages()]
    seconds = sum(answer.last - answer.first for answer in answers)
    figures.lessons.append(sum(answer.written - 1 for answer in answers) / seconds)


async def _together(side: BenchServer, model: str, seed: str, figures: LanguageSpeeds) -> None:
    requests: list[Request] = [(make_prompt(SHORT, f"together {seed} {number}"), {}) for number in range(CLIENTS)]
    answers = await ask_together(side.session, model, requests, TOGETHER_TOKENS)
    figures.together.append(_total_rate(answers))


async def _waits(side: BenchServer, model: str, seed: str, figures: LanguageSpeeds) -> None:
    requests: list[Request] = [(make_prompt(LONG, f"wait {seed} {number}"), {}) for number in range(CLIENTS)]
    for waits in (figures.wait, figures.wait_cached):
        answers = await ask_together(side.session, model, requests, 2)
        waits.append(statistics.median(answer.wait for answer in answers))
        figures.prompts += [answer.read for answer in answers]


def _total_rate(answers: list[StreamResult]) -> float:
    started, ended = min(answer.asked for answer in answers), max(answer.last for answer in answers)
    return sum(answer.written for answer in answers) / (ended - started)
