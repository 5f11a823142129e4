"""Splits a lesson into passages: the pieces of its text that can be an answer.

A passage is the text under one heading, or a part of it if it is long; the answer to one question of a FAQ; or one row
of a table, with the names of the columns, so that it can be understood alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Literal

from bot.documents.blocks import BREAK, Block, Code, Heading, Items, Paragraph, Table
from bot.documents.parse import ParsedDocument
from bot.documents.plain import FAQ, is_question, remove_answer_label
from bot.documents.to_markdown import escape, fence, to_plain, unwrap_code

MAX_CHARACTERS = 1600
"""The longest passage, before escapes. A longer section becomes several, each of whole paragraphs, sentences or lines
if it has some."""
SENTENCE_END = re.compile(
    r"(?<=[.!?…][”\"’)])\s+|(?<=[.!?…])\s+(?=\S)|(?<=[。！？][”’』」）])\s*|(?<=[。！？])(?![”’』」）])\s*"
)


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a lesson.

    `path` are the headings above it, outermost first and without the lesson's title; it is empty for the text before
    the first heading. `question` is the heading if it is a question. `text` is Markdown. `anchor` is the id of the
    section on the lesson's page; all passages of a section share it. A passage of the kind "overview" stands for a
    heading without text and lists the sections below it. `wordings` are further wordings of questions that the passage
    answers.
    """

    lesson_title: str
    path: tuple[str, ...]
    question: str | None
    text: str
    anchor: str
    kind: Literal["text", "row", "overview"] = "text"
    wordings: tuple[str, ...] = ()

    @property
    def plain_text(self) -> str:
        """The text without Markdown, for search and for language models."""
        return to_plain(self.text)

    @property
    def heading(self) -> str:
        """The nearest heading above it; the lesson's title if there is none."""
        return self.path[-1] if self.path else self.lesson_title

    @property
    def topic(self) -> str:
        """The outermost heading above it; the lesson's title if there is none."""
        return self.path[0] if self.path else self.lesson_title

    @property
    def size(self) -> int:
        """The number of characters of all that is searched."""
        return sum(map(len, (self.text, *self.path, *self.wordings)))

    @property
    def section_key(self) -> tuple[str, str]:
        """The lesson and the anchor, which all passages of a section share, and no others."""
        return self.lesson_title, self.anchor


@dataclass(slots=True)
class Section:
    """The blocks under one heading; `path` and `anchor` are those of its passages."""

    path: tuple[str, ...]
    anchor: str
    blocks: list[Block]


def split_passages(lesson: ParsedDocument) -> list[Passage]:
    """Return all passages of a lesson, in order."""
    sections = list(split_sections(lesson))
    return [passage for place, _ in enumerate(sections) for passage in _section_passages(lesson, sections, place)]


def _section_passages(lesson: ParsedDocument, sections: Sequence[Section], place: int) -> Iterator[Passage]:
    """Yield the passages of the section at `place`."""
    section = sections[place]
    heading = section.path[-1] if section.path else lesson.title
    question = heading if is_question(heading) else None
    make = partial(Passage, lesson.title, section.path, question, anchor=section.anchor)
    wordings = lesson.wordings.get(heading, ())
    for number, text in enumerate(_section_texts(section.blocks)):
        yield make(text=text, wordings=() if number else wordings)
    for block in section.blocks:
        if isinstance(block, Table):
            yield from (
                make(text=escape(text), kind="row") for row in _row_lines(block) for text in _split_long_text(row)
            )
    if not section.blocks and not FAQ.search(heading):
        for number, text in enumerate(_group_lines(_overview_lines(sections, place))):
            yield make(text=text, kind="overview", wordings=() if number else wordings)


def _overview_lines(sections: Sequence[Section], place: int) -> Iterator[str]:
    """Yield a line for each section with text below the heading of the one at `place`."""
    path = sections[place].path
    depth = len(path)
    following = (sections[number] for number in range(place + 1, len(sections)))
    # It stops at the next heading of the same name: many of them would otherwise take quadratic time.
    for section in takewhile(lambda section: len(section.path) > depth and section.path[:depth] == path, following):
        if section.blocks:
            yield f"- {escape(section.path[depth])}: {escape(_first_sentence(section))}"


def split_sections(lesson: ParsedDocument) -> Iterator[Section]:
    """Yield the sections of a lesson in order. The first one is the text above all headings, and may be empty."""
    stack: list[tuple[int, str]] = []
    used: dict[str, int] = {}
    section = Section((), _make_anchor(lesson.title, used), [])
    for block in _add_question_headings(lesson.blocks):
        if not isinstance(block, Heading):
            section.blocks.append(block)
        elif section.path or section.blocks or block.text != lesson.title:
            if section.path or section.blocks:
                yield section
            while stack and stack[-1][0] >= block.level:
                stack.pop()
            stack.append((block.level, block.text))
            path = tuple(text for _, text in stack if text != lesson.title)
            section = Section(path, _make_anchor(block.text, used), [])
    yield section


def topics_by_lesson(passages: Iterable[Passage]) -> dict[str, tuple[str, ...]]:
    """Return the headings right below the title of each lesson, except that of a FAQ, which names no subject."""
    topics: dict[str, dict[str, None]] = {}
    for passage in passages:
        own = topics.setdefault(passage.lesson_title, {})
        if passage.path and not FAQ.search(passage.topic):
            own[passage.topic] = None
    return {title: tuple(own) for title, own in topics.items()}


def _first_sentence(section: Section) -> str:
    return next(iter(split_sentences(to_plain(next(iter(_section_texts(section.blocks)), "")))), "")


def _add_question_headings(blocks: Sequence[Block]) -> Iterator[Block]:
    """Yield the blocks, and a heading in place of each question that a paragraph asks and the next lines answer."""
    in_faq, faq_level = False, 0
    for place, block in enumerate(blocks):
        if isinstance(block, Heading) and (FAQ.search(block.text) or block.level <= faq_level):
            in_faq = bool(FAQ.search(block.text))
            faq_level = block.level if in_faq else 0
        if isinstance(block, Items) and (answered := _answered_questions(block)):
            for item_question, item_answer in answered:
                yield from (Heading(6, unwrap_code(item_question)), Paragraph(item_answer))
            continue
        if not isinstance(block, Paragraph):
            yield block
            continue
        question, _, answer = block.text.partition("\n") if in_faq else (block.text, "", "")
        is_last = place + 1 == len(blocks) or isinstance(blocks[place + 1], Heading)
        if "\n" not in question and is_question(question.strip()) and (answer.strip() or not is_last):
            yield Heading(6, unwrap_code(question.strip()))
            yield from [Paragraph(answer.strip())] if answer.strip() else []
        else:
            yield block


def _answered_questions(block: Items) -> list[tuple[str, str]]:
    """Return the question and the answer of each item of a list; nothing unless each item has both."""
    parts = [SENTENCE_END.split(item, maxsplit=1) for item in block.items]
    answered = [(part[0], remove_answer_label(part[1], below_question=True)) for part in parts if len(part) == 2]
    is_faq = len(answered) == len(parts) and all(
        is_question(question) and not is_question(answer) for question, answer in answered
    )
    return answered if is_faq else []


def _make_anchor(heading: str, used: dict[str, int]) -> str:
    """Return an id for the lesson's page, with a number if `used` has the id already."""
    return make_distinct(hyphenate(unicodedata.normalize("NFKC", heading)) or "section", used)


def hyphenate(text: str) -> str:
    """Return the words of a text in lower case, joined by hyphens."""
    return "-".join(re.findall(r"\w+", re.sub(r"['’]", "", text.casefold())))


def make_distinct(name: str, used: dict[str, int]) -> str:
    """Return `name`, with a number if it is `used`; adds it to `used`, which counts the uses of each name."""
    distinct, count = name, used.get(name, 0)
    while distinct in used:
        count += 1
        distinct = f"{name}-{count}"
    used[distinct] = 1
    used[name] = max(count, 1)
    return distinct


def _section_texts(blocks: Sequence[Block]) -> list[str]:
    """Return the blocks of a section as Markdown, joined to texts that fit a passage."""
    texts: list[str] = []
    for text in (text for block in blocks for text in _block_texts(block)):
        if texts and len(texts[-1]) + len(text) <= MAX_CHARACTERS:
            texts[-1] += f"\n\n{text}"
        else:
            texts.append(text)
    return texts


def _block_texts(block: Block) -> Iterator[str]:
    """Yield a block as Markdown, in several texts if it is too long for a passage."""
    match block:
        case Paragraph(text=text):
            lines = BREAK.join(filter(None, (" ".join(line.split()) for line in text.split(BREAK))))
            yield from map(escape, _split_long_text(lines))
        case Items():
            yield from _group_lines(_item_lines(block.lines()))
        case Table():
            yield from _group_lines(_item_lines(("-", row) for row in _row_lines(block)))
        case Code(text=text):
            lines_of_code = (part for line in text.splitlines() for part in _split_long_text(line))
            yield from (fence(code) for code in _group_lines(lines_of_code) if code.strip())


def _item_lines(items: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield list items as lines, each after its mark; an item that is too long for a passage becomes several lines."""
    for mark, item in items:
        first, *others = map(escape, _split_long_text(item))
        yield f"{mark} {first}"
        yield from others


def _group_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines joined to texts that fit a passage."""
    group: list[str] = []
    length = 0
    for line in lines:
        if group and length + len(line) > MAX_CHARACTERS:
            yield "\n".join(group)
            group, length = [], 0
        group.append(line)
        length += len(line) + 1
    if group:
        yield "\n".join(group)


def _split_long_text(text: str) -> Iterator[str]:
    """Yield a text in pieces that fit a passage: of whole sentences, or of whole words, or else cut anywhere."""
    start = 0
    while len(text) - start > MAX_CHARACTERS:
        gaps = SENTENCE_END.finditer(text, start, start + MAX_CHARACTERS + 2)
        ends = [gap.end() for gap in gaps if 0 < gap.start() - start <= MAX_CHARACTERS]
        end = ends[-1] if ends else 1 + text.rfind(" ", start + 1, start + MAX_CHARACTERS) or start + MAX_CHARACTERS
        yield text[start:end].strip()
        start = end
    yield text[start:].strip() if start else text


def split_sentences(text: str) -> list[str]:
    """Return the sentences, list items and lines of a text."""
    lines = (re.sub(r"^(?:-|\d+\.) ", "", line.strip()) for line in text.splitlines())
    return [part for line in lines for part in SENTENCE_END.split(line) if part]


def _row_lines(block: Table) -> list[str]:
    """Return each row as a line that can be read without the table: its name, then each cell with its column's name."""
    lines = []
    for row in block.rows:
        cells = [
            f"{name}: {cell}" if name else cell for name, cell in zip(block.header[1:], row[1:], strict=True) if cell
        ]
        text = "; ".join(cell.removesuffix(".") for cell in cells)
        text += "" if text.endswith(("!", "?", "…")) else "."
        lines.append(f"{row[0]}: {text}" if row[0] and cells else row[0] or text)
    return lines
