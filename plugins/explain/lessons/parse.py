"""A lesson file of any kind that teachers have (Markdown, plain text, HTML, DOCX, PDF), read into blocks.

What a file is, is seen from its bytes; its name only decides between HTML and text. The libraries that read it are
imported when they are first needed, since the bot must start quickly. All of this takes long for large files: call
`read` in a thread.
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
from plugins.explain.lessons.blocks import Block, Code, Heading, Items, Paragraph, table
from plugins.explain.lessons.encoding import decoded, repaired

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docx.table import Table as WordTable
    from docx.text.paragraph import Paragraph as WordParagraph

LARGEST = 5_000_000
"""Bytes of a file."""
LARGEST_UNPACKED = 100_000_000
"""Bytes of all that a DOCX unpacks to."""
BEFORE_HTML = re.compile(rb"\s+|<!--.*?-->", re.DOTALL)
HTML = re.compile(rb"<(?:!doctype html|html|head|body)\b", re.IGNORECASE)
HTML_NAMES = (".html", ".htm", ".xhtml")
TITLE_SIZE = 1.15
"""How much larger than the running text a title is set in a PDF."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A lesson as it was read. `title` is its first title line, or else the file's name.

    `asked` are further wordings of what the sections answer, by heading.
    """

    title: str
    blocks: tuple[Block, ...]
    asked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read(data: bytes, filename: str) -> Lesson:
    """Read a lesson. Raises UserError with a sentence for whoever gave a file that cannot be one."""
    name = PurePath(filename).name
    if len(data) > LARGEST:
        raise UserError("{name} has {size} MB; a lesson may have up to 5 MB.", name=name, size=f"{len(data) / 1e6:.1f}")
    asked: dict[str, tuple[str, ...]] = {}
    try:
        if data.startswith(b"%PDF-"):
            blocks = _pdf(data, name)
        elif data.startswith(b"PK\x03\x04"):
            blocks = list(_docx(data))
        else:
            text, asked = author_wordings.taken(_text(data, name))
            blocks = _text_blocks(text, data, name)
    except UserError:
        raise
    except Exception as error:
        raise UserError("{name} cannot be read: it is damaged, or not what its name says.", name=name) from error
    # Pictures without a text of their own, and empty lines of code.
    blocks = [block for block in blocks if not isinstance(block, Heading | Paragraph | Code) or block.text.strip()]
    if not any(not isinstance(block, Heading) for block in blocks):
        raise UserError("{name} holds no text that could be a lesson.", name=name)
    title = next((block.text for block in blocks if isinstance(block, Heading) and block.level == 1), "")
    return Lesson(title or _spoken(name), tuple(blocks), asked)


def is_html(data: bytes, name: str) -> bool:
    """Whether a file is an HTML page: it begins as one below its comments, or is called so."""
    # One by one, since a pattern of many comments would try them in all combinations.
    at = 0
    while before := BEFORE_HTML.match(data, at):
        at = before.end()
    return HTML.match(data, at) is not None or name.lower().endswith(HTML_NAMES)


def _text(data: bytes, name: str) -> str:
    text = decoded(data)
    is_binary = b"\0" in data and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if is_binary or sum(not (sign.isprintable() or sign.isspace()) for sign in text) * 50 > len(text):
        raise UserError(
            "{name} is no file that can be read as a lesson. These can: Markdown (.md), plain text (.txt), "
            "HTML (.html), Word (.docx) and PDF (.pdf).",
            name=name,
        )
    return text


def _text_blocks(text: str, data: bytes, name: str) -> list[Block]:
    if is_html(data, name):
        # The page's own bytes again: an HTML page says itself how it is encoded.
        return list(markup.html(data))
    return list(markup.markdown(text)) if markup.is_marked(text) else plain.blocks(text)


def _spoken(name: str) -> str:
    """A title from a file's name."""
    words = re.sub(r"[-_\s]+", " ", PurePath(name).stem).strip()
    return words[:1].upper() + words[1:]


def _docx(data: bytes) -> Iterator[Block]:
    import docx
    from docx.text.paragraph import Paragraph as WordParagraph

    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        if sum(part.file_size for part in packed.infolist()) > LARGEST_UNPACKED:
            raise ValueError("it unpacks to far more than it should")
    parts = list(docx.Document(io.BytesIO(data)).iter_inner_content())
    paragraphs = [part for part in parts if isinstance(part, WordParagraph)]
    if sum(_word_level(paragraph) is not None for paragraph in paragraphs) < 2:
        yield from plain.blocks("\n\n".join(_as_text(part) for part in parts))
        return
    items: list[str] = []
    for part in parts:
        is_item = isinstance(part, WordParagraph) and _is_item(part)
        if items and not is_item:
            yield Items(tuple(items))
            items = []
        if not isinstance(part, WordParagraph):
            yield from filter(None, [table(_word_rows(part))])
        elif text := repaired(part.text).strip():
            if is_item:
                items.append(text)
            else:
                level = _word_level(part)
                yield Paragraph(text) if level is None else Heading(level, text)
    if items:
        yield Items(tuple(items))


def _as_text(part: WordParagraph | WordTable) -> str:
    """A part of a document without headings, as plain text with the few marks that tell what it is."""
    from docx.text.paragraph import Paragraph as WordParagraph

    if not isinstance(part, WordParagraph):
        return "\n".join(f"| {' | '.join(row)} |" for row in _word_rows(part))
    text = part.text.strip()
    is_bold = bool(text) and all(run.bold for run in part.runs if run.text.strip())
    if _word_level(part) is not None or (is_bold and len(text) <= plain.LONGEST_TITLE):
        return f"# {text}"
    return f"- {text}" if _is_item(part) else text


def _word_level(paragraph: WordParagraph) -> int | None:
    style = (paragraph.style.name if paragraph.style else None) or ""
    if style == "Title":
        return 1
    found = re.fullmatch(r"[Hh]eading (\d)", style)
    return int(found[1]) if found and paragraph.text.strip() else None


def _is_item(paragraph: WordParagraph) -> bool:
    style = (paragraph.style.name if paragraph.style else None) or ""
    properties = paragraph._p.pPr
    return style.startswith("List ") or (properties is not None and properties.numPr is not None)


def _word_rows(part: WordTable) -> list[list[str]]:
    return [[" ".join(repaired(cell.text).split()) for cell in row.cells] for row in part.rows]


def _pdf(data: bytes, name: str) -> list[Block]:
    import pypdf
    from pypdf.errors import FileNotDecryptedError

    document = pypdf.PdfReader(io.BytesIO(data))
    try:
        pages = [_page(page) for page in document.pages]
    except FileNotDecryptedError:
        raise UserError("{name} is locked with a password; save it without one.", name=name) from None
    if not any(line for page in pages for line, _ in page):
        raise UserError(
            "{name} holds pictures of pages but no text. Save it as a PDF whose text can be selected.", name=name
        )
    weights: Counter[float] = Counter()
    for page in pages:
        for line, size in page:
            weights[size] += len(line)
    body = weights.most_common(1)[0][0]
    repeated = _repeated(pages)
    lines = [
        f"# {line}" if size > body * TITLE_SIZE and len(line) <= plain.LONGEST_QUESTION else line
        for page in pages
        for line, size in page
        if _without_number(line) not in repeated
    ]
    joined = re.sub(r"(?<=[a-zäöü])-\n(?=[a-zäöü])", "", "\n".join(lines))
    return plain.blocks(repaired(joined))


def _page(page: Any) -> list[tuple[str, float]]:
    """The lines of a page, each with the size of its largest letters in points."""
    pieces: list[tuple[str, float]] = []

    def note(text: str, outer: list[float], inner: list[float], font: object, size: float) -> None:
        pieces.append((text, round(abs(size * inner[3] * outer[3]), 1)))

    page.extract_text(visitor_text=note)
    lines, text, largest = [], "", 0.0
    for piece, size in pieces:
        *ended, rest = piece.split("\n")
        for part in ended:
            lines.append(((text + part).strip(), max(largest, size if part.strip() else 0.0)))
            text, largest = "", 0.0
        text += rest
        largest = max(largest, size if rest.strip() else 0.0)
    return [*lines, (text.strip(), largest)]


def _repeated(pages: list[list[tuple[str, float]]]) -> set[str]:
    """What stands at the top or bottom of most pages: running titles and page numbers."""
    edges: Counter[str] = Counter()
    for page in pages:
        filled = [line for line, _ in page if line]
        edges.update({_without_number(line) for line in [*filled[:1], *filled[-1:]]})
    return {line for line, count in edges.items() if count >= 3 and count * 2 > len(pages)}


def _without_number(line: str) -> str:
    return re.sub(r"\d+", "#", line)
