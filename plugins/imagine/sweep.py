"""One knob at several values: "guidance=1,3,7"."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from bot import UserError

KNOBS = ("guidance", "steps")
WHOLE = frozenset({"steps"})
FEWEST, MOST = 2, 8
EXAMPLES = {"guidance": (1, 3, 7), "steps": (5, 15, 30)}
SHAPE = re.compile(r"\s*(?P<knob>[a-z]+)\s*[=:]\s*(?P<values>.+)", re.IGNORECASE | re.DOTALL)


def read(text: str, limits: Mapping[str, tuple[float, float]], most: int = MOST) -> tuple[str, list[float]]:
    """The knob and its values, in the order given. Raises UserError with a sentence and an example.

    `limits` are from where to where each knob may be turned, `most` how many pictures there may be.
    """
    if most < FEWEST:
        raise UserError("A sweep draws {fewest} pictures or more, and here only one may be drawn.", fewest=FEWEST)
    match = SHAPE.fullmatch(text)
    knob = match["knob"].casefold() if match else ""
    if match is None or knob not in KNOBS:
        sentence = (
            "sweep is guidance or steps with {fewest} to {most} values, like {one} or {other}; you gave “{text}”."
        )
        examples = {"one": _example("guidance", limits, most), "other": _example("steps", limits, most)}
        raise UserError(sentence, fewest=FEWEST, most=most, text=text, **examples)
    values = list(
        dict.fromkeys(_value(knob, word, limits, most) for word in re.split(r"[,;\s]+", match["values"].strip(" ,;")))
    )
    if not FEWEST <= len(values) <= most:
        sentence = "A sweep has {fewest} to {most} different values, like {example}; yours has {count}."
        example = _example(knob, limits, most)
        raise UserError(sentence, fewest=FEWEST, most=most, example=example, count=len(values))
    return knob, values


def _example(knob: str, limits: Mapping[str, tuple[float, float]], most: int) -> str:
    """What may be typed here."""
    low, high = limits[knob]
    values = list(dict.fromkeys(min(max(value, low), high) for value in EXAMPLES[knob]))
    return f"{knob}={','.join(f'{value:g}' for value in values[:most])}"


def _value(knob: str, word: str, limits: Mapping[str, tuple[float, float]], most: int) -> float:
    low, high = limits[knob]
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if low <= value <= high and (knob not in WHOLE or value.is_integer()):
        # Two pictures must not have the same words under them.
        return int(value) if knob in WHOLE else float(f"{value:g}")
    sentence = "In a sweep, {knob} takes numbers from {low} to {high}, like {example}; “{word}” is none of them."
    if knob in WHOLE:
        sentence = (
            "In a sweep, {knob} takes whole numbers from {low} to {high}, like {example}; “{word}” is none of them."
        )
    example = _example(knob, limits, most)
    raise UserError(sentence, knob=knob, low=f"{low:g}", high=f"{high:g}", example=example, word=word)
