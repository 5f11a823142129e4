"""Reads Word files (DOCX) into blocks."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.documents import plain
from bot.documents.blocks import Block, Heading, Items, Paragraph, make_table
from bot.documents.encoding import repair
from bot.documents.limits import Limit, LimitExceeded, Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docx.document import Document
    from docx.table import Table as WordTable
    from docx.text.paragraph import Paragraph as WordParagraph


CONTENT_TYPES, MAX_TYPES_BYTES = "[Content_Types].xml", 1 << 20
MAIN = b"wordprocessingml.document.main+xml"
"""The kind of the part with the text, by which a package of Word is told from one of PowerPoint."""


def is_docx(data: bytes) -> bool:
    """Return whether a ZIP file is one of Word. Raises any error if it is damaged."""
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        if CONTENT_TYPES not in packed.namelist():
            return False
        with packed.open(CONTENT_TYPES) as listed:
            return MAIN in listed.read(MAX_TYPES_BYTES)


def read_docx(data: bytes) -> Iterator[Block]:
    """Parse a Word file. Raises LimitExceeded, or any error if it is damaged."""
    import docx
    from docx.text.paragraph import Paragraph as WordParagraph

    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        if sum(part.file_size for part in packed.infolist()) > Limit.UNPACKED_MB.value * 1_000_000:
            raise LimitExceeded(Limit.UNPACKED_MB)
    document = docx.Document(io.BytesIO(data))
    _check_size(document)
    styles = _style_names(document)
    parts = [
        _Paragraph(part, styles) if isinstance(part, WordParagraph) else part for part in document.iter_inner_content()
    ]
    if sum(isinstance(part, _Paragraph) and part.heading_level is not None for part in parts) < 2:
        yield from plain.read_plain("\n\n".join(_part_to_text(part) for part in parts))
        return
    items: list[str] = []
    for part in parts:
        is_item = isinstance(part, _Paragraph) and part.is_item
        if items and not is_item:
            yield Items(tuple(items))
            items = []
        if not isinstance(part, _Paragraph):
            yield from filter(None, [make_table(_table_rows(part))])
        elif text := repair(part.text).strip():
            if is_item:
                items.append(text)
            else:
                level = part.heading_level
                yield Paragraph(text) if level is None else Heading(level, text)
    if items:
        yield Items(tuple(items))


def _check_size(document: Document) -> None:
    """Raise LimitExceeded if there are too many paragraphs, or cells, each counted as often as it is wide."""
    from docx.oxml.ns import qn

    paragraphs = Tally(Limit.PARAGRAPHS)
    cells = Tally(Limit.CELLS)
    for element in document.element.body.iter(qn("w:p"), qn("w:tr"), qn("w:tc")):
        if element.tag == qn("w:tc"):
            cells.add(max(1, element.grid_span))
        elif element.getparent().tag != qn("w:tc"):
            paragraphs.add()


def _style_names(document: Document) -> Mapping[str | None, str]:
    """Return the names of the paragraph styles by id, and under None that of a paragraph without a known style.

    python-docx would search all styles for each paragraph.
    """
    from docx.enum.style import WD_STYLE_TYPE

    names: dict[str | None, str] = {None: ""}
    for style in document.styles:
        if style.type == WD_STYLE_TYPE.PARAGRAPH:
            names.setdefault(style.style_id, style.name or "")
            if style.element.default:
                names[None] = style.name or ""
    return names


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """A paragraph with the names of the document's styles."""

    source: WordParagraph
    styles: Mapping[str | None, str]

    @property
    def text(self) -> str:
        return self.source.text

    @property
    def style(self) -> str:
        return self.styles.get(self.source._p.style, self.styles[None])

    @property
    def heading_level(self) -> int | None:
        if self.style == "Title":
            return 1
        match = re.fullmatch(r"[Hh]eading (\d)", self.style)
        return int(match[1]) if match and self.text.strip() else None

    @property
    def is_item(self) -> bool:
        properties = self.source._p.pPr
        return self.style.startswith("List ") or (properties is not None and properties.numPr is not None)

    @property
    def is_bold(self) -> bool:
        return all(run.bold for run in self.source.runs if run.text.strip())


def _part_to_text(part: _Paragraph | WordTable) -> str:
    """Return a part of a document without headings as plain text, with marks of headings, list items and tables."""
    if not isinstance(part, _Paragraph):
        return "\n".join(f"| {' | '.join(row)} |" for row in _table_rows(part))
    text = part.text.strip()
    if part.heading_level is not None or (text and len(text) <= plain.MAX_TITLE_CHARACTERS and part.is_bold):
        return f"# {text}"
    return f"- {text}" if part.is_item else text


def _table_rows(part: WordTable) -> list[list[str]]:
    return [[" ".join(repair(cell.text).split()) for cell in row.cells] for row in part.rows]
