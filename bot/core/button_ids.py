"""The ids of buttons and forms. They stand in messages for years, so that each one goes on meaning what it means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Kind(StrEnum):
    """What a button does. The last three are the buttons of plugins, which are numbered."""

    STOP = "stop"
    DELETE = "delete"
    UP = "up"
    DOWN = "down"
    AGAIN = "again"
    COOLER = "cooler"
    WARMER = "warmer"
    EDIT = "edit"
    CONTINUE = "continue"
    """Asks for the next question about an answer; whoever presses it goes on for themselves."""
    FORK = "fork"
    """A click on a token: another answer that continues from that token."""
    APPEAL = "appeal"
    """Stands under a refusal; its row is that of the audit's entry."""
    PLUGIN = "b"
    """Leads to a new answer."""
    PAGE = "p"
    """Turns the page of the answer, on platforms that can do that."""
    CHOICE = "c"
    """Number 0 leads to choices, which have the numbers from 1 on."""


PLUGINS = frozenset({Kind.PLUGIN, Kind.PAGE, Kind.CHOICE})
"""The buttons of plugins. Each runs a command, and the rules for that command are checked when it runs."""
IN_PLACE = frozenset({Kind.STOP, Kind.DELETE, Kind.UP, Kind.DOWN})
"""Buttons that change the message they are under, as those that turn a page do; other buttons lead to a new message."""
ENDING = frozenset({Kind.STOP, Kind.DELETE})
"""Buttons that only take away; they work while a place is paused."""
ANYBODY = frozenset({Kind.UP, Kind.DOWN}) | PLUGINS
"""Buttons that everybody may press."""
READERS = frozenset({Kind.FORK, Kind.CONTINUE})
"""Buttons for everybody who sees the answer, as long as it is not private."""
FORMS = frozenset({Kind.EDIT, Kind.CONTINUE})
"""Buttons that open a form."""
REPEATS = frozenset({Kind.AGAIN, Kind.COOLER, Kind.WARMER, Kind.FORK})
"""Buttons that lead to another answer to the same question."""

BUTTON = re.compile(rf"t:({'|'.join(Kind)})([0-9]{{0,9}}):([0-9]{{1,10}})")
MAX_ROW = 2**31 - 1
"""The largest number that a row can have."""
FORM = "c:"


@dataclass(frozen=True, slots=True)
class ButtonId:
    """The id of a button, "t:warmer:42" or "t:b3:42": its kind, a plugin's number for it, and the row of the answer.

    The form behind a button has the same id.
    """

    kind: Kind
    row: int
    number: int = 0

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the id that a button has; None for any other text."""
        match = BUTTON.fullmatch(text)
        if match is None or int(match[3]) > MAX_ROW or bool(match[2]) != (match[1] in PLUGINS):
            return None
        return cls(Kind(match[1]), int(match[3]), int(match[2] or 0))

    @property
    def name(self) -> str:
        """The button without its row: "warmer" or "b3"."""
        return f"{self.kind}{self.number}" if self.kind in PLUGINS else self.kind.value

    def __str__(self) -> str:
        return f"t:{self.name}:{self.row}"


@dataclass(frozen=True, slots=True)
class FormId:
    """The id of the form of a command, "c:ask"."""

    command: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the id that the form of a command has; None for any other text."""
        command = text.removeprefix(FORM)
        return cls(command) if command and text.startswith(FORM) else None

    def __str__(self) -> str:
        return f"{FORM}{self.command}"
