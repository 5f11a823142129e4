"""The blocks that files of all formats are parsed into: headings, paragraphs, lists, tables and code."""

from __future__ import annotations

from dataclasses import dataclass

from bot.documents.limits import Limit, Tally

BREAK = "  \n"
"""A line break that is kept, as in a poem, in Markdown's notation."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading. `level` 1 is the document's title."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text, with code between backticks.

    "\\n" stands for a line break of the file that may be meant, and BREAK for one that certainly is.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list; lists within an item are part of its text. `start` is the number of the first item if it is ordered."""

    items: tuple[str, ...]
    ordered: bool = False
    start: int = 1

    def lines(self) -> list[tuple[str, str]]:
        """Return the mark and the text of each item."""
        return [(f"{number}." if self.ordered else "-", item) for number, item in enumerate(self.items, self.start)]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of at least two rows and two columns; every row has as many cells as the header."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Lines that are shown unchanged."""

    text: str


Block = Heading | Paragraph | Items | Table | Code


def make_table(rows: list[list[str]]) -> Table | Items | Paragraph | None:
    """Return a table whose first row is the header, with rows of equal width; None if all cells are empty.

    A table of a single row or column is only a frame: it becomes a list of its cells, or a paragraph if it has one.
    Raises LimitExceeded if it has too many cells.
    """
    filled = [row for row in rows if any(row)]
    if len(filled) < 2 or max(map(len, filled)) < 2:
        # Merged cells of a Word file all have the same text.
        cells = tuple(dict.fromkeys(cell for row in filled for cell in row if cell))
        return Items(cells) if len(cells) > 1 else Paragraph(cells[0]) if cells else None
    width = max(map(len, filled))
    Tally(Limit.CELLS).add(width * len(filled))
    header, *others = [tuple(row + [""] * (width - len(row))) for row in filled]
    return Table(header, tuple(others))
