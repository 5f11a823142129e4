"""Reads PDF files into blocks."""

from __future__ import annotations

import io
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from bot.core.errors import UserError
from bot.documents import plain
from bot.documents.encoding import repair
from bot.documents.limits import Limit, Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot.documents.blocks import Block

MIN_TITLE_SIZE_RATIO = 1.15
"""The smallest font size of a title, relative to that of the running text."""
MAX_TREE_DEPTH = 50
"""The nodes above a page; most files have two or three."""


def read_pdf(data: bytes, name: str) -> list[Block]:
    """Parse a PDF. Raises UserError if it is locked or has no text, LimitExceeded, or any error if it is damaged."""
    import pypdf
    from pypdf.errors import FileNotDecryptedError

    document = pypdf.PdfReader(io.BytesIO(data))
    try:
        _check_page_count(document)
        characters = Tally(Limit.CHARACTERS)
        pages = [_read_page(page, characters) for page in document.pages]
    except FileNotDecryptedError:
        raise UserError("{name} is locked with a password; save it without one.", name=name) from None
    if not any(line for page in pages for line, _ in page):
        raise UserError(
            "{name} holds pictures of pages but no text. Save it as a PDF whose text can be selected.", name=name
        )
    sizes: Counter[float] = Counter()
    for page in pages:
        for line, size in page:
            sizes[size] += len(line)
    body_size = sizes.most_common(1)[0][0]
    repeated = _repeated_lines(pages)
    lines = [
        f"# {line}" if size > body_size * MIN_TITLE_SIZE_RATIO and len(line) <= plain.MAX_QUESTION_CHARACTERS else line
        for page in pages
        for line, size in page
        if _mask_numbers(line) not in repeated
    ]
    without_hyphenation = re.sub(r"(?<=[a-zäöü])-\n(?=[a-zäöü])", "", "\n".join(lines))
    return plain.read_plain(repair(without_hyphenation))


def _check_page_count(document: Any) -> None:
    """Raise LimitExceeded for too many pages. Many can share one object, so that a small file has millions."""
    pages = Tally(Limit.PAGES)
    for _ in _walk_pages(document.root_object["/Pages"]):
        pages.add()


def _walk_pages(root: Any) -> Iterator[None]:
    """Yield once for each node of the tree of pages, but not for those that contain others."""
    waiting = [iter([root])]
    while waiting:
        if len(waiting) > MAX_TREE_DEPTH:
            raise ValueError("its tree of pages is too deep, or contains itself")
        node = next(waiting[-1], None)
        if node is None:
            waiting.pop()
        elif (kids := node.get_object().get("/Kids")) is not None and kids.get_object():
            waiting.append(iter(kids.get_object()))
        else:
            yield


def _read_page(page: Any, characters: Tally) -> list[tuple[str, float]]:
    """Return the lines of a page, each with its largest font size in points."""
    pieces: list[tuple[str, float]] = []

    def add_piece(text: str, outer: list[float], inner: list[float], font: object, size: float) -> None:
        characters.add(len(text))
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
