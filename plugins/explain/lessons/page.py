"""A lesson as a page: its Markdown, section by section, with the anchors that answers link to.

What a teacher wrote in Markdown is shown as it was written; what came out of another kind of file is told in Markdown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from bot import Page, Part
from plugins.explain.lessons import author_wordings, markup
from plugins.explain.lessons.blocks import BREAK, Block, Code, Items, Paragraph, Table
from plugins.explain.lessons.encoding import decoded
from plugins.explain.lessons.parse import is_html
from plugins.explain.lessons.passages import sections
from plugins.explain.lessons.plain import ASKED, BOLD, answered, is_question
from plugins.explain.lessons.to_markdown import CODE, fenced, first_escaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from markdown_it.token import Token

    from plugins.explain.lessons.parse import Lesson
    from plugins.explain.lessons.passages import Section

SIGNS = re.compile(rf"(?P<code>{CODE.pattern})|[\\`*_{{}}\[\]<>|~&#$]")
FIRST_SIGNS = re.compile(r"^([^\S\n]*)([-+=]|\d{1,9}(?=[.)]))", re.MULTILINE)
COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
HTML_BREAK = re.compile(
    r"(?P<kept>\\.|(?P<ticks>`{1,9}+)(?!`).+?(?<!`)(?P=ticks)(?!`)|`+)"
    rf"|{markup.LINE_BREAK.pattern}[ \t]*\n?",
    re.DOTALL | re.IGNORECASE,
)
"""A line break of HTML, or what is escaped or code, which is kept though it looks like one.

More than nine backticks mark no code here: where nothing closes them the text is read to its end, for each number anew.
"""


@dataclass(frozen=True, slots=True)
class _Start:
    """What may be a heading: its words, the line it stands on, the one where its text goes on, and what is between."""

    name: str
    line: int
    after: int
    rest: str = ""


def page(title: str, lesson: Lesson, data: bytes, filename: str) -> Page:
    """The page of a lesson that was read from `data`."""
    found = list(sections(lesson))
    source = _markdown_source(data, filename)
    texts = (_as_written(source, found, lesson.title) if source else None) or [_told(part.blocks) for part in found]
    parts = []
    if found[0].path:
        # Nothing stands between the title and the first heading, so that no section has the title.
        parts.append(Part(heading=title, text="", anchor=slug(lesson.title), level=1))
    for section, text in zip(found, texts, strict=True):
        heading = section.path[-1] if section.path else title
        level = min(1 + len(section.path), 6)
        parts.append(Part(heading=heading, text=text, anchor=section.anchor, level=level, ask=f"/explain {heading}"))
    return Page(name=slug(title), title=title, parts=tuple(parts))


def slug(title: str) -> str:
    """A title as the last part of an address."""
    return "-".join(re.findall(r"\w+", re.sub(r"['’]", "", title.casefold()))) or "lesson"


def _markdown_source(data: bytes, filename: str) -> str | None:
    """The text of a file that is Markdown; None for all others."""
    if data.startswith((b"%PDF-", b"PK\x03\x04")) or is_html(data, filename):
        return None
    closed, rest = author_wordings.parted(author_wordings.taken(decoded(data))[0])
    text = COMMENT.sub("", closed) + rest
    return re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL) if markup.is_marked(text) else None


def _as_written(source: str, found: Sequence[Section], title: str) -> list[str] | None:
    """The Markdown of each section. None where a heading is not found in it, or HTML stands between."""
    from markdown_it import MarkdownIt

    parse = MarkdownIt("commonmark").enable("table").parse
    if markup.LINE_BREAK.search(source):
        source = _with_breaks(source, parse(source))
    tokens = parse(source)
    if any(token.type == "html_block" or _has_html(token) for token in tokens):
        return None
    lines = source.split("\n")
    candidates = iter(_candidates(tokens))
    starts: list[_Start] = []
    for section in found:
        wanted = section.path[-1] if section.path else title
        start = next((candidate for candidate in candidates if candidate.name == wanted), None)
        if start is None and section.path:
            return None
        if start is None:
            start, candidates = _Start(title, 0, 0), iter(_candidates(tokens))
        starts.append(start)
    ends = [following.line for _, following in pairwise(starts)] + [len(lines)]
    texts = ["\n".join([start.rest, *lines[start.after : end]]) for start, end in zip(starts, ends, strict=True)]
    asked = [bool(section.path) and is_question(section.path[-1]) for section in found]
    return [answered(text.strip(), below_question=is_asked) for text, is_asked in zip(texts, asked, strict=True)]


def _with_breaks(source: str, tokens: Sequence[Token]) -> str:
    """With Markdown's line breaks in the place of HTML's, or blanks where a line cannot end."""
    lines = source.split("\n")
    moved: set[int] = set()
    for opening, inside in pairwise(tokens):
        if inside.map and _has_html(inside):
            gap = " " if opening.type in ("td_open", "th_open", "heading_open") else BREAK
            first, after = inside.map
            # As one, since code may go on from line to line.
            lines[first] = _without_html_breaks("\n".join(lines[first:after]), gap)
            moved.update(range(first + 1, after))
    return "\n".join(line for place, line in enumerate(lines) if place not in moved)


def _without_html_breaks(text: str, gap: str) -> str:
    return HTML_BREAK.sub(lambda found: found["kept"] or gap, text).removesuffix("\n")


def _has_html(token: Token) -> bool:
    return any(child.type == "html_inline" for child in token.children or ())


def _candidates(tokens: Sequence[Token]) -> Iterator[_Start]:
    for opening, inside in pairwise(tokens):
        if opening.level or not opening.map:
            continue
        first, after = opening.map
        if opening.type == "heading_open":
            yield _Start(_words(inside.children or ()), first, after)
        elif bold := BOLD.match(inside.content) if opening.type == "paragraph_open" else None:
            rest = inside.content[bold.end() :].partition("\n")[0].strip()
            yield _Start(bold["text"].strip().rstrip(":"), first, first + 1, rest)
        elif opening.type == "paragraph_open":
            line = _words(_until_break(inside.children or ()))
            yield _Start(ASKED.sub("", line).rstrip(":").strip(), first, first + 1)


def _until_break(children: Iterable[Token]) -> Iterable[Token]:
    for child in children:
        if child.type in ("softbreak", "hardbreak"):
            return
        yield child


def _words(children: Iterable[Token]) -> str:
    return " ".join("".join(child.content or " " * (child.type == "softbreak") for child in children).split())


def _told(blocks: Sequence[Block]) -> str:
    return "\n\n".join(_block(block) for block in blocks)


def _block(block: Block) -> str:
    match block:
        case Paragraph(text=text):
            return "\\\n".join(_escaped(line.rstrip()) for line in text.split("\n") if line.strip())
        case Items():
            return "\n".join(f"{mark} {_escaped(item)}" for mark, item in block.lines())
        case Code(text=text):
            return fenced(text)
        case Table(header=header, rows=rows):
            told = [[_cell(cell) for cell in row] for row in (header, *rows)]
            lines = [f"| {' | '.join(row)} |" for row in told]
            return "\n".join([lines[0], "|---" * len(header) + "|", *lines[1:]])
    raise TypeError(f"{type(block).__name__} is no block of a section")


def _cell(text: str) -> str:
    """`text` as a cell of a table, which a bar would end inside of code, too."""
    return CODE.sub(lambda code: code[0].replace("|", "\\|"), " ".join(_escaped(text).split()))


def _escaped(text: str) -> str:
    """`text` as Markdown that shows just these signs, and code as code."""
    signs = SIGNS.sub(lambda found: found["code"] or f"\\{found[0]}", text)
    return FIRST_SIGNS.sub(first_escaped, signs)
