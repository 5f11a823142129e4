"""Reads the text of a file in any format, as a language model gets it."""

from __future__ import annotations

from pathlib import PurePath

from bot.core.errors import UserError
from bot.documents.blocks import BREAK, Block, Code, Heading, Items, Paragraph, Table
from bot.documents.limits import Limit
from bot.documents.parse import decode_text, is_html, is_packed, parse_document, require_document_size
from bot.documents.to_markdown import fence


def read_text(data: bytes, filename: str) -> str:
    """Return the text of a file. Raises UserError, with a sentence for the user who gave it, if it has none."""
    name = PurePath(filename).name
    if is_packed(data) or is_html(data, name):
        return "\n\n".join(map(_to_text, parse_document(data, name).blocks))
    require_document_size(data, name)
    # Unchanged, because each line of a table or of a program counts.
    text = decode_text(data, name).strip()
    if not text:
        raise UserError("{name} holds no text.", name=name)
    if len(text) > Limit.CHARACTERS.value:
        raise Limit.CHARACTERS.explain(name)
    return text


def _to_text(block: Block) -> str:
    match block:
        case Heading(level=level, text=text):
            return f"{'#' * level} {text}"
        case Paragraph(text=text):
            return text.replace(BREAK, "\n")
        case Items():
            return "\n".join(f"{mark} {item}" for mark, item in block.lines())
        case Table(header=header, rows=rows):
            return "\n".join(" | ".join(row) for row in (header, *rows))
        case Code(text=text):
            return fence(text)
