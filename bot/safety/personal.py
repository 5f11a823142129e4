"""Personal data that somebody is about to tell: phone numbers, mail addresses and street addresses.

Meant to warn, not to prove: a number counts as one to call only when it is written like one, so that those of
arithmetic, dates and code do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.safety.patterns import either

if TYPE_CHECKING:
    from collections.abc import Iterable

CALLED = "phone|mobile|cell|call me|text me|whatsapp|telefon|handy|handynummer|tel[eé]fono|m[oó]vil|celular"
ROAD = "street|st|road|rd|avenue|ave|lane|drive|court|boulevard|blvd"
MAIL = either([r"\b[\w.+-]{1,64}@(?:[a-z0-9-]{1,63}\.)+[a-z]{2,24}\b"])
PHONE = either(
    [
        # With a country's code: +49 30 1234567, 0041 44 123 45 67.
        r"(?:^|[^\w+.])(?:\+|00)[1-9]\d{0,2}[ ./-]?(?:\(0?\d{1,4}\)[ ./-]?)?\d{2,5}(?:[ ./-]?\d{2,4}){1,4}\b",
        # An area code apart from the rest: (030) 1234567, 0171 1234567, 555-867-5309.
        r"(?:^|[^\w.])\(0?\d{2,4}\) ?\d{3}[ -]?\d{3,5}\b",
        r"(?:^|[^\w.,-])0\d{2,4}[ /-]\d{3}(?:[ -]?\d{2,5}){1,3}\b",
        r"(?:^|[^\w.,+*/-])[2-9]\d{2}[.-][2-9]\d{2}[.-]\d{4}\b",
        # Said to be one.
        rf"\b(?:{CALLED})\b[^\d\n]{{0,25}}\d(?:[ ./-]?\d){{5,14}}\b",
    ]
)
STREET = either(
    [
        rf"\b\d{{1,5}}[a-z]? (?:(?-i:[A-Z])[\w']+ ){{1,3}}(?:{ROAD})\b",
        r"\b[\w-]{3,}(?:stra(?:ß|ss)e|str\.|gasse|weg|allee) \d{1,4}[a-z]?\b",
        r"\b(?:calle|avenida|avda\.|plaza|paseo) (?:[\wáéíóúñ]+ ){1,4}(?:n\.?º? ?)?\d{1,4}\b",
        r"\b(?:i live at|my address is|ich wohne in der|vivo en la calle|mi direcci[oó]n es)\b.{0,60}\d",
    ]
)
MEANS = {MAIL: "a mail address", PHONE: "a phone number", STREET: "a street address"}


def found(texts: Iterable[str]) -> str:
    """What kind of personal data `texts` seem to have, in English words; "" for none."""
    texts = tuple(texts)
    return next((what for pattern, what in MEANS.items() if any(map(pattern.search, texts))), "")
