"""Finds what stands in a lesson word for word, whatever its capitals, signs and blanks: headings and questions.

Such a question needs no search and no model: whoever asks it gets the passage, always the same one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from bot.documents.plain import HEADING_NUMBER, QUESTION_LABEL, is_question
from plugins.explain.lessons.passages import Passage, split_sentences
from plugins.explain.search.words.vocabulary import FILLER_WORDS, fold, words

QUESTION = re.compile(r"[^?？]+[?？]")
QUOTATION_MARKS = re.compile(r"[“”„«»\"‹›]")
SIGN = re.compile(r"([+=<>×÷±√^#%])")
MIN_WORDS = 3
"""The words that a question within running text must have; a shorter one, as “Why?”, may mean anything."""


class LiteralQuestions:
    """The headings, further wordings and questions of some passages, each with the position of its passage.

    Texts are compared with all signs first, since “What is 3 + 4?” is not “What is 3 · 4?”; then by their words; then
    without numbers, labels and filler words. Of several passages with the same text, the first one counts.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        sections = Counter(heading for heading, _ in {(one.heading.casefold(), one.section_key) for one in passages})
        self._positions: tuple[dict[str, int], ...] = ({}, {}, {})
        for texts_of in (_titles, _questions_within):
            for position, passage in enumerate(passages):
                for text in texts_of(passage):
                    # A heading such as “Summary” may stand in many sections, and leads to none of them alone.
                    if is_question(text) or sections[text.casefold()] < 2:
                        self._add(text, position)

    def find(self, question: str) -> int | None:
        """Return the position of the passage that a question is the heading of, or stands in; None if there is none."""
        for form, positions in zip(_forms(question), self._positions, strict=True):
            if form in positions:
                return positions[form]
        return None

    def _add(self, text: str, position: int) -> None:
        for form, positions in zip(_forms(text), self._positions, strict=True):
            if form:
                positions.setdefault(form, position)


def is_same(one: str, other: str) -> bool:
    """Return True if two texts have the same words and the same signs that matter."""
    return any(form == other_form for form, other_form in zip(_forms(one), _forms(other), strict=True) if form)


def without_fillers(question_words: Sequence[str]) -> str:
    """Return the words of a question without those that can be left out, joined by blanks."""
    return " ".join(word for word in question_words if word not in FILLER_WORDS)


def _titles(passage: Passage) -> Iterator[str]:
    yield from passage.wordings
    # The text right below a lesson's title only introduces the lesson, even if the title is a question.
    if passage.path:
        yield passage.heading


def _questions_within(passage: Passage) -> Iterator[str]:
    """Yield the questions in the text of a passage after which it goes on: a list of exercises answers none."""
    if passage.kind == "overview":
        return
    sentences = [part.strip() for one in split_sentences(passage.plain_text) for part in _split_question(one)]
    last_statement = max((place for place, one in enumerate(sentences) if not _asks(one)), default=0)
    yield from (one for one in sentences[:last_statement] if _asks(one) and len(words(one)) >= MIN_WORDS)


def _split_question(sentence: str) -> list[str]:
    """Return a sentence, or the questions at its beginning and the rest, as in “What is it?: Answer: A pet.”."""
    questions = QUESTION.findall(sentence)
    rest = sentence[sum(map(len, questions)) :]
    return [*questions, *([rest] if words(rest) else [])]


def _asks(sentence: str) -> bool:
    return sentence.endswith(("?", "？"))


def _forms(text: str) -> tuple[str, str, str]:
    """Return a text as it is compared: with its signs, by its words, and by the words that matter."""
    without_marks = fold(QUOTATION_MARKS.sub("", text))
    bare = QUESTION_LABEL.sub("", text.strip())
    number = HEADING_NUMBER.match(bare)
    return (
        " ".join(without_marks.rstrip(" \t\r\n.?!…").split()),
        " ".join(_words(text)),
        without_fillers(_words(bare[number.end() :] if number else bare)),
    )


def _words(text: str) -> list[str]:
    """Return the words of a text and the signs that tell “C++” from “C#”."""
    return [word for part in SIGN.split(text) for word in ([part] if SIGN.fullmatch(part) else words(part))]
