"""The grammar of a typed line: `name:value` pairs before and after free text, with or without quotation marks.

`temperature:0.2 style:"two words" Why is the sky blue? seed:7` has three pairs. The page of the web chat reads the same
grammar in line.js.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

QUOTES = {'"': '"', "“": "”", "„": "“”", "«": "»", "'": "'"}
"""What ends a quotation, by what begins it: keyboards of other languages write others by themselves."""
NAME = r"(?P<name>[A-Za-z_][\w-]*)"
QUOTED = r"\"[^\"]*\"(?=\s|$)|\".*\"(?=\s*$)|\"[^\"]*\"|“[^”]*”|„[^“”]*[“”]|«[^»]*»|'[^']*'(?=\s|$)"
"""A value in quotation marks. A value at the end of the line may have further quotation marks inside."""
FIRST = re.compile(rf"\s*{NAME}:(?P<value>{QUOTED}|\S*)", re.DOTALL)
LAST = re.compile(rf"(?:^|\s){NAME}:(?P<value>\"[^\"]*\"|“[^“”]*”|„[^„“”]*[“”]|«[^«»]*»|[^\s\"]+)\s*$")
"""A pair at the end. No alternative reads past the next mark of its kind, so that a search takes linear time."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A `name:value` pair in a line, from `start` to `end`: both parts as typed, quotation marks included."""

    name: str
    value: str
    start: int
    end: int

    @property
    def option(self) -> str:
        """The option that the name stands for: in small letters, with “_” for “-”."""
        return self.name.casefold().replace("-", "_")


def first_pair(text: str, position: int = 0) -> Pair | None:
    """Return the pair that begins at `position`, or after white space there; None if there is none."""
    return _pair(FIRST.match(text, position))


def last_pair(text: str) -> Pair | None:
    """Return the pair at the end of the text, or None. A pair needs a value here, since a colon may end a sentence."""
    return _pair(LAST.search(text))


def _pair(match: re.Match[str] | None) -> Pair | None:
    return None if match is None else Pair(match["name"], match["value"], match.start(), match.end())


def leading_pairs_end(text: str) -> int:
    """Return where the free text begins: after all complete pairs, each of which has a space after it."""
    end = 0
    while (pair := first_pair(text, end)) is not None and text[pair.end : pair.end + 1].isspace():
        # The value of a quotation that is still open continues after the space.
        if not pair.value or (pair.value[0] in '"“„«' and unquote(pair.value) == pair.value):
            break
        end = pair.end
    return len(text) - len(text[end:].lstrip())


def unquote(value: str) -> str:
    """Return the value without the quotation marks around it. `“to be” or “not”` stays, as it is two quotations."""
    inside = value[1:-1]
    is_quoted = len(value) >= 2 and value[-1] in QUOTES.get(value[0], "")
    if is_quoted and value[0] not in inside and value[-1] not in inside:
        return inside.strip() if value[0] == "«" else inside
    return value


def quote(value: str) -> str:
    """Return the value as it must be typed: in quotation marks if it has a space, or begins like another quotation."""
    return f'"{value}"' if " " in value or value.startswith(("“", "„", "«", "'")) else value


def join_pairs(values: Mapping[str, str]) -> str:
    """Return these names and values as typed pairs."""
    return " ".join(f"{name}:{quote(value)}" for name, value in values.items())
