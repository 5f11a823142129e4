"""Parses files into blocks: Markdown, plain text, HTML, DOCX and PDF.

The bytes of a file decide its format; its name only decides between HTML and text. The libraries that read the formats
are imported at their first use. A file may be made to keep its parser busy, so it is parsed in a process that can be
ended (bot/core/child_process.py).
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING

from bot.core.errors import UnknownFormat, UserError
from bot.documents import author_wordings, markup, plain
from bot.documents.blocks import Block, Code, Heading, Items, Paragraph, Table
from bot.documents.encoding import decode
from bot.documents.limits import MAX_HEADING_CHARACTERS, Limit, LimitExceeded, Tally

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_FILE_BYTES = 5_000_000
ZIP, PDF = b"PK\x03\x04", re.compile(rb"(?:\xef\xbb\xbf)?\s{0,1000}%PDF-")
BEFORE_HTML = re.compile(rb"\s+|<!--.*?-->", re.DOTALL)
HTML = re.compile(rb"<(?:!doctype html|html|head|body)\b", re.IGNORECASE)
LXML_NO_MEMORY = 2
"""The code of an XMLSyntaxError that stands for a lack of memory."""
HTML_SUFFIXES = (".html", ".htm", ".xhtml")


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A parsed file. `title` is its first title line, or else made from the filename.

    `wordings` are further wordings of questions that the sections answer, by heading.
    """

    title: str
    blocks: tuple[Block, ...]
    wordings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def parse_document(data: bytes, filename: str) -> ParsedDocument:
    """Parse a file. Raises UserError, with a sentence for the user who gave it, if it cannot be read as text."""
    name = PurePath(filename).name
    require_document_size(data, name)
    try:
        blocks, wordings = _read_blocks(data, name)
        # Drop pictures without a description, and code without text.
        blocks = [block for block in map(_shorten_heading, blocks) if not _is_blank(block)]
        _check_size(blocks)
    except LimitExceeded as error:
        raise error.limit.explain(name) from None
    except (UserError, MemoryError):
        raise
    except Exception as error:
        if getattr(error, "code", 0) == LXML_NO_MEMORY:
            raise MemoryError from error
        raise unreadable(name) from error
    if not any(not isinstance(block, Heading) for block in blocks):
        raise UserError("{name} holds no text.", name=name)
    title = next((block.text for block in blocks if isinstance(block, Heading) and block.level == 1), "")
    return ParsedDocument(title or _title_from_filename(name), tuple(blocks), wordings)


def unreadable(name: str) -> UserError:
    """Return the error for a file that its parser cannot read."""
    return UserError("{name} cannot be read: it is damaged, or not what its name says.", name=name)


def require_document_size(data: bytes, name: str) -> None:
    """Raise UserError if a file has more bytes than a file of text may have."""
    if len(data) > MAX_FILE_BYTES:
        raise UserError(
            "{name} has {size} MB; a file of text may have up to 5 MB.", name=name, size=f"{len(data) / 1e6:.1f}"
        )


def _read_blocks(data: bytes, name: str) -> tuple[Sequence[Block], Mapping[str, tuple[str, ...]]]:
    """Return the blocks of a file in any format, and its further wordings."""
    if (start := find_pdf(data)) is not None:
        from bot.documents.pdf import read_pdf

        return read_pdf(data[start:], name), {}
    if data.startswith(ZIP):
        from bot.documents.word import is_docx, read_docx

        if not is_docx(data):
            raise unknown_format(name)
        return list(read_docx(data)), {}
    text, wordings = author_wordings.extract_wordings(decode_text(data, name))
    return _read_text(text, data, name), wordings


def _shorten_heading(block: Block) -> Block:
    """Return a heading that is too long as a paragraph, and any other block unchanged."""
    if isinstance(block, Heading) and len(block.text) > MAX_HEADING_CHARACTERS:
        return Paragraph(block.text)
    return block


def _is_blank(block: Block) -> bool:
    return isinstance(block, Heading | Paragraph | Code) and not block.text.strip()


def _check_size(blocks: Sequence[Block]) -> None:
    """Raise LimitExceeded if the blocks hold too many paragraphs, or too much text."""
    paragraphs = Tally(Limit.PARAGRAPHS)
    characters = Tally(Limit.CHARACTERS)
    for block in blocks:
        match block:
            case Items(items=texts):
                paragraphs.add(len(texts))
                characters.add(sum(map(len, texts)))
            case Table(rows=rows):
                paragraphs.add(1 + len(rows))
                characters.add(sum(len(cell) for row in (block.header, *rows) for cell in row))
            case _:
                paragraphs.add()
                characters.add(len(block.text))


def find_pdf(data: bytes) -> int | None:
    """Return where a PDF begins in a file, which may have blanks before it; None if the file is none."""
    found = PDF.match(data)
    return found and found.end() - len(b"%PDF-")


def is_packed(data: bytes) -> bool:
    """Return whether a file is one of PDF or Word, whose text does not stand in it as it is."""
    return data.startswith(ZIP) or find_pdf(data) is not None


def is_html(data: bytes, name: str) -> bool:
    """Return True if a file begins like an HTML page, below any comments, or has a suffix of HTML."""
    # One at a time: a pattern of several comments would try all ways to divide them.
    start = 0
    while comment_or_blanks := BEFORE_HTML.match(data, start):
        start = comment_or_blanks.end()
    return HTML.match(data, start) is not None or name.lower().endswith(HTML_SUFFIXES)


def decode_text(data: bytes, name: str) -> str:
    """Return the text of a file. Raises UserError if the file is binary."""
    text = decode(data)
    is_binary = b"\0" in data and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if is_binary or sum(map(_is_odd, text)) * 50 > len(text):
        raise unknown_format(name)
    return text


def unknown_format(name: str) -> UnknownFormat:
    """Return the error for a file in another format."""
    return UnknownFormat(
        "{name} is no text that I can read. These I can read: Markdown (.md), plain text (.txt), "
        "HTML (.html), Word (.docx) and PDF (.pdf).",
        name=name,
    )


def _is_odd(sign: str) -> bool:
    """Return whether a character is none of a text. Invisible ones join and part letters in many languages."""
    return not (sign.isprintable() or sign.isspace()) and unicodedata.category(sign) != "Cf"


def _read_text(text: str, data: bytes, name: str) -> list[Block]:
    if is_html(data, name):
        # The bytes, not the text, because an HTML page names its own encoding.
        return list(markup.read_html(data))
    return list(markup.read_markdown(text)) if markup.is_markdown(text) else plain.read_plain(text)


def _title_from_filename(name: str) -> str:
    """Return a filename as a title: “Our pets” for our-pets.txt."""
    words = re.sub(r"[-_\s]+", " ", PurePath(name).stem).strip()
    return words[:1].upper() + words[1:]
