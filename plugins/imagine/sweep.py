"""Sweeps: one knob of a drawing (guidance, steps, references) at several values, typed like "guidance=0,4,20"."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from bot import Context, UserError

KNOBS = ("guidance", "steps", "references")
INTEGER_KNOBS = frozenset({"steps", "references"})
MIN_VALUES, MAX_VALUES = 2, 8
EXAMPLES = {"guidance": (0, 4, 20), "steps": (5, 15, 30), "references": (0, 1, 3)}
PATTERN = re.compile(r"\s*(?P<knob>[a-z]+)\s*[=:]\s*(?P<values>.+)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Sweep:
    """A knob, and the values that it takes one after the other, one for each picture."""

    knob: str
    values: tuple[float, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The values as people write them."""
        return tuple(f"{value:g}" for value in self.values)


def parse_sweep(ctx: Context, text: str) -> Sweep:
    """Parse a sweep; the values stay in the order given. Raises UserError with a sentence and an example.

    The limits are those that moderators set here for the knobs, and for `count`.
    """
    limits = {}
    for name in KNOBS:
        highest = ctx.settings[f"imagine.{name}.maximum"]
        limits[name] = (min(ctx.settings[f"imagine.{name}.minimum"], highest), highest)
    count = ctx.settings.find("imagine.count.maximum")
    allowed = ctx.settings[count.name]
    # A sweep may have more pictures than a grid, until moderators set a limit of their own.
    max_values = MAX_VALUES if allowed == count.default else allowed
    if max_values < MIN_VALUES:
        raise UserError("A sweep draws {fewest} pictures or more, and here only one may be drawn.", fewest=MIN_VALUES)
    match = PATTERN.fullmatch(text)
    knob = match["knob"].casefold() if match else ""
    if match is None or knob not in KNOBS:
        sentence = (
            "sweep is guidance, steps or references with {fewest} to {most} values, like {one} or {other}; you gave "
            "“{text}”."
        )
        examples = {
            "one": _build_example("guidance", limits, max_values),
            "other": _build_example("steps", limits, max_values),
        }
        raise UserError(sentence, fewest=MIN_VALUES, most=max_values, text=text, **examples)
    words = re.split(r"[,;\s]+", match["values"].strip(" ,;"))
    values = tuple(dict.fromkeys(_parse_value(knob, word, limits, max_values) for word in words))
    if not MIN_VALUES <= len(values) <= max_values:
        sentence = "A sweep has {fewest} to {most} different values, like {example}; yours has {count}."
        example = _build_example(knob, limits, max_values)
        raise UserError(sentence, fewest=MIN_VALUES, most=max_values, example=example, count=len(values))
    return Sweep(knob, values)


def _build_example(knob: str, limits: Mapping[str, tuple[float, float]], max_values: int) -> str:
    """Return a sweep of `knob` that the limits allow."""
    low, high = limits[knob]
    values = list(dict.fromkeys(min(max(value, low), high) for value in EXAMPLES[knob]))
    return f"{knob}={','.join(f'{value:g}' for value in values[:max_values])}"


def _parse_value(knob: str, word: str, limits: Mapping[str, tuple[float, float]], max_values: int) -> float:
    low, high = limits[knob]
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if low <= value <= high and (knob not in INTEGER_KNOBS or value.is_integer()):
        # Rounded to what is shown, so that no two pictures have the same label.
        return int(value) if knob in INTEGER_KNOBS else float(f"{value:g}")
    sentence = "In a sweep, {knob} takes numbers from {low} to {high}, like {example}; “{word}” is none of them."
    if knob in INTEGER_KNOBS:
        sentence = (
            "In a sweep, {knob} takes whole numbers from {low} to {high}, like {example}; “{word}” is none of them."
        )
    example = _build_example(knob, limits, max_values)
    raise UserError(sentence, knob=knob, low=f"{low:g}", high=f"{high:g}", example=example, word=word)
