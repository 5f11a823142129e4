"""Recognises the type of answer that a question asks for, such as a date, and passages without any answer of that type.

“When was ChatGPT released” and a passage about ChatGPT are close in words and in meaning, but a passage without any
date cannot be the answer. The words of the question and rough signs in the passage decide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _AnswerType:
    """A pattern of questions that ask for this type, and a pattern of passages that may have such an answer."""

    question: re.Pattern[str]
    answer: re.Pattern[str]


def _answer_type(question: str, answer: str) -> _AnswerType:
    return _AnswerType(re.compile(question, re.IGNORECASE), re.compile(answer))


ANSWER_TYPES = (
    # The time of something that happened or will happen.
    _answer_type(
        r"\bwhen (?:was|were|did|will)\b|\b(?:what|which) (?:year|date|century)\b|\bhow old\b|\bsince when\b",
        r"\b1[5-9]\d\d\b|\b20\d\d\b|\b(?:years?|months?|days?|centur\w+|yesterday|tomorrow)\b",
    ),
    # The time of something that happens again and again.
    _answer_type(
        r"\bwhen (?:is|are)\b",
        r"\b(?:years?|months?|days?|centur\w+|when|whenever|after|before|until|while|once)\b",
    ),
    # Money.
    _answer_type(
        r"\b(?:costs?|prices?|pricey|expensive|cheap|free|pay|paid|buy|sell|salary|earn|money|dollars?|euros?)\b",
        r"(?i)\b(?:price of|price is|costs? (?:\w+ )?\d|for free|free of charge|pay|paid|buy|sell|sold|money|dollars?"
        r"|euros?|cheap\w*|expensive)\b|[$€£]",
    ),
    # A number.
    _answer_type(
        r"\bhow (?:many|big|tall|far|often|heavy)\b",
        r"(?i)(?<![-\w])\d|\b(?:two|three|four|five|six|seven|eight|nine|ten|dozens?|hundreds?|thousands?|millions?"
        r"|billions?|daily|half|few|several)\b",
    ),
    # An amount.
    _answer_type(
        r"\bhow much (?!do\b|does\b|is\b|more\b|less\b)",
        r"(?i)(?<![-\w])\d|\b(?:half|dozens?|hundreds?|thousands?|millions?|billions?|percent|little|lots?|huge)\b|%",
    ),
    # A length of time.
    _answer_type(
        r"\bhow long (?:do|does|did|is|will|until|till)\b",
        r"(?i)\b(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|quick(?:ly)?|slow(?:ly|er)?|fast(?:er)?|forever)\b",
    ),
    # The meaning of an abbreviation.
    _answer_type(
        r"\bdo(?:es)? (?!the\b|a\b|an\b)\w{1,7} stand for\b|\bshort for\b|\bfull (?:form|name)\b|\babbreviat\w+",
        r"(?i)\(|\bfor short\b|\bstands? for\b|\bshort for\b|\babbreviat\w+",
    ),
    # The way to get or set up something.
    _answer_type(
        r"\b(?:un)?install\w*|\bdownload\w*|\bsign(?:ing)? up\b|\blog ?in\b|\bset ?up\b|\bsubscri\w+",
        r"(?i)\binstall\w*|\bdownload\w*|\bsign(?:ing)? up\b|\blog ?in\b|\bset ?up\b|\bsubscri\w+|\bwebsite\b",
    ),
    # Somebody who made or leads something.
    _answer_type(
        r"\bwho(?: was it that| first| originally)? (?:invent|creat|found|discover|develop|made|make|built|build"
        r"|wrote|came up|design|program|train)\w*|\b(?:boss|ceo|inventors?|founders?|creators?|owner|author) of\b",
        r"(?:invented|founded|created|developed|discovered|made|written|designed|built) by [A-Z]"
        r"|[A-Z]\w{1,60} (?:invented|founded|created|developed|discovered|wrote)|\b(?:inventors?|founders?|author)\b",
    ),
    # A place.
    _answer_type(
        r"\bwhere (?:is|was|are|were) |\bwhere (?:can|could|do) (?:i|you|we) (?:buy|get|find|download)"
        r"|\b(?:which|what) (?:country|city|place)\b|\bcapital of\b",
        r"\b(?:in|at|from|on) (?:the )?[A-Z]|\b(?:country|city|website|page|lesson|shop)\b",
    ),
    # The law.
    _answer_type(
        r"\b(?:il)?legal(?:ly)?\b|\bagainst the law\b|\ballowed to\b|\bforbidden\b|\bpunish\w*",
        r"(?i)\b(?:laws?|legal|illegal|courts?|legislat\w+|forbidden|allowed|punish\w*)\b",
    ),
)


NUMBERED = re.compile(r"\b(lessons?|chapters?|units?|pages?|exercises?|parts?|weeks?)\s+(\d+)\b", re.IGNORECASE)
"""A thing that has a number, such as “lesson 3”."""


def lacks_answer_type(question: str, passage: str, passage_question: str = "") -> bool:
    """Return True if the question asks for a type of answer, or for a numbered thing, that the passage lacks.

    `passage_question` is the question that the author gave the passage as an answer to: it has what that one asks for,
    in whatever words.
    """
    asked = [kind for kind in ANSWER_TYPES if kind.question.search(question)]
    if any(not kind.answer.search(passage) and not kind.question.search(passage_question) for kind in asked):
        return True
    in_passage = {(thing.casefold(), number) for thing, number in NUMBERED.findall(passage)}
    return any((thing.casefold(), number) not in in_passage for thing, number in NUMBERED.findall(question))
