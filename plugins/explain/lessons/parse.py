"""Parses lesson files into blocks: Markdown, plain text, HTML, DOCX and PDF.

The bytes of a file decide its format; its name only decides between HTML and text. The libraries that read the formats
are imported at their first use, because the bot must start quickly. Parsing takes long for large files: call
`parse_lesson` in a thread.
"""

from __future__ import annotations

import codecs
import io
import re
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from bot import UserError
from plugins.explain.lessons import author_wordings, markup, plain
from plugins.explain.lessons.blocks import Block, Code, Heading, Items, Paragraph, make_table
from plugins.explain.lessons.encoding import decode, repair

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docx.table import Table as WordTable
    from docx.text.paragraph import Paragraph as WordParagraph

MAX_FILE_BYTES = 5_000_000
MAX_UNPACKED_BYTES = 100_000_000
"""The largest size of all files in a DOCX together."""
BEFORE_HTML = re.compile(rb"\s+|<!--.*?-->", re.DOTALL)
HTML = re.compile(rb"<(?:!doctype html|html|head|body)\b", re.IGNORECASE)
HTML_SUFFIXES = (".html", ".htm", ".xhtml")
MIN_TITLE_SIZE_RATIO = 1.15
"""The smallest font size of a title in a PDF, relative to that of the running text."""


@dataclass(frozen=True, slots=True)
class ParsedLesson:
    """The parsed file of a lesson. `title` is its first title line, or else made from the filename.

    `wordings` are further wordings of questions that the sections answer, by heading.
    """

    title: str
    blocks: tuple[Block, ...]
    wordings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def parse_lesson(data: bytes, filename: str) -> ParsedLesson:
    """Parse a lesson. Raises UserError, with a sentence for the user who gave it, if it cannot be a lesson."""
    name = PurePath(filename).name
    if len(data) > MAX_FILE_BYTES:
        raise UserError("{name} has {size} MB; a lesson may have up to 5 MB.", name=name, size=f"{len(data) / 1e6:.1f}")
    wordings: dict[str, tuple[str, ...]] = {}
    try:
        if data.startswith(b"%PDF-"):
            blocks = _read_pdf(data, name)
        elif data.startswith(b"PK\x03\x04"):
            blocks = list(_read_docx(data))
        else:
            text, wordings = author_wordings.extract_wordings(_decode_text(data, name))
            blocks = _read_text(text, data, name)
    except UserError:
        raise
    except Exception as error:
        raise UserError("{name} cannot be read: it is damaged, or not what its name says.", name=name) from error
    # Drop pictures without a description, and code without text.
    blocks = [block for block in blocks if not isinstance(block, Heading | Paragraph | Code) or block.text.strip()]
    if not any(not isinstance(block, Heading) for block in blocks):
        raise UserError("{name} holds no text that could be a lesson.", name=name)
    title = next((block.text for block in blocks if isinstance(block, Heading) and block.level == 1), "")
    return ParsedLesson(title or _title_from_filename(name), tuple(blocks), wordings)


def is_html(data: bytes, name: str) -> bool:
    """Return True if a file begins like an HTML page, below any comments, or has a suffix of HTML."""
    # One at a time: a pattern of several comments would try all ways to divide them.
    start = 0
    while comment_or_blanks := BEFORE_HTML.match(data, start):
        start = comment_or_blanks.end()
    return HTML.match(data, start) is not None or name.lower().endswith(HTML_SUFFIXES)


def _decode_text(data: bytes, name: str) -> str:
    """Return the text of a file. Raises UserError if the file is binary."""
    text = decode(data)
    is_binary = b"\0" in data and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if is_binary or sum(not (sign.isprintable() or sign.isspace()) for sign in text) * 50 > len(text):
        raise UserError(
            "{name} is no file that can be read as a lesson. These can: Markdown (.md), plain text (.txt), "
            "HTML (.html), Word (.docx) and PDF (.pdf).",
            name=name,
        )
    return text


def _read_text(text: str, data: bytes, name: str) -> list[Block]:
    if is_html(data, name):
        # The bytes, not the text, because an HTML page names its own encoding.
        return list(markup.read_html(data))
    return list(markup.read_markdown(text)) if markup.is_markdown(text) else plain.read_plain(text)


def _title_from_filename(name: str) -> str:
    """Return a filename as a title: “Our pets” for our-pets.txt."""
    words = re.sub(r"[-_\s]+", " ", PurePath(name).stem).strip()
    return words[:1].upper() + words[1:]


def _read_docx(data: bytes) -> Iterator[Block]:
    import docx
    from docx.text.paragraph import Paragraph as WordParagraph

    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        if sum(part.file_size for part in packed.infolist()) > MAX_UNPACKED_BYTES:
            raise ValueError("it unpacks to far more than it should")
    parts = list(docx.Document(io.BytesIO(data)).iter_inner_content())
    paragraphs = [part for part in parts if isinstance(part, WordParagraph)]
    if sum(_heading_level(paragraph) is not None for paragraph in paragraphs) < 2:
        yield from plain.read_plain("\n\n".join(_part_to_text(part) for part in parts))
        return
    items: list[str] = []
    for part in parts:
        is_item = isinstance(part, WordParagraph) and _is_item(part)
        if items and not is_item:
            yield Items(tuple(items))
            items = []
        if not isinstance(part, WordParagraph):
            yield from filter(None, [make_table(_table_rows(part))])
        elif text := repair(part.text).strip():
            if is_item:
                items.append(text)
            else:
                level = _heading_level(part)
                yield Paragraph(text) if level is None else Heading(level, text)
    if items:
        yield Items(tuple(items))


def _part_to_text(part: WordParagraph | WordTable) -> str:
    """Return a part of a document without headings as plain text, with marks of headings, list items and tables."""
    from docx.text.paragraph import Paragraph as WordParagraph

    if not isinstance(part, WordParagraph):
        return "\n".join(f"| {' | '.join(row)} |" for row in _table_rows(part))
    text = part.text.strip()
    is_bold = bool(text) and all(run.bold for run in part.runs if run.text.strip())
    if _heading_level(part) is not None or (is_bold and len(text) <= plain.MAX_TITLE_CHARACTERS):
        return f"# {text}"
    return f"- {text}" if _is_item(part) else text


def _heading_level(paragraph: WordParagraph) -> int | None:
    style = _style_name(paragraph)
    if style == "Title":
        return 1
    match = re.fullmatch(r"[Hh]eading (\d)", style)
    return int(match[1]) if match and paragraph.text.strip() else None


def _style_name(paragraph: WordParagraph) -> str:
    return (paragraph.style.name if paragraph.style else None) or ""


def _is_item(paragraph: WordParagraph) -> bool:
    properties = paragraph._p.pPr
    return _style_name(paragraph).startswith("List ") or (properties is not None and properties.numPr is not None)


def _table_rows(part: WordTable) -> list[list[str]]:
    return [[" ".join(repair(cell.text).split()) for cell in row.cells] for row in part.rows]


def _read_pdf(data: bytes, name: str) -> list[Block]:
    import pypdf
    from pypdf.errors import FileNotDecryptedError

    document = pypdf.PdfReader(io.BytesIO(data))
    try:
        pages = [_read_pdf_page(page) for page in document.pages]
    except FileNotDecryptedError:
        raise UserError("{name} is locked with a password; save it without one.", name=name) from None
    if not any(line for page in pages for line, _ in page):
        raise UserError(
            "{name} holds pictures of pages but no text. Save it as a PDF whose text can be selected.", name=name
        )
    characters: Counter[float] = Counter()
    for page in pages:
        for line, size in page:
            characters[size] += len(line)
    body_size = characters.most_common(1)[0][0]
    repeated = _repeated_lines(pages)
    lines = [
        f"# {line}" if size > body_size * MIN_TITLE_SIZE_RATIO and len(line) <= plain.MAX_QUESTION_CHARACTERS else line
        for page in pages
        for line, size in page
        if _mask_numbers(line) not in repeated
    ]
    without_hyphenation = re.sub(r"(?<=[a-zäöü])-\n(?=[a-zäöü])", "", "\n".join(lines))
    return plain.read_plain(repair(without_hyphenation))


def _read_pdf_page(page: Any) -> list[tuple[str, float]]:
    """Return the lines of a page, each with its largest font size in points."""
    pieces: list[tuple[str, float]] = []

    def add_piece(text: str, outer: list[float], inner: list[float], font: object, size: float) -> None:
        pieces.append((text, round(abs(size * inner[3] * outer[3]), 1)))

    page.extract_text(visitor_text=add_piece)
    lines, text, largest = [], "", 0.0
    for piece, size in pieces:
        *ended, rest = piece.split("\n")
        for part in ended:
            lines.append(((text + part).strip(), max(largest, size if part.strip() else 0.0)))
            text, largest = "", 0.0
        text += rest
        largest = max(largest, size if rest.strip() else 0.0)
    return [*lines, (text.strip(), largest)]


def _repeated_lines(pages: list[list[tuple[str, float]]]) -> set[str]:
    """Return the lines at the top or bottom of most pages, with masked numbers: running titles and page numbers."""
    edges: Counter[str] = Counter()
    for page in pages:
        filled = [line for line, _ in page if line]
        edges.update({_mask_numbers(line) for line in [*filled[:1], *filled[-1:]]})
    return {line for line, count in edges.items() if count >= 3 and count * 2 > len(pages)}


def _mask_numbers(line: str) -> str:
    return re.sub(r"\d+", "#", line)
