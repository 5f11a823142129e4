"""What kind of thing a question asks for, and whether a passage has anything of that kind.

“When was ChatGPT released” and a passage about ChatGPT are close in words and in meaning, but a passage without any
time in it cannot be the answer. This is told from the question's wording and from rough signs in the passage.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Kind:
    asked: re.Pattern[str]
    told: re.Pattern[str]


def _kind(asked: str, told: str) -> _Kind:
    return _Kind(re.compile(asked, re.IGNORECASE), re.compile(told))


KINDS = (
    # A point in time, of something that happened or will.
    _kind(
        r"\bwhen (?:was|were|did|will)\b|\b(?:what|which) (?:year|date|century)\b|\bhow old\b|\bsince when\b",
        r"\b1[5-9]\d\d\b|\b20\d\d\b|\b(?:years?|months?|days?|centur\w+|yesterday|tomorrow)\b",
    ),
    # A point in time, of something that happens again and again.
    _kind(
        r"\bwhen (?:is|are)\b",
        r"\b(?:years?|months?|days?|centur\w+|when|whenever|after|before|until|while|once)\b",
    ),
    # Money.
    _kind(
        r"\b(?:costs?|prices?|pricey|expensive|cheap|free|pay|paid|buy|sell|salary|earn|money|dollars?|euros?)\b",
        r"(?i)\b(?:price of|price is|costs? (?:\w+ )?\d|for free|free of charge|pay|paid|buy|sell|sold|money|dollars?"
        r"|euros?|cheap\w*|expensive)\b|[$€£]",
    ),
    # A number.
    _kind(
        r"\bhow (?:many|big|tall|far|often|heavy)\b",
        r"(?i)(?<![-\w])\d|\b(?:two|three|four|five|six|seven|eight|nine|ten|dozens?|hundreds?|thousands?|millions?"
        r"|billions?|daily|half|few|several)\b",
    ),
    # An amount.
    _kind(
        r"\bhow much (?!do\b|does\b|is\b|more\b|less\b)",
        r"(?i)(?<![-\w])\d|\b(?:half|dozens?|hundreds?|thousands?|millions?|billions?|percent|little|lots?|huge)\b|%",
    ),
    # A length of time.
    _kind(
        r"\bhow long (?:do|does|did|is|will|until|till)\b",
        r"(?i)\b(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|quick(?:ly)?|slow(?:ly|er)?|fast(?:er)?|forever)\b",
    ),
    # What letters stand for.
    _kind(
        r"\bdo(?:es)? (?!the\b|a\b|an\b)\w{1,7} stand for\b|\bshort for\b|\bfull (?:form|name)\b|\babbreviat\w+",
        r"(?i)\(|\bfor short\b|\bstands? for\b|\bshort for\b|\babbreviat\w+",
    ),
    # How to get or set up something.
    _kind(
        r"\b(?:un)?install\w*|\bdownload\w*|\bsign(?:ing)? up\b|\blog ?in\b|\bset ?up\b|\bsubscri\w+",
        r"(?i)\binstall\w*|\bdownload\w*|\bsign(?:ing)? up\b|\blog ?in\b|\bset ?up\b|\bsubscri\w+|\bwebsite\b",
    ),
    # Somebody who did or heads something.
    _kind(
        r"\bwho(?: was it that| first| originally)? (?:invent|creat|found|discover|develop|made|make|built|build"
        r"|wrote|came up|design|program|train)\w*|\b(?:boss|ceo|inventors?|founders?|creators?|owner|author) of\b",
        r"(?:invented|founded|created|developed|discovered|made|written|designed|built) by [A-Z]"
        r"|[A-Z]\w{1,60} (?:invented|founded|created|developed|discovered|wrote)|\b(?:inventors?|founders?|author)\b",
    ),
    # A place.
    _kind(
        r"\bwhere (?:is|was|are|were) |\bwhere (?:can|could|do) (?:i|you|we) (?:buy|get|find|download)"
        r"|\b(?:which|what) (?:country|city|place)\b|\bcapital of\b",
        r"\b(?:in|at|from|on) (?:the )?[A-Z]|\b(?:country|city|website|page|lesson|shop)\b",
    ),
    # What is allowed.
    _kind(
        r"\b(?:il)?legal(?:ly)?\b|\bagainst the law\b|\ballowed to\b|\bforbidden\b|\bpunish\w*",
        r"(?i)\b(?:laws?|legal|illegal|courts?|legislat\w+|forbidden|allowed|punish\w*)\b",
    ),
)


NUMBERED = re.compile(r"\b(lessons?|chapters?|units?|pages?|exercises?|parts?|weeks?)\s+(\d+)\b", re.IGNORECASE)
"""One of several that are told apart by their number."""


def is_missing(question: str, passage: str) -> bool:
    """Whether the question asks for a kind of thing, or a numbered thing, of which the passage has none."""
    if any(kind.asked.search(question) and not kind.told.search(passage) for kind in KINDS):
        return True
    told = {(thing.casefold(), number) for thing, number in NUMBERED.findall(passage)}
    return any((thing.casefold(), number) not in told for thing, number in NUMBERED.findall(question))
