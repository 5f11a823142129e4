"""Finds personal data in messages: contact data, addresses, account numbers, passwords and dates of birth.

It is meant to warn and not to prove. A number counts as a phone number only if it is written like one, so that numbers
in arithmetic, dates and code do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.safety.patterns import compile_any, to_searchable

if TYPE_CHECKING:
    from collections.abc import Iterable

PHONE_WORDS = (
    "phone|mobile|cell|call (?:me|him|her|us)|text me|reach me|whatsapp|number is|telefon|tel|handy|handynummer"
    "|nummer ist|ruf mich|tel[eé]fono|m[oó]vil|celular|n[uú]mero es|ll[aá]mame"
)
STREET_WORDS = "street|st|road|rd|avenue|ave|lane|drive|court|boulevard|blvd|crescent|square|terrace|way"
LOGIN_WORDS = "pass ?words?|pass ?codes?|passw[oö]rt|kennwort|pin|pw|contraseña|clave"
APPS = "snap|snapchat|insta|instagram|discord|tiktok|telegram|skype|roblox|steam"
MAIL = compile_any(
    [
        r"\b[\w.+-]{1,64}@(?:[a-z0-9-]{1,63}\.)+[a-z]{2,24}\b",
        # Disguised from programs: ann (at) example.org, ann at example dot org.
        r"\b[\w.+-]{2,64} ?[(\[](?:at|arroba)[)\]] ?[\w-]{2,63} ?(?:\.|[(\[](?:dot|punkt|punto)[)\]]) ?[a-z]{2,24}\b",
        r"\b[\w.+-]{2,64} (?:at|arroba) [\w-]{2,63} (?:dot|punkt|punto) (?:com|org|net|de|es|at|ch|uk|edu|eu)\b",
    ]
)
PHONE = compile_any(
    [
        # With a country code: +49 30 1234567, 0041 44 123 45 67.
        r"(?:^|[^\w+.])(?:\+|00)[1-9]\d{0,2}[ ./-]?(?:\(0?\d{1,4}\)[ ./-]?)?\d{2,5}(?:[ ./-]?\d{2,4}){1,4}\b",
        # With a separate area code: (030) 1234567, 0171 1234567, 555-867-5309.
        r"(?:^|[^\w.])\(0?\d{2,4}\) ?\d{3}[ -]?\d{3,5}\b",
        r"(?:^|[^\w.,-])0\d{2,4}[ /-]\d{3}(?:[ -]?\d{2,5}){1,3}\b",
        r"(?:^|[^\w.,+*/-])[2-9]\d{2}[.-][2-9]\d{2}[.-]\d{4}\b",
        # Mobile numbers without spaces.
        r"(?:^|[^\w.,-])0(?:1[5-7]\d{8,9}|7\d{9})\b",
        # After a word that announces a phone number.
        rf"\b(?:{PHONE_WORDS})\b[^\d\n]{{0,25}}\d(?:[ ./-]?\d){{5,14}}\b",
    ]
)
STREET = compile_any(
    [
        rf"\b\d{{1,5}}[a-z]? (?:(?-i:[A-Z])[\w']+ ){{1,3}}(?:{STREET_WORDS})\b",
        r"\b[\w-]{3,}(?:stra(?:ß|ss)e|str\.|gasse|weg|allee|platz) \d{1,4}[a-z]?\b",
        r"\b(?:calle|avenida|avda\.|plaza|paseo) (?:[\wáéíóúñ]+ ){1,4}(?:n\.?º? ?)?\d{1,4}\b",
        r"\b(?:i live at|my address is|ich wohne in der|vivo en la calle|mi direcci[oó]n es)\b.{0,60}\d",
        r"\b(?:lives?|living) (?:at|in) (?:number )?\d{1,5}[a-z]? (?-i:[A-Z])\w+",
        r"\bwohn(?:t|en) (?:in der|im|am|an der) (?:[\wäöüß.-]+ ){1,3}\d{1,4}[a-z]?(?:[,.;]|$| in\b)",
    ]
)
CARD = compile_any(
    [
        r"\b[3-6]\d{3}[ -]\d{4}[ -]\d{4}[ -]\d{2,4}\b",
        r"\b(?:card|visa|mastercard|amex|kreditkarte|ec-karte|tarjeta)\b[^\d\n]{0,30}\d(?:[ -]?\d){12,18}\b",
        r"\b(?:cvv|cvc)2?\b\D{0,8}\d{3,4}\b",
    ]
)
ACCOUNT = compile_any(
    [
        r"\b[a-z]{2}\d{2}(?: ?\d{4}){3,7}(?: ?\d{1,4})?\b",
        r"\b(?-i:[A-Z]{2}\d{2} ?[A-Z]{4}(?: ?\d{4}){2,5}(?: ?\d{1,4})?)\b",
    ]
)
PASSWORD = compile_any(
    [
        rf"\b(?:{LOGIN_WORDS})\b(?: \w+){{0,5}} (?:is|ist|es|lautet):? [\"'“„«]?(?:[^\s\d]\S*\d|\d{{3,}})",
        rf"\b(?:my|mein|meine|mi|his|her) (?:\w+ ){{0,3}}(?:{LOGIN_WORDS})\b ?[:=]? [\"'“„«]?(?:[^\s\d]\S*\d|\d{{4,}})",
        rf"\b(?:{LOGIN_WORDS}) ?: ?[^\s\"'()]*\d",
    ]
)
DATE = r"\d{1,2}(?:[./ -]+|\.? (?:de )?)(?:\d{1,2}|[a-zä]{3,10})(?:[./ -]+| de )(?:199\d|20[0-2]\d)\b"
BIRTH_DATE = compile_any(
    [
        rf"\b(?:born|birthday|birth|dob|geb|geboren|geburtstag|geburtsdatum|nac[ií]|nacid[oa]|nacimiento|cumpleaños)\D{{0,25}}{DATE}",
        rf"\b{DATE} geboren\b",
    ]
)
HANDLE = compile_any(
    [
        rf"\b(?:my|mein|mi|her|his) (?:{APPS})(?: \w+)? (?:is|ist|es|heißt|heisst):? @?[\w.]*[\d_.@#]\w",
        rf"\b(?:add|follow|find|dm) me (?:\w+ )?(?:on|at) (?:{APPS})\b:? ?(?:as |at )?@?[\w.]*[\d_.@#]\w",
    ]
)
DOCUMENT_WORDS = r"passport|passnummer|ausweis\w*|dni|nie|ssn|social security|sozialversicherung\w*"
IDENTITY = compile_any([r"\b\d{8}-?[a-hj-np-tv-z]\b", rf"\b(?:{DOCUMENT_WORDS})\b\D{{0,20}}[a-z]{{0,2}}\d[\w -]{{5,}}"])
KIND_OF_PATTERN = {
    MAIL: "a mail address",
    ACCOUNT: "a bank account number",
    CARD: "a bank card number",
    PHONE: "a phone number",
    STREET: "a street address",
    PASSWORD: "a password",
    BIRTH_DATE: "a date of birth",
    HANDLE: "a user name",
    IDENTITY: "an identity number",
}


def find_personal_data(texts: Iterable[str]) -> str:
    """Return the first kind of personal data that `texts` seem to have, in English words; "" for none."""
    texts = tuple(map(to_searchable, texts))
    return next((kind for pattern, kind in KIND_OF_PATTERN.items() if any(map(pattern.search, texts))), "")
