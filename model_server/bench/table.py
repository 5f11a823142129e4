"""What was measured, as a table in Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure should be at least, or at most, `bound`."""

    sense: Literal["≥", "≤"]
    bound: float

    def met_by(self, figure: float) -> bool:
        """Whether it is."""
        return figure >= self.bound if self.sense == "≥" else figure <= self.bound


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One line. The goal is about `judged`: a ratio, shown with ×, or the figure itself."""

    what: str
    ours: str
    theirs: str = ""
    judged: float
    ratio: bool = False
    goal: Goal

    def cells(self) -> tuple[str, ...]:
        """What stands under each heading; a miss says by how much."""
        sign = " ×" if self.ratio else ""
        met = "yes" if self.goal.met_by(self.judged) else f"no, by {_percent(self.judged, self.goal.bound)}"
        compared = f"{self.judged:.2f} ×" if self.ratio else ""
        return (self.what, self.ours, self.theirs, compared, f"{self.goal.sense} {self.goal.bound:g}{sign}", met)


def markdown(rows: Iterable[TableRow], peer: str) -> str:
    """The table beside `peer`."""
    headings = ("", "Tempera", peer, "compared", "goal", "met")
    lines = [headings, ("---", *["---:"] * 4, "---"), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _percent(figure: float, bound: float) -> str:
    return f"{abs(figure - bound) / bound:.0%}" if bound else f"{abs(figure - bound):g}"
