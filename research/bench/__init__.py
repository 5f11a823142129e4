"""Benchmarks that compare served models with the programs that people would use otherwise, and with goals."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from model_server.errors import OperatorError
from research.bench.answers.command import DEFAULT_MODEL, AnswersPlan, add_arguments, answers
from research.bench.diffusion import diffusion
from research.bench.language.command import language
from research.bench.language.goals import LARGE
from research.bench.machine import BenchOptions
from research.bench.vllm import vllm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

ANSWERS = "answers"
ANSWERS_SUMMARY = "right answers to questions asked through the bot: a small model, the default one, and llama.cpp"


def main(arguments: Sequence[str]) -> int:
    """Run the named benchmark, or list all of them. Raises OperatorError if it cannot be run here."""
    parser = argparse.ArgumentParser(prog="python -m research.bench", description=__doc__)
    commands = parser.add_subparsers(dest="benchmark", metavar="BENCHMARK")
    for name, (summary, model, _) in BENCHMARKS.items():
        command = _add_command(commands, name, summary, model)
        command.add_argument(
            "--runs", type=int, default=3, help="number of runs; the medians are shown (default: %(default)s)"
        )
        if name == "language":
            command.add_argument(
                "--instructions", choices=["avx2"], help="keep both sides from newer instructions of the processor"
            )
    command = _add_command(commands, ANSWERS, ANSWERS_SUMMARY, DEFAULT_MODEL)
    command.set_defaults(runs=1)
    add_arguments(command)
    options = parser.parse_args(arguments)
    if options.benchmark is None:
        parser.print_help()
        return 0
    if options.runs < 1 or options.threads < 1:
        raise OperatorError("--runs and --threads should be at least 1.")
    asyncio.run(_print(_start(options)))
    return 0


def _add_command(commands: Commands, name: str, summary: str, model: str) -> argparse.ArgumentParser:
    """Add a benchmark with the options that all have."""
    command = commands.add_parser(name, help=summary, description=summary)
    command.add_argument("--model", default=model, help="default: %(default)s")
    command.add_argument(
        "--catalogue", action="append", default=[], metavar="FILE", help="overlays the built-in catalogue"
    )
    command.add_argument("--threads", type=int, default=2, help="threads of each server (default: %(default)s)")
    return command


def _start(options: argparse.Namespace) -> AsyncIterator[str]:
    bench_options = BenchOptions(
        model=options.model,
        runs=options.runs,
        threads=options.threads,
        overlays=tuple(map(Path, options.catalogue)),
        instructions=getattr(options, "instructions", None),
    )
    if options.benchmark == ANSWERS:
        plan = AnswersPlan(
            small=options.small,
            questions=options.questions,
            without=frozenset(options.without),
            failures=options.failures,
        )
        return answers(bench_options, plan)
    return BENCHMARKS[options.benchmark][2](bench_options)


async def _print(parts: AsyncIterator[str]) -> None:
    async for part in parts:
        sys.stdout.write(f"{part}\n")
        sys.stdout.flush()


BENCHMARKS: dict[str, tuple[str, str, Callable[[BenchOptions], AsyncIterator[str]]]] = {
    "language": (
        "a chat model beside llama.cpp: speed, waiting times, memory, quality, fairness",
        LARGE,
        language,
    ),
    "vllm": ("a chat model beside vLLM: speed and waiting times", LARGE, vllm),
    "diffusion": (
        "pictures beside diffusers: speed for one and many users, first preview, cancelling",
        "emoji-diffusion",
        diffusion,
    ),
}
