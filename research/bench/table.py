"""The table of results in Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Goal:
    """The least or the greatest value that a figure should have."""

    comparison: Literal["≥", "≤"]
    bound: float

    def is_met_by(self, figure: float) -> bool:
        """Return whether `figure` meets the goal."""
        return figure >= self.bound if self.comparison == "≥" else figure <= self.bound


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One row. The goal, if there is one, is about `figure`, which is shown with × if it is a ratio."""

    what: str
    ours: str
    theirs: tuple[str, ...] = ()
    """The figure of each compared program, in the order of the headings; empty if it has none."""
    figure: float
    ratio: bool = False
    goal: Goal | None

    def cells(self, peers: int = 1) -> tuple[str, ...]:
        """Return the text of each column, of which `peers` are compared programs; a missed goal says by how much."""
        theirs = (*self.theirs, *[""] * peers)[:peers]
        compared = f"{self.figure:.2f} ×" if self.ratio else ""
        return (self.what, self.ours, *theirs, compared, *self._judge())

    def _judge(self) -> tuple[str, str]:
        if self.goal is None:
            return "", ""
        met = "yes" if self.goal.is_met_by(self.figure) else f"no, by {_percent(self.figure, self.goal.bound)}"
        return f"{self.goal.comparison} {self.goal.bound:g}{' ×' if self.ratio else ''}", met


def markdown(rows: Iterable[TableRow], *peers: str) -> str:
    """Return the table of `rows`, in which the compared programs are called `peers`."""
    headings = ("", "Tempera", *peers, "compared", "goal", "met")
    rules = ("---", *["---:"] * (len(headings) - 2), "---")
    lines = [headings, rules, *(row.cells(len(peers)) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _percent(figure: float, bound: float) -> str:
    return f"{abs(figure - bound) / bound:.0%}" if bound else f"{abs(figure - bound):g}"
