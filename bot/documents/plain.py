"""Parses plain text into blocks: finds titles, questions, lists, tables and wrapped lines without any marks.

A line break is meant if the next word would still have fitted on the line; if each paragraph is one line, every line
break is meant. A title is a short line that does not end like a sentence. Bold lines and “#” count as well, so that
texts with a few marks can be read, too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bot.documents.blocks import Block, Heading, Items, Paragraph, make_table

if TYPE_CHECKING:
    from collections.abc import Iterator

FAQ = re.compile(
    r"\b(faqs?|frequently asked|questions? (and|&) answers?|q ?& ?a|common questions|häufige fragen|häufig gestellt\w*"
    r"|preguntas frecuentes)\b|\A(questions|fragen|preguntas)\Z",
    re.IGNORECASE,
)
MAX_WRAPPED_WIDTH = 160
"""The widest line of a text that was wrapped by hand."""
MAX_TITLE_CHARACTERS = 80
MAX_QUESTION_CHARACTERS = 200
BULLET = re.compile(r"\s*(?:[-*+•‣◦▪–—]|(\d{1,3}|[a-z])[.)])\s+(?=\S)")
BOLD = re.compile(r"(\*\*|__)(?P<text>[^*_]+?)\1:?")
HEADING_MARK = re.compile(r"#{1,6}\s+(?=\S)")
NUMBERED_LINE = re.compile(
    r"(?:lesson|chapter|unit|week|part|module|lektion|kapitel|teil|lección|capítulo|unidad) \d+\.?", re.IGNORECASE
)
"""A line such as “Lesson 7”, which is neither the lesson's title nor that of a section."""
HEADING_NUMBER = re.compile(r"(?:\d{1,2}(?:\.\d{1,2})*[.)]?|[IVX]+[.)])\s+")
RULE = re.compile(r"\s*([-=_*~])(\s*\1){2,}\s*")
QUESTION_LABEL = re.compile(r"\A(?P<mark>q(?:uestion)?|frage|f|pregunta|p)\s*(?:\d+\s*)?[:.)]\s+", re.IGNORECASE)
ANSWER_LABEL = re.compile(r"\A(?P<mark>a(?:nswer)?|antwort|respuesta|r)\s*(?:\d+\s*)?[:.)]\s+", re.IGNORECASE)
SENTENCE_END = (".", "!", "…", ";", ",", ":", "”", '"')
SMALL_WORDS = {"a", "an", "and", "as", "at", "by", "for", "from", "in", "is", "it", "of", "on", "or", "the", "to"}


def is_question(line: str) -> bool:
    """Return True if a line is one whole question and nothing else."""
    return line.endswith("?") and len(line) <= MAX_QUESTION_CHARACTERS and not re.search(r"[.!?]\s+[A-ZÄÖÜ¿]", line)


def labelled_question(line: str, following: str) -> str | None:
    """Return the question of a line with a label such as “Q:”; None if the line has none.

    A single letter is a label only before a question mark, or if the `following` line has the label of an answer: F may
    be a force, and A. somebody's first name.
    """
    label, answer = QUESTION_LABEL.match(line), ANSWER_LABEL.match(following)
    rest = line[label.end() :] if label else ""
    is_answered = answer is not None and "." not in answer[0]
    is_labelled = label is not None and (len(label["mark"]) > 1 or is_question(rest) or is_answered)
    return rest if is_labelled else None


def remove_answer_label(text: str, *, below_question: bool) -> str:
    """Return `text` without the label of an answer: a word such as “Answer:”, or below a question also a letter."""
    label = ANSWER_LABEL.match(text)
    return text[label.end() :] if label and (below_question or len(label["mark"]) > 1) else text


def read_plain(text: str) -> list[Block]:
    """Parse a plain text. The first title is the lesson's.

    The other titles have level 2. Level 3 have the questions of a FAQ, and the titles after a title without text: up to
    the next title without text, or, if their text follows on the next line, up to the next title above an empty line.
    """
    lines = [re.sub(r"[\t\f\v\xa0]", " ", line).rstrip() for line in text.split("\n")]
    return list(_set_levels(list(_LineReader(lines).read())))


def _set_levels(blocks: list[Block]) -> Iterator[Block]:
    """Set the levels of titles. A title's level on input is 3 if its text follows on the next line, and 2 otherwise."""
    is_first, in_faq, in_group, is_tight = True, False, False, False
    for block, following in zip(blocks, [*blocks[1:], None], strict=False):
        if not isinstance(block, Heading):
            yield block
            is_first = False
            continue
        if NUMBERED_LINE.fullmatch(block.text):
            yield Paragraph(block.text)
            continue
        is_faq = bool(FAQ.search(block.text))
        in_faq = is_faq or (in_faq and is_question(block.text))
        is_empty = isinstance(following, Heading) and not is_question(following.text)
        if in_faq or is_empty or (is_tight and block.level == 2):
            in_group = False
        yield Heading(1 if is_first else 3 if in_group or (in_faq and not is_faq) else 2, block.text)
        if is_empty and isinstance(following, Heading) and not is_first and not is_faq:
            in_group, is_tight = True, following.level == 3
        is_first = False


class _LineReader:
    """A cursor over lines, which reads the block at its position."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 0
        widest = max((len(line) for line in lines if line.count("|") < 2), default=0)
        self._width = widest if widest <= MAX_WRAPPED_WIDTH else 0
        """The width of a text that was wrapped by hand; 0 if each line is a paragraph."""

    def read(self) -> Iterator[Block]:
        """Yield all blocks."""
        below_question = False
        while self._at < len(self._lines):
            line = self._lines[self._at].strip()
            if not line or RULE.fullmatch(line):
                self._at += 1
                continue
            was_question, below_question = below_question, False
            if line.count("|") >= 2 or self._is_open_table():
                yield from self._read_table()
            elif (title := self._title()) is not None:
                below_question = is_question(title[0]) or self._labelled_question() is not None
                self._at += 1
                if title[0]:
                    yield Heading(3 if self._line() else 2, title[0])
                if title[1]:
                    yield Paragraph(title[1])
            elif BULLET.match(line):
                yield self._read_items()
            else:
                yield Paragraph(remove_answer_label(self._read_paragraph(), below_question=was_question))

    def _line(self, ahead: int = 0) -> str:
        place = self._at + ahead
        return self._lines[place].strip() if 0 <= place < len(self._lines) else ""

    def _next_filled_line(self) -> str:
        """Return the next line below the cursor that is not empty, or ""."""
        below = (self._lines[place].strip() for place in range(self._at + 1, len(self._lines)))
        return next(filter(None, below), "")

    def _title(self) -> tuple[str, str] | None:
        """Return the title or question at the cursor, and the rest of its line; None if there is neither."""
        line = self._line()
        if marked := HEADING_MARK.match(line):
            return _remove_number(line[marked.end() :].rstrip("#").rstrip()), ""
        if (question := self._labelled_question()) is not None:
            return question, ""
        if (bold := BOLD.match(line)) and (bold.end() == len(line) or is_question(bold["text"].strip())):
            return bold["text"].strip().rstrip(":"), remove_answer_label(
                line[bold.end() :].strip(), below_question=True
            )
        bare = _remove_number(line)
        if is_question(bare) and self._is_beginning() and not self._is_in_question_list():
            return bare, ""
        return (bare, "") if self._is_plain_title(line, bare) else None

    def _labelled_question(self) -> str | None:
        return labelled_question(self._line(), self._next_filled_line())

    def _is_beginning(self) -> bool:
        """Return True if the line does not continue the one before."""
        before = self._line(-1)
        return not before or not self._runs_on(self._at - 1)

    def _is_in_question_list(self) -> bool:
        """Return True if the line is in a list of questions without answers."""
        after = self._next_filled_line()
        return bool(BULLET.match(self._line())) and (
            not after or (bool(BULLET.match(after)) and not HEADING_NUMBER.match(after))
        )

    def _is_plain_title(self, line: str, bare: str) -> bool:
        if not bare or len(bare) > MAX_TITLE_CHARACTERS or bare.endswith(SENTENCE_END) or not self._is_beginning():
            return False
        if not (bare[0].isupper() or bare[0].isdigit() or bare[0] in "“\"'‘¿") or len(bare.split()) > 12:
            return False
        after = self._line(1)
        if BULLET.match(line) and (
            not HEADING_NUMBER.match(line) or BULLET.match(after) or (not after and not _is_capitalised(bare))
        ):
            return False
        if not after:
            return bool(self._next_filled_line())
        return not self._runs_on(self._at) and (len(after) > len(line) or self._may_follow_title(after))

    def _may_follow_title(self, after: str) -> bool:
        """Return True if a line can follow a longer title: as a list item, a table row or another title."""
        return bool(BULLET.match(after)) or "|" in after or is_question(after) or not after.endswith(SENTENCE_END)

    def _runs_on(self, place: int) -> bool:
        """Return True if the next line continues the one at `place`, because a word did not fit on it."""
        line, after = (
            self._lines[place].rstrip(),
            self._lines[place + 1].strip() if place + 1 < len(self._lines) else "",
        )
        if not line or not after or not self._width:
            return False
        fitted = len(line) + 1 + len(after.split()[0]) <= self._width
        return not fitted or not (line.endswith((".", "!", "?", ":", "…")) or after[0].isupper() or after[0] in '“"¿')

    def _read_paragraph(self) -> str:
        lines = [self._line()]
        while self._runs_on(self._at) and not BULLET.match(self._line(1)) and self._line(1).count("|") < 2:
            self._at += 1
            lines.append(self._line())
        self._at += 1
        return " ".join(lines)

    def _read_items(self) -> Items:
        items: list[str] = []
        number = re.match(r"\d+", self._line())
        ordered = number is not None
        while (
            (mark := BULLET.match(self._lines[self._at] if self._at < len(self._lines) else ""))
            and self._line()[0].isdigit() == ordered
            and (not items or self._title() is None)
        ):
            first = self._line()
            items.append(self._read_paragraph().removeprefix(first[: len(mark[0].strip())]).strip())
            gap = next((n for n in range(2) if self._line(n)), 0)
            if BULLET.match(self._line(gap)):
                self._at += gap
        return Items(tuple(items), ordered, int(number[0]) if number else 1)

    def _is_open_table(self) -> bool:
        """Return True if two rows of a table without outer bars begin at the cursor."""
        return "|" in self._line() and "|" in self._line(1)

    def _read_table(self) -> Iterator[Block]:
        rows = []
        while "|" in (line := self._line()):
            cells = [_remove_bold(cell.strip()) for cell in line.strip("|").split("|")]
            if not all(re.fullmatch(r":?-+:?", cell) for cell in cells if cell):
                rows.append(cells)
            self._at += 1
        if table := make_table(rows):
            yield table


def _remove_number(line: str) -> str:
    """Return a title without its number and without marks of bold."""
    number = HEADING_NUMBER.match(line)
    return _remove_bold(line[number.end() :] if number else line).strip()


def _remove_bold(text: str) -> str:
    return re.sub(r"(\*\*|__|`)(.+?)\1", r"\2", text)


def _is_capitalised(title: str) -> bool:
    words = [word for word in re.findall(r"\w+", title) if word.lower() not in SMALL_WORDS]
    return bool(words) and sum(word[0].isupper() for word in words) * 2 > len(words)
