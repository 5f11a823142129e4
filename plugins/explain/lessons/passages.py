"""From a lesson's blocks to passages: the pieces of its text that can be an answer.

A passage is what stands under one heading, or a part of it where that is long; the answer to one question of a FAQ; or
one row of a table, with the names of the columns, so that it makes sense alone.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Literal

from plugins.explain.lessons.blocks import BREAK, Block, Code, Heading, Items, Paragraph, Table
from plugins.explain.lessons.plain import FAQ, is_question
from plugins.explain.lessons.to_markdown import CODE, escaped, fenced, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from plugins.explain.lessons.parse import Lesson

LONGEST = 1600
"""Characters of a passage, of which a few more may be escaped; a longer section becomes several, each of whole
paragraphs, sentences or lines where it has some."""
SENTENCE_END = re.compile(
    r"(?<=[.!?…][”\"’)])\s+|(?<=[.!?…])\s+(?=\S)|(?<=[。！？][”’』」）])\s*|(?<=[。！？])(?![”’』」）])\s*"
)


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a lesson.

    `path` are the headings above it, outermost first and without the lesson's title; it is empty for what stands before
    the first of them. `question` is the heading if it asks something. `text` is Markdown. `anchor` is the id of the
    section on the lesson's page; parts and rows of a section share it. An overview stands for a heading that has no
    text of its own: it names what is below it. `asked` are further wordings of what the passage answers.
    """

    lesson: str
    path: tuple[str, ...]
    question: str | None
    text: str
    anchor: str
    kind: Literal["text", "row", "overview"] = "text"
    asked: tuple[str, ...] = ()

    @property
    def plain(self) -> str:
        """Its text without marks, for search and for language models."""
        return plain(self.text)

    @property
    def heading(self) -> str:
        """The heading right above it; the lesson's title if there is none."""
        return self.path[-1] if self.path else self.lesson

    @property
    def topic(self) -> str:
        """The outermost heading above it, for lists of what there is to ask about."""
        return self.path[0] if self.path else self.lesson


@dataclass(slots=True)
class Section:
    """What stands under one heading; `path` and `anchor` are those of its passages."""

    path: tuple[str, ...]
    anchor: str
    blocks: list[Block]


def passages(lesson: Lesson) -> list[Passage]:
    """All passages of a lesson, in order."""
    found = list(sections(lesson))
    return [passage for place, _ in enumerate(found) for passage in _of_section(lesson, found, place)]


def _of_section(lesson: Lesson, found: Sequence[Section], place: int) -> Iterator[Passage]:
    """The passages of the section at `place`; those after it may belong to it."""
    section = found[place]
    heading = section.path[-1] if section.path else lesson.title
    question = heading if is_question(heading) else None
    make = partial(Passage, lesson.title, section.path, question, anchor=section.anchor)
    asked = lesson.asked.get(heading, ())
    for number, text in enumerate(_texts(section.blocks)):
        yield make(text=text, asked=() if number else asked)
    for block in section.blocks:
        if isinstance(block, Table):
            yield from (make(text=escaped(text), kind="row") for row in _rows(block) for text in _cut(row))
    if not section.blocks and not FAQ.search(heading):
        for number, text in enumerate(_grouped(_overview(found, place))):
            yield make(text=text, kind="overview", asked=() if number else asked)


def _overview(found: Sequence[Section], place: int) -> Iterator[str]:
    """A line for each section below the one at `place` that has text."""
    path = found[place].path
    depth = len(path)
    below = (found[number] for number in range(place + 1, len(found)))
    # Not on to the next of the same name: where many have one, that would be read again for each of them.
    for part in takewhile(lambda part: len(part.path) > depth and part.path[:depth] == path, below):
        if part.blocks:
            yield f"- {escaped(part.path[depth])}: {escaped(_first_sentence(part))}"


def sections(lesson: Lesson) -> Iterator[Section]:
    """The sections of a lesson in order. The first may stand above all headings and be empty."""
    stack: list[tuple[int, str]] = []
    taken: dict[str, int] = {}
    section = Section((), _anchor(lesson.title, taken), [])
    for block in _with_questions(lesson.blocks):
        if not isinstance(block, Heading):
            section.blocks.append(block)
        elif section.path or section.blocks or block.text != lesson.title:
            if section.path or section.blocks:
                yield section
            while stack and stack[-1][0] >= block.level:
                stack.pop()
            stack.append((block.level, block.text))
            path = tuple(text for _, text in stack if text != lesson.title)
            section = Section(path, _anchor(block.text, taken), [])
    yield section


def topics(passages: Iterable[Passage]) -> dict[str, tuple[str, ...]]:
    """The headings right below each lesson's title, by lesson, save that of a FAQ, which does not tell its subject."""
    found: dict[str, dict[str, None]] = {}
    for passage in passages:
        own = found.setdefault(passage.lesson, {})
        if passage.path and not FAQ.search(passage.topic):
            own[passage.topic] = None
    return {lesson: tuple(own) for lesson, own in found.items()}


def _first_sentence(section: Section) -> str:
    return next(iter(sentences(plain(next(iter(_texts(section.blocks)), "")))), "")


def _with_questions(blocks: Sequence[Block]) -> Iterator[Block]:
    """With a heading for each question that a paragraph asks and the next lines answer."""
    in_faq, faq_level = False, 0
    for place, block in enumerate(blocks):
        if isinstance(block, Heading) and (FAQ.search(block.text) or block.level <= faq_level):
            in_faq = bool(FAQ.search(block.text))
            faq_level = block.level if in_faq else 0
        if not isinstance(block, Paragraph):
            yield block
            continue
        question, _, answer = block.text.partition("\n") if in_faq else (block.text, "", "")
        is_last = place + 1 == len(blocks) or isinstance(blocks[place + 1], Heading)
        if "\n" not in question and is_question(question.strip()) and (answer.strip() or not is_last):
            yield Heading(6, CODE.sub(lambda found: found[0][1:-1], question.strip()))
            yield from [Paragraph(answer.strip())] if answer.strip() else []
        else:
            yield block


def _anchor(heading: str, taken: dict[str, int]) -> str:
    """An id for the web page: words in small letters with hyphens, and a number where it was taken."""
    folded = unicodedata.normalize("NFKC", heading).casefold()
    return distinct("-".join(re.findall(r"\w+", re.sub(r"['’]", "", folded))) or "section", taken)


def distinct(name: str, taken: dict[str, int]) -> str:
    """`name`, with a number where it was taken; `taken` holds how often each was."""
    free, count = name, taken.get(name, 0)
    while free in taken:
        count += 1
        free = f"{name}-{count}"
    taken[free] = 1
    taken[name] = max(count, 1)
    return free


def _texts(blocks: Sequence[Block]) -> list[str]:
    """The blocks of a section as Markdown, joined to pieces that are not too long."""
    pieces: list[str] = []
    for part in (part for block in blocks for part in _markdown(block)):
        if pieces and len(pieces[-1]) + len(part) <= LONGEST:
            pieces[-1] += f"\n\n{part}"
        else:
            pieces.append(part)
    return pieces


def _markdown(block: Block) -> Iterator[str]:
    match block:
        case Paragraph(text=text):
            lines = BREAK.join(filter(None, (" ".join(line.split()) for line in text.split(BREAK))))
            yield from map(escaped, _cut(lines))
        case Items():
            yield from _grouped(_marked(block.lines()))
        case Table():
            yield from _grouped(_marked(("-", row) for row in _rows(block)))
        case Code(text=text):
            lines_of_code = (part for line in text.splitlines() for part in _cut(line))
            yield from (fenced(code) for code in _grouped(lines_of_code) if code.strip())


def _marked(items: Iterable[tuple[str, str]]) -> Iterator[str]:
    """List items as lines, each with its mark; one that is too long for a passage becomes several."""
    for mark, item in items:
        first, *others = map(escaped, _cut(item))
        yield f"{mark} {first}"
        yield from others


def _grouped(lines: Iterable[str]) -> Iterator[str]:
    """Lines joined to pieces that are not too long."""
    group: list[str] = []
    length = 0
    for line in lines:
        if group and length + len(line) > LONGEST:
            yield "\n".join(group)
            group, length = [], 0
        group.append(line)
        length += len(line) + 1
    if group:
        yield "\n".join(group)


def _cut(text: str) -> Iterator[str]:
    """A text in pieces that are not too long: of whole sentences, or else of whole words, as far as it has any."""
    at = 0
    while len(text) - at > LONGEST:
        found = SENTENCE_END.finditer(text, at, at + LONGEST + 2)
        ends = [gap.end() for gap in found if 0 < gap.start() - at <= LONGEST]
        end = ends[-1] if ends else 1 + text.rfind(" ", at + 1, at + LONGEST) or at + LONGEST
        yield text[at:end].strip()
        at = end
    yield text[at:].strip() if at else text


def sentences(text: str) -> list[str]:
    """The sentences, list items and lines of a text."""
    lines = (re.sub(r"^(?:-|\d+\.) ", "", line.strip()) for line in text.splitlines())
    return [part for line in lines for part in SENTENCE_END.split(line) if part]


def _rows(block: Table) -> list[str]:
    """Each row as a line that needs no table around it: its name, then every cell with its column's name."""
    lines = []
    for row in block.rows:
        cells = [
            f"{name}: {cell}" if name else cell for name, cell in zip(block.header[1:], row[1:], strict=True) if cell
        ]
        told = "; ".join(cell.removesuffix(".") for cell in cells)
        told += "" if told.endswith(("!", "?", "…")) else "."
        lines.append(f"{row[0]}: {told}" if row[0] and cells else row[0] or told)
    return lines
