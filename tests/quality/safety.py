"""How well the checks tell attacks from ordinary prompts: `python -m quality.safety FILE…`.

Each file has JSON lines with `text`, `command` ("ask" or "imagine"), `label` ("attack" or "fine") and `kind`. The
model server at --server answers for the classifier; without one, there are the rules alone.
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
PERSONAL = "personal_data"
"""The kind of prompts in which somebody tells a phone number, a mail address or where they live."""
REPEATS = 20
PATIENCE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt, and whether it is an attack."""

    text: str
    draws: bool
    attack: bool
    kind: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """An example with the reason why it was refused; "" if it was not."""

    example: Example
    code: str

    @property
    def right(self) -> bool:
        """Whether that is what should have happened."""
        return self.example.attack == bool(self.code)


def read(paths: Iterable[Path]) -> list[Example]:
    """The examples in files of JSON lines."""
    rows = [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines() if line.strip()]
    return [Example(row["text"], row["command"] == "imagine", row["label"] == "attack", row["kind"]) for row in rows]


def safety_at(level: str, models: ModelClient) -> Safety:
    """The checks of a place with this level and nothing else set."""
    settings = Settings({"safety.level": level})
    settings.declare("safety", SETTINGS)
    return Safety(settings, models)


async def outcomes(examples: Sequence[Example], safety: Safety, *, classifier: bool) -> list[Outcome]:
    """What happens to each example."""
    found = []
    for example in examples:
        code = ""
        try:
            safety.check_rules([example.text], PLACE, draws=example.draws)
            if classifier:
                await safety.check_with_classifier([example.text], PLACE)
        except Unsafe as refused:
            code = refused.code
        if example.kind == PERSONAL and safety.personal_data_warning([example.text], PLACE):
            # What is promised for it is a warning and a private answer, no refusal.
            code = PERSONAL
        found.append(Outcome(example, code))
    return found


def rate(found: Iterable[Outcome], *, attack: bool) -> float:
    """Which part of the attacks, or of the others, was refused."""
    chosen = [bool(outcome.code) for outcome in found if outcome.example.attack == attack]
    return sum(chosen) / max(1, len(chosen))


def table(level: str, found: Sequence[Outcome]) -> str:
    """The figures as text."""
    lines = [f"{level}: {rate(found, attack=True):.1%} of attacks caught, {rate(found, attack=False):.1%} false alarms"]
    totals = Counter((outcome.example.attack, outcome.example.kind) for outcome in found)
    right = Counter((outcome.example.attack, outcome.example.kind) for outcome in found if outcome.right)
    for (attack, kind), total in sorted(totals.items(), reverse=True):
        lines.append(f"  {'attack' if attack else 'fine':7}{kind:20}{right[attack, kind]:4} of {total:3} right")
    return "\n".join(lines)


def milliseconds(examples: list[Example], safety: Safety) -> float:
    """The mean time that the rules take for a prompt."""
    begin = time.perf_counter()
    for example in examples * REPEATS:
        try:
            safety.check_rules([example.text], PLACE, draws=example.draws)
        except Unsafe:
            continue
    return (time.perf_counter() - begin) * 1000 / (REPEATS * len(examples))


async def wait_for(models: ModelClient) -> None:
    """Wait until the classifier answers. Raises ModelError if it still does not after `PATIENCE_SECONDS`."""
    latest = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            await models.moderate(["hello"])
        except ModelError:
            # Out of reach, it would make every prompt of a classroom count as refused.
            if time.monotonic() > latest:
                raise
            await asyncio.sleep(1)
        else:
            return


async def report(paths: Sequence[Path], server: str, *, wrong: bool) -> None:
    """Print the figures for both levels, and with `wrong` what went wrong."""
    examples = read(paths)
    async with ModelClient(server or "http://127.0.0.1:9") as models:
        if server:
            await wait_for(models)
        for level in (CLASSROOM, STANDARD):
            found = await outcomes(examples, safety_at(level, models), classifier=bool(server))
            sys.stdout.write(f"{table(level, found)}\n")
            missed = [outcome for outcome in found if not outcome.right and wrong]
            sys.stdout.writelines(f"    {one.code or 'missed'}: {one.example.text}\n" for one in missed)
        took = milliseconds(examples, safety_at(CLASSROOM, models))
    sys.stdout.write(f"The rules take {took:.2f} ms a prompt, the classifier apart.\n")


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--server", default="", help="a model server's address")
    parser.add_argument("--wrong", action="store_true", help="print what was told wrongly, too; not for held-out files")
    options = parser.parse_args()
    asyncio.run(report(options.files, options.server, wrong=options.wrong))
    return 0


if __name__ == "__main__":
    sys.exit(main())
