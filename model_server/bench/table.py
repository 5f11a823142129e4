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
    """One row. The goal is about `figure`, which is shown with × if it is a ratio."""

    what: str
    ours: str
    theirs: str = ""
    figure: float
    ratio: bool = False
    goal: Goal

    def cells(self) -> tuple[str, ...]:
        """Return the text of each column; a missed goal says by how much."""
        sign = " ×" if self.ratio else ""
        met = "yes" if self.goal.is_met_by(self.figure) else f"no, by {_percent(self.figure, self.goal.bound)}"
        compared = f"{self.figure:.2f} ×" if self.ratio else ""
        return (self.what, self.ours, self.theirs, compared, f"{self.goal.comparison} {self.goal.bound:g}{sign}", met)


def markdown(rows: Iterable[TableRow], peer: str) -> str:
    """Return the table of `rows`, in which the compared program is called `peer`."""
    headings = ("", "Tempera", peer, "compared", "goal", "met")
    lines = [headings, ("---", *["---:"] * 4, "---"), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _percent(figure: float, bound: float) -> str:
    return f"{abs(figure - bound) / bound:.0%}" if bound else f"{abs(figure - bound):g}"
