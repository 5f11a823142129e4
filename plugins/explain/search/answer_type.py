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


ENGLISH_TYPES = (
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

GERMAN_TYPES = (
    # The time of something that happened.
    _answer_type(
        r"\bwann (?:wurde|war|kam|ist|hat|haben|schreiben)\b|\bseit wann\b|\bwie alt\b|\bwelche[ms] jahr\b",
        r"\b1[5-9]\d\d\b|\b20\d\d\b|(?i:\b(?:jahr(?:e|en|hundert)?|monate?|tage?)\b)",
    ),
    # Money.
    _answer_type(
        r"\b(?:kostet|preis|teuer|billig|kostenlos|gratis|umsonst|bezahlen|kaufen|geld|euro)\b",
        r"(?i)\b(?:preis von|kostenlos|gratis|bezahl\w*|geld|euro|teuer|billig)\b|[€$]",
    ),
    # A number.
    _answer_type(
        r"\bwie viele\b",
        r"(?i)(?<![-\w])\d|\b(?:zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|hundert\w*|tausend\w*|einzig\w*)\b",
    ),
    # A length of time.
    _answer_type(
        r"\bwie lange (?:dauert|braucht|muss)\b",
        r"(?i)\b(?:sekunden?|minuten?|stunden?|tage|wochen|monate|jahre|schnell\w*|langsam\w*)\b",
    ),
    # The way to get or set up something.
    _answer_type(
        r"\b(?:installier|download|herunterlad|runterlad|anmeld|einricht)\w*",
        r"(?i)\b(?:installier|download|herunterlad|runterlad|anmeld|einricht)\w*",
    ),
    # Somebody who made or leads something.
    _answer_type(
        r"\bwer hat\b.*\b(?:erfunden|gegründet|entwickelt|gebaut|entdeckt|programmiert|gemacht)\b"
        r"|\b(?:chef|gründer|erfinder|besitzer) von\b|\bvon wem\b",
        r"(?:von [A-ZÄÖÜ]\w+ (?:erfunden|gegründet|entwickelt|gebaut))|\b(?:Gründer|Erfinder)\w*\b",
    ),
    # The law.
    _answer_type(
        r"\b(?:illegal|legal|verboten|erlaubt|strafbar)\b",
        r"(?i)\b(?:gesetz\w*|gerichte?|parlamente?|verboten|erlaubt|strafbar)\b",
    ),
)
SPANISH_TYPES = (
    # The time of something that happened.
    _answer_type(
        r"\bcu[áa]ndo (?:sali[óo]|fue|apareci[óo]|naci[óo]|invent\w+|crearon|es)\b|\bdesde cu[áa]ndo\b"
        r"|\bqu[ée] a[ñn]o\b|\bcu[áa]ntos a[ñn]os\b",
        r"\b1[5-9]\d\d\b|\b20\d\d\b|(?i:\b(?:años?|meses|siglos?|días)\b)",
    ),
    # Money.
    _answer_type(
        r"\b(?:cuestan?|precio|caro|barato|gratis|pagar|comprar|dinero|euros?)\b",
        r"(?i)\b(?:precio de|gratis|pagar?|dinero|euros?|car[oa]|barat[oa])\b|[€$]",
    ),
    # A number.
    _answer_type(
        r"\bcu[áa]nt[oa]s\b",
        r"(?i)(?<![-\w])\d|\b(?:dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|cientos|miles|única|sola)\b",
    ),
    # A length of time.
    _answer_type(
        r"\bcu[áa]nto (?:tiempo )?(?:se )?(?:tarda|dura)\w*",
        r"(?i)\b(?:segundos?|minutos?|horas?|días|semanas?|meses|años|rápid\w+|lent\w+)\b",
    ),
    # The way to get or set up something.
    _answer_type(r"\b(?:instal|descarg|registr)\w*", r"(?i)\b(?:instal|descarg|registr)\w*"),
    # Somebody who made or leads something.
    _answer_type(
        r"\bqui[ée]n(?:es)? (?:invent[óo]|cre[óo]|fund[óo]|desarroll[óo]|descubri[óo]|hizo|program[óo])"
        r"|\b(?:jefe|fundador|inventor|due[ñn]o) de\b",
        r"(?:inventad|fundad|cread|desarrollad)[oa] por [A-Z]|\b(?:fundador|inventor)\w*\b",
    ),
    # The law.
    _answer_type(
        r"\b(?:ilegal|legal|prohibid\w+|permitid\w+|delito)\b",
        r"(?i)\b(?:ley|leyes|jueces|parlamentos?|prohibid\w+|permitid\w+|delito)\b",
    ),
)
ANSWER_TYPES = {"en": ENGLISH_TYPES, "de": GERMAN_TYPES, "es": SPANISH_TYPES}
"""The types by the language of the question and the passage."""

NUMBERED = re.compile(
    r"\b(lessons?|chapters?|units?|pages?|exercises?|parts?|weeks?|lektion|kapitel|seite|lecci[óo]n|cap[íi]tulo|p[áa]gina)"
    r"\s+(\d+)\b",
    re.IGNORECASE,
)
"""A thing that has a number, such as “lesson 3”."""


def lacks_answer_type(question: str, passage: str, passage_question: str = "", language: str = "en") -> bool:
    """Return True if the question asks for a type of answer, or for a numbered thing, that the passage lacks.

    `passage_question` is the question that the author gave the passage as an answer to: it has what that one asks for,
    in whatever words.
    """
    asked = [kind for kind in ANSWER_TYPES[language] if kind.question.search(question)]
    if any(not kind.answer.search(passage) and not kind.question.search(passage_question) for kind in asked):
        return True
    in_passage = {(thing.casefold(), number) for thing, number in NUMBERED.findall(passage)}
    return any((thing.casefold(), number) not in in_passage for thing, number in NUMBERED.findall(question))
