"""What every kind of lesson file is read into: a row of headings, paragraphs, lists, tables and code."""

from __future__ import annotations

from dataclasses import dataclass

BREAK = "  \n"
"""A line break that is kept, as in a poem."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A title line. `level` 1 is the lesson's own title."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text. A line break in it stands where the file has one that may matter, after BREAK's blanks if it does.

    Code in it is between backticks.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list; those inside its items are told in the item. `start` is the number of the first, where it is ordered."""

    items: tuple[str, ...]
    ordered: bool = False
    start: int = 1

    def lines(self) -> list[tuple[str, str]]:
        """The items, each with its mark before it."""
        return [(f"{number}." if self.ordered else "-", item) for number, item in enumerate(self.items, self.start)]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of two rows and two columns at least; every row has as many cells as the header."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Lines that are shown as they are."""

    text: str


Block = Heading | Paragraph | Items | Table | Code


def table(rows: list[list[str]]) -> Table | Items | Paragraph | None:
    """A table whose first row is the header, its rows made equally wide; None if there is nothing in it.

    One of a single row or column has no header: it is a frame around a text, or around several.
    """
    filled = [row for row in rows if any(row)]
    if len(filled) < 2 or max(map(len, filled)) < 2:
        # What Word merged stands in each of the cells.
        cells = tuple(dict.fromkeys(cell for row in filled for cell in row if cell))
        return Items(cells) if len(cells) > 1 else Paragraph(cells[0]) if cells else None
    width = max(map(len, filled))
    even = [tuple(row + [""] * (width - len(row))) for row in filled]
    return Table(even[0], tuple(even[1:]))
