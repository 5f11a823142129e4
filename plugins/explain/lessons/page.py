"""Builds the web page of a lesson: its Markdown, section by section, with the anchors that answers link to.

Markdown that a teacher wrote is shown unchanged; the blocks of other files are converted to Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from bot import Page, Part
from bot.documents import author_wordings, markup
from bot.documents.blocks import BREAK, Block, Code, Items, Paragraph, Table
from bot.documents.encoding import decode
from bot.documents.parse import ParsedDocument, is_html, is_packed
from bot.documents.plain import BOLD, QUESTION_LABEL, is_question, remove_answer_label
from bot.documents.to_markdown import CODE, escape_line_start, fence
from plugins.explain.lessons.passages import Section, hyphenate, split_sections

if TYPE_CHECKING:
    from markdown_it.token import Token

SIGNS = re.compile(rf"(?P<code>{CODE.pattern})|[\\`*_{{}}\[\]<>|~&#$]")
FIRST_SIGNS = re.compile(r"^([^\S\n]*)([-+=]|\d{1,9}(?=[.)]))", re.MULTILINE)
COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
HTML_BREAK = re.compile(
    r"(?P<kept>\\.|(?P<ticks>`{1,9}+)(?!`).+?(?<!`)(?P=ticks)(?!`)|`+)"
    rf"|{markup.LINE_BREAK.pattern}[ \t]*\n?",
    re.DOTALL | re.IGNORECASE,
)
"""A line break of HTML, or an escape or code, which is kept even if it looks like one.

More than nine backticks mark no code here: without an end, the text would be read once for each number of backticks.
"""


FIRST_SENTENCE = re.compile(r".*?[.!?](?=\s|$)", re.DOTALL)
QUESTION_WORDS = (4, 9)
"""The least and the largest number of words of a question that is offered below a section."""
QUESTION_START = re.compile(
    r"(what|which|who|where|when|why|how|can|could|does|do|is|are|has|have|will|should"
    r"|was|welche[rsmn]?|wer|wem|wo|wann|warum|wieso|wie|kann|können|ist|sind|gibt|hat"
    r"|qué|que|cuál|cuáles|quién|dónde|cuándo|cómo|como|por qué|para qué|puede|es|son|hay)\b",
    re.IGNORECASE,
)
"""How questions begin in the languages that lessons are in, so that no note in keywords is offered."""


@dataclass(frozen=True, slots=True)
class _HeadingCandidate:
    """A line that may be a heading. Its text begins with `rest`, on the same line, and goes on at the line `after`."""

    name: str
    line: int
    after: int
    rest: str = ""


def build_page(title: str, lesson: ParsedDocument, data: bytes, filename: str) -> Page:
    """Build the page of a lesson that was parsed from `data`."""
    sections = list(split_sections(lesson))
    source = _markdown_source(data, filename)
    texts = _original_markdown(source, sections, lesson.title) if source else None
    texts = texts or [_blocks_to_markdown(section.blocks) for section in sections]
    parts = []
    if sections[0].path:
        # There is no text between the title and the first heading, so no section has the title.
        parts.append(Part(heading=title, text="", anchor=make_slug(lesson.title), level=1))
    for section, text in zip(sections, texts, strict=True):
        heading = section.path[-1] if section.path else title
        level = min(1 + len(section.path), 6)
        question = choose_question(lesson.wordings.get(heading, ()), heading, text)
        parts.append(Part(heading=heading, text=text, anchor=section.anchor, level=level, ask=f"/explain {question}"))
    return Page(name=make_slug(title), title=title, parts=tuple(parts))


def choose_question(wordings: Sequence[str], heading: str, text: str) -> str:
    """Return a question about a section that its heading and its first sentence do not answer.

    It is one of the further wordings that the author of the lesson gave; the heading if none of them will do.
    """
    first = FIRST_SENTENCE.match(text)
    said = _words(f"{heading} {first[0] if first else ''}")
    later = _words(text) - said
    least, most = QUESTION_WORDS
    asked = [one for one in wordings if least <= len(one.split()) <= most and QUESTION_START.match(one)]
    best = max(asked, key=lambda wording: len(_words(wording) & later) - len(_words(wording) & said), default="")
    if not _words(best) & later:
        return heading
    return f"{best[0].upper()}{best[1:].rstrip('?')}?"


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w{4,}", text.lower()))


def make_slug(title: str) -> str:
    """Return a title as the last part of a page's address."""
    return hyphenate(title) or "lesson"


def _markdown_source(data: bytes, filename: str) -> str | None:
    """Return the text of a Markdown file, without comments; None for all other files."""
    if is_packed(data) or is_html(data, filename):
        return None
    closed, rest = author_wordings.split_after_last_comment(author_wordings.extract_wordings(decode(data))[0])
    text = COMMENT.sub("", closed) + rest
    return markup.remove_front_matter(text) if markup.is_markdown(text) else None


def _original_markdown(source: str, sections: Sequence[Section], title: str) -> list[str] | None:
    """Return the Markdown of each section; None if the source lacks one of the headings, or contains HTML."""
    from markdown_it import MarkdownIt

    parse = MarkdownIt("commonmark").enable("table").parse
    if markup.LINE_BREAK.search(source):
        source = _replace_html_breaks(source, parse(source))
    tokens = parse(source)
    if any(token.type == "html_block" or _has_html(token) for token in tokens):
        return None
    lines = source.split("\n")
    candidates = iter(_heading_candidates(tokens))
    starts: list[_HeadingCandidate] = []
    for section in sections:
        heading = section.path[-1] if section.path else title
        start = next((candidate for candidate in candidates if candidate.name == heading), None)
        if start is None and section.path:
            return None
        if start is None:
            start, candidates = _HeadingCandidate(title, 0, 0), iter(_heading_candidates(tokens))
        starts.append(start)
    ends = [following.line for _, following in pairwise(starts)] + [len(lines)]
    texts = ["\n".join([start.rest, *lines[start.after : end]]) for start, end in zip(starts, ends, strict=True)]
    below_question = [bool(section.path) and is_question(section.path[-1]) for section in sections]
    return [
        remove_answer_label(text.strip(), below_question=below)
        for text, below in zip(texts, below_question, strict=True)
    ]


def _replace_html_breaks(source: str, tokens: Sequence[Token]) -> str:
    """Replace line breaks of HTML by those of Markdown, or by blanks in headings and table cells."""
    lines = source.split("\n")
    moved: set[int] = set()
    for opening, inside in pairwise(tokens):
        if inside.map and _has_html(inside):
            gap = " " if opening.type in ("td_open", "th_open", "heading_open") else BREAK
            first, after = inside.map
            # The lines are joined, because code may span several of them.
            lines[first] = _replace_breaks("\n".join(lines[first:after]), gap)
            moved.update(range(first + 1, after))
    return "\n".join(line for place, line in enumerate(lines) if place not in moved)


def _replace_breaks(text: str, gap: str) -> str:
    return HTML_BREAK.sub(lambda match: match["kept"] or gap, text).removesuffix("\n")


def _has_html(token: Token) -> bool:
    return any(child.type == "html_inline" for child in token.children or ())


def _heading_candidates(tokens: Sequence[Token]) -> Iterator[_HeadingCandidate]:
    for opening, inside in pairwise(tokens):
        if opening.level or not opening.map:
            continue
        first, after = opening.map
        if opening.type == "heading_open":
            yield _HeadingCandidate(_inline_text(inside.children or ()), first, after)
        elif bold := BOLD.match(inside.content) if opening.type == "paragraph_open" else None:
            rest = inside.content[bold.end() :].partition("\n")[0].strip()
            yield _HeadingCandidate(bold["text"].strip().rstrip(":"), first, first + 1, rest)
        elif opening.type == "paragraph_open":
            line = _inline_text(_until_line_break(inside.children or ()))
            yield _HeadingCandidate(QUESTION_LABEL.sub("", line).rstrip(":").strip(), first, first + 1)


def _until_line_break(children: Iterable[Token]) -> Iterable[Token]:
    for child in children:
        if child.type in ("softbreak", "hardbreak"):
            return
        yield child


def _inline_text(children: Iterable[Token]) -> str:
    return " ".join("".join(child.content or " " * (child.type == "softbreak") for child in children).split())


def _blocks_to_markdown(blocks: Sequence[Block]) -> str:
    return "\n\n".join(_block_to_markdown(block) for block in blocks)


def _block_to_markdown(block: Block) -> str:
    match block:
        case Paragraph(text=text):
            return "\\\n".join(_escape(line.rstrip()) for line in text.split("\n") if line.strip())
        case Items():
            return "\n".join(f"{mark} {_escape(item)}" for mark, item in block.lines())
        case Code(text=text):
            return fence(text)
        case Table(header=header, rows=rows):
            cells = [[_escape_cell(cell) for cell in row] for row in (header, *rows)]
            lines = [f"| {' | '.join(row)} |" for row in cells]
            return "\n".join([lines[0], "|---" * len(header) + "|", *lines[1:]])
    raise TypeError(f"{type(block).__name__} is no block of a section")


def _escape_cell(text: str) -> str:
    """Return `text` as a cell of a table. A bar would end the cell even within code, so it is escaped there, too."""
    return CODE.sub(lambda code: code[0].replace("|", "\\|"), " ".join(_escape(text).split()))


def _escape(text: str) -> str:
    """Return `text` as Markdown that shows exactly these characters, and code as code."""
    escaped = SIGNS.sub(lambda match: match["code"] or f"\\{match[0]}", text)
    return FIRST_SIGNS.sub(escape_line_start, escaped)
