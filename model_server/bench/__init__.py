"""Measures what is served, next to what people would run instead, and says which goals are met."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from model_server.bench.language import language
from model_server.catalogue import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark that is named, or say which there are. Raises StoreError when it cannot be run here."""
    parser = argparse.ArgumentParser(prog="tempera-models bench", description=__doc__)
    commands = parser.add_subparsers(dest="benchmark", metavar="BENCHMARK")
    for name, (summary, _) in BENCHMARKS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("--model", default="qwen2.5-coder-0.5b-instruct", help="default: %(default)s")
        command.add_argument("--runs", type=int, default=3, help="of which the medians count (default: %(default)s)")
        command.add_argument("--threads", type=int, default=2, help="for each of the two (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.benchmark is None:
        parser.print_help()
        return 0
    if options.runs < 1 or options.threads < 1:
        raise StoreError("--runs and --threads should be at least 1.")
    asyncio.run(_print(BENCHMARKS[options.benchmark][1](options.model, options.runs, options.threads)))
    return 0


async def _print(parts: AsyncIterator[str]) -> None:
    async for part in parts:
        sys.stdout.write(f"{part}\n")
        sys.stdout.flush()


BENCHMARKS = {"language": ("a chat model beside llama.cpp: speed, waiting, memory, quality, fairness", language)}
