"""Text without marks: which of its lines are titles, questions, list items, table rows, and which run on.

A line break is meant where the next word would still have fitted on the line; in a text whose paragraphs are one line
each, every break is. A title is a short line that does not end like a sentence. Bold lines and “#” count as well, so
that half-marked texts are read, too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from plugins.explain.lessons.blocks import Block, Heading, Items, Paragraph, table

if TYPE_CHECKING:
    from collections.abc import Iterator

FAQ = re.compile(
    r"\b(faqs?|frequently asked|questions? (and|&) answers?|q ?& ?a|common questions|häufige fragen|häufig gestellt\w*"
    r"|preguntas frecuentes)\b",
    re.IGNORECASE,
)
WRAPPED = 160
"""Nobody wraps lines by hand wider than this."""
LONGEST_TITLE = 80
LONGEST_QUESTION = 200
BULLET = re.compile(r"\s*(?:[-*+•‣◦▪–—]|(\d{1,3}|[a-z])[.)])\s+(?=\S)")
BOLD = re.compile(r"(\*\*|__)(?P<text>[^*_]+?)\1:?")
MARK = re.compile(r"#{1,6}\s+(?=\S)")
NUMBERED = re.compile(
    r"(?:lesson|chapter|unit|week|part|module|lektion|kapitel|teil|lección|capítulo|unidad) \d+\.?", re.IGNORECASE
)
"""A line that only counts, and is neither the lesson's title nor one of its sections."""
NUMBER = re.compile(r"(?:\d{1,2}(?:\.\d{1,2})*[.)]?|[IVX]+[.)])\s+")
RULE = re.compile(r"\s*([-=_*~])(\s*\1){2,}\s*")
ASKED = re.compile(r"\A(?P<mark>q(?:uestion)?|frage|f|pregunta|p)\s*(?:\d+\s*)?[:.)]\s+", re.IGNORECASE)
ANSWERED = re.compile(r"\A(?P<mark>a(?:nswer)?|antwort|respuesta|r)\s*(?:\d+\s*)?[:.)]\s+", re.IGNORECASE)
SENTENCE_END = (".", "!", "…", ";", ",", ":", "”", '"')
SMALL_WORDS = {"a", "an", "and", "as", "at", "by", "for", "from", "in", "is", "it", "of", "on", "or", "the", "to"}


def is_question(line: str) -> bool:
    """Whether a line is one whole question and nothing else."""
    return line.endswith("?") and len(line) <= LONGEST_QUESTION and not re.search(r"[.!?]\s+[A-ZÄÖÜ¿]", line)


def asked(line: str, following: str) -> str | None:
    """What is asked in a line that is marked as a question; None if it is not.

    One letter is a mark only of what looks like a question or has a marked answer `following`: F may be a force, and
    A. somebody's first name.
    """
    found, answer = ASKED.match(line), ANSWERED.match(following)
    rest = line[found.end() :] if found else ""
    is_answered = answer is not None and "." not in answer[0]
    is_sure = found is not None and (len(found["mark"]) > 1 or is_question(rest) or is_answered)
    return rest if is_sure else None


def answered(text: str, *, below_question: bool) -> str:
    """`text` without the mark of an answer: a word, or below a question also one letter."""
    found = ANSWERED.match(text)
    is_sure = found is not None and (below_question or len(found["mark"]) > 1)
    return text[found.end() :] if found and is_sure else text


def blocks(text: str) -> list[Block]:
    """Read a text without marks. The first title is the lesson's.

    Below the others are the questions of a FAQ, and the titles that follow a title without text. These go on to the
    next title without text; where their text follows on the next line, to the next that stands alone.
    """
    lines = [re.sub(r"[\t\f\v\xa0]", " ", line).rstrip() for line in text.split("\n")]
    return list(_levelled(list(_Lines(lines).read())))


def _levelled(read: list[Block]) -> Iterator[Block]:
    """With the levels that these titles have; so far 3 means that their text follows on the next line."""
    first, in_faq, in_group, is_tight = True, False, False, False
    for block, follows in zip(read, [*read[1:], None], strict=False):
        if not isinstance(block, Heading):
            yield block
            first = False
            continue
        if NUMBERED.fullmatch(block.text):
            yield Paragraph(block.text)
            continue
        is_faq = bool(FAQ.search(block.text))
        in_faq = is_faq or (in_faq and is_question(block.text))
        is_empty = isinstance(follows, Heading) and not is_question(follows.text)
        if in_faq or is_empty or (is_tight and block.level == 2):
            in_group = False
        yield Heading(1 if first else 3 if in_group or (in_faq and not is_faq) else 2, block.text)
        if is_empty and isinstance(follows, Heading) and not first and not is_faq:
            in_group, is_tight = True, follows.level == 3
        first = False


class _Lines:
    """A cursor over lines, which tells what kind of thing stands at it."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 0
        running = [line for line in lines if line.count("|") < 2]
        widest = max(map(len, running), default=0)
        self._width = widest if widest <= WRAPPED else 0
        """How wide a hand-wrapped text is; 0 where each line is a paragraph."""

    def read(self) -> Iterator[Block]:
        below_question = False
        while self._at < len(self._lines):
            line = self._lines[self._at].strip()
            if not line or RULE.fullmatch(line):
                self._at += 1
                continue
            was_question, below_question = below_question, False
            if line.count("|") >= 2 or self._is_open_table():
                yield from self._table()
            elif (title := self._title()) is not None:
                below_question = is_question(title[0]) or self._asked() is not None
                self._at += 1
                if title[0]:
                    yield Heading(3 if self._line() else 2, title[0])
                if title[1]:
                    yield Paragraph(title[1])
            elif BULLET.match(line):
                yield self._items()
            else:
                yield Paragraph(answered(self._paragraph(), below_question=was_question))

    def _line(self, ahead: int = 0) -> str:
        place = self._at + ahead
        return self._lines[place].strip() if 0 <= place < len(self._lines) else ""

    def _next_words(self) -> str:
        """The next line below the cursor that is not empty, or ""."""
        below = (self._lines[place].strip() for place in range(self._at + 1, len(self._lines)))
        return next(filter(None, below), "")

    def _title(self) -> tuple[str, str] | None:
        """The title or question at the cursor, and what follows it on the line; None if there is neither."""
        line = self._line()
        if marked := MARK.match(line):
            return _bare(line[marked.end() :].rstrip("#").rstrip()), ""
        if (question := self._asked()) is not None:
            return question, ""
        if (bold := BOLD.match(line)) and (bold.end() == len(line) or is_question(bold["text"].strip())):
            return bold["text"].strip().rstrip(":"), answered(line[bold.end() :].strip(), below_question=True)
        bare = _bare(line)
        if is_question(bare) and self._begins() and not self._asks_on():
            return bare, ""
        return (bare, "") if self._is_plain_title(line, bare) else None

    def _asked(self) -> str | None:
        return asked(self._line(), self._next_words())

    def _begins(self) -> bool:
        """Whether the line begins something: nothing runs on into it."""
        before = self._line(-1)
        return not before or not self._runs_on(self._at - 1)

    def _asks_on(self) -> bool:
        """Whether a list of questions goes on, which nobody answers here."""
        after = self._next_words()
        return bool(BULLET.match(self._line())) and (
            not after or (bool(BULLET.match(after)) and not NUMBER.match(after))
        )

    def _is_plain_title(self, line: str, bare: str) -> bool:
        if not bare or len(bare) > LONGEST_TITLE or bare.endswith(SENTENCE_END) or not self._begins():
            return False
        if not (bare[0].isupper() or bare[0].isdigit() or bare[0] in "“\"'‘¿") or len(bare.split()) > 12:
            return False
        after = self._line(1)
        if BULLET.match(line) and (
            not NUMBER.match(line) or BULLET.match(after) or (not after and not _capitalised(bare))
        ):
            return False
        if not after:
            return bool(self._next_words())
        return not self._runs_on(self._at) and (len(after) > len(line) or self._opens(after))

    def _opens(self, after: str) -> bool:
        """Whether the next line can follow a title though it is no longer than it: a list, a table, another title."""
        return bool(BULLET.match(after)) or "|" in after or is_question(after) or not after.endswith(SENTENCE_END)

    def _runs_on(self, place: int) -> bool:
        """Whether the line at `place` goes on in the next one, because a word had no room."""
        line, after = (
            self._lines[place].rstrip(),
            self._lines[place + 1].strip() if place + 1 < len(self._lines) else "",
        )
        if not line or not after or not self._width:
            return False
        fitted = len(line) + 1 + len(after.split()[0]) <= self._width
        return not fitted or not (line.endswith((".", "!", "?", ":", "…")) or after[0].isupper() or after[0] in '“"¿')

    def _paragraph(self) -> str:
        taken = [self._line()]
        while self._runs_on(self._at) and not BULLET.match(self._line(1)) and self._line(1).count("|") < 2:
            self._at += 1
            taken.append(self._line())
        self._at += 1
        return " ".join(taken)

    def _items(self) -> Items:
        items: list[str] = []
        number = re.match(r"\d+", self._line())
        ordered = number is not None
        while (
            (mark := BULLET.match(self._lines[self._at] if self._at < len(self._lines) else ""))
            and self._line()[0].isdigit() == ordered
            and (not items or self._title() is None)
        ):
            first = self._line()
            items.append((self._paragraph()).removeprefix(first[: len(mark[0].strip())]).strip())
            gap = next((n for n in range(2) if self._line(n)), 0)
            if BULLET.match(self._line(gap)):
                self._at += gap
        return Items(tuple(items), ordered, int(number[0]) if number else 1)

    def _is_open_table(self) -> bool:
        """Whether two rows of two cells stand here without outer bars."""
        return "|" in self._line() and "|" in self._line(1)

    def _table(self) -> Iterator[Block]:
        rows = []
        while "|" in (line := self._line()):
            cells = [_plain(cell.strip()) for cell in line.strip("|").split("|")]
            if not all(re.fullmatch(r":?-+:?", cell) for cell in cells if cell):
                rows.append(cells)
            self._at += 1
        if made := table(rows):
            yield made


def _bare(line: str) -> str:
    """A title without its number and without the marks of bold."""
    number = NUMBER.match(line)
    return _plain(line[number.end() :] if number else line).strip()


def _plain(text: str) -> str:
    return re.sub(r"(\*\*|__|`)(.+?)\1", r"\2", text)


def _capitalised(title: str) -> bool:
    words = [word for word in re.findall(r"\w+", title) if word.lower() not in SMALL_WORDS]
    return bool(words) and sum(word[0].isupper() for word in words) * 2 > len(words)
