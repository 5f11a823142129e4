"""Measures how well the safety checks tell attacks from other prompts: `python -m research.moderation.measure FILE…`.

Each file has JSON lines with `text`, `command` ("ask" or "imagine"), `label` ("attack" or "fine") and `kind`. The
model server at --server runs the classifier; without one, only the rules are measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bot.core.errors import ModelError
from bot.core.messages import Place
from bot.inference.client import ModelClient
from bot.safety.checks import Safety
from bot.safety.errors import Unsafe
from bot.safety.settings import CLASSROOM, SETTINGS, STANDARD
from bot.settings.resolver import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PLACE = Place("terminal", "terminal")
PERSONAL_DATA = "personal_data"
"""The kind of prompts that contain personal data, such as a phone number, a mail address or a home address."""
REPEATS = 20
MAX_WAIT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled prompt."""

    text: str
    draws: bool
    is_attack: bool
    kind: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """An example with the code of the reason for its refusal, "" if it was not refused."""

    example: Example
    code: str

    @property
    def is_right(self) -> bool:
        """True if it is a refused attack, or an ordinary prompt that passed."""
        return self.example.is_attack == bool(self.code)


def read_examples(paths: Iterable[Path]) -> list[Example]:
    """Read the examples from files of JSON lines."""
    rows = [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines() if line.strip()]
    return [Example(row["text"], row["command"] == "imagine", row["label"] == "attack", row["kind"]) for row in rows]


def safety_at(level: str, models: ModelClient) -> Safety:
    """Return the checks of a place in which only this safety level is set."""
    settings = Settings({"safety.level": level})
    settings.declare("safety", SETTINGS)
    return Safety(settings, models)


async def run_checks(examples: Sequence[Example], safety: Safety, *, classifier: bool) -> list[Outcome]:
    """Check each example, by the rules and with `classifier` also by the classifier."""
    outcomes = []
    for example in examples:
        code = ""
        try:
            safety.check_rules([example.text], PLACE, draws=example.draws)
            if classifier:
                await safety.check_with_classifier([example.text], PLACE)
        except Unsafe as refused:
            code = refused.code
        if example.kind == PERSONAL_DATA and safety.find_personal_data_warning([example.text], PLACE):
            # Personal data is to be warned of and answered in private, not refused.
            code = PERSONAL_DATA
        outcomes.append(Outcome(example, code))
    return outcomes


def refusal_rate(outcomes: Iterable[Outcome], *, is_attack: bool) -> float:
    """Return the share (0 to 1) of the attacks, or of the ordinary prompts, that was refused."""
    chosen = [bool(outcome.code) for outcome in outcomes if outcome.example.is_attack == is_attack]
    return sum(chosen) / max(1, len(chosen))


def format_table(level: str, outcomes: Sequence[Outcome]) -> str:
    """Format the figures of all kinds of examples as text."""
    caught, false_alarms = (refusal_rate(outcomes, is_attack=is_attack) for is_attack in (True, False))
    lines = [f"{level}: {caught:.1%} of attacks caught, {false_alarms:.1%} false alarms"]
    totals = Counter((outcome.example.is_attack, outcome.example.kind) for outcome in outcomes)
    right = Counter((outcome.example.is_attack, outcome.example.kind) for outcome in outcomes if outcome.is_right)
    for (is_attack, kind), total in sorted(totals.items(), reverse=True):
        lines.append(f"  {'attack' if is_attack else 'fine':7}{kind:20}{right[is_attack, kind]:4} of {total:3} right")
    return "\n".join(lines)


def measure_milliseconds(examples: list[Example], safety: Safety) -> float:
    """Return the mean time that the rules take for a prompt."""
    begin = time.perf_counter()
    for example in examples * REPEATS:
        try:
            safety.check_rules([example.text], PLACE, draws=example.draws)
        except Unsafe:
            continue
    return (time.perf_counter() - begin) * 1000 / (REPEATS * len(examples))


async def wait_for(models: ModelClient) -> None:
    """Wait until the classifier answers. Raises ModelError if it does not within MAX_WAIT_SECONDS."""
    latest = time.monotonic() + MAX_WAIT_SECONDS
    while True:
        try:
            await models.moderate(["hello"])
        except ModelError:
            # While it is unreachable, every prompt of a classroom would count as refused.
            if time.monotonic() > latest:
                raise
            await asyncio.sleep(1)
        else:
            return


async def report(paths: Sequence[Path], server: str, *, wrong: bool) -> None:
    """Print the figures for both levels, and with `wrong` also the examples that were judged wrongly."""
    examples = read_examples(paths)
    async with ModelClient(server or "http://127.0.0.1:9") as models:
        if server:
            await wait_for(models)
        for level in (CLASSROOM, STANDARD):
            outcomes = await run_checks(examples, safety_at(level, models), classifier=bool(server))
            sys.stdout.write(f"{format_table(level, outcomes)}\n")
            missed = [outcome for outcome in outcomes if not outcome.is_right and wrong]
            sys.stdout.writelines(f"    {one.code or 'missed'}: {one.example.text}\n" for one in missed)
        mean_milliseconds = measure_milliseconds(examples, safety_at(CLASSROOM, models))
    sys.stdout.write(f"The rules take {mean_milliseconds:.2f} ms per prompt, without the classifier.\n")


def main() -> int:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="files of labelled prompts")
    parser.add_argument("--server", default="", help="the address of a model server, for the classifier")
    parser.add_argument(
        "--wrong", action="store_true", help="also print the prompts that were judged wrongly; not for held-out files"
    )
    options = parser.parse_args()
    asyncio.run(report(options.files, options.server, wrong=options.wrong))
    return 0


if __name__ == "__main__":
    sys.exit(main())
