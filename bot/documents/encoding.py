"""Decodes text files, and repairs the damage of wrong encodings.

ftfy repairs what the text itself shows, such as “â€“” for a dash. It cannot know which characters were lost, so we add
one rule. UTF-8 encodes dashes, quotation marks and the ellipsis as three bytes, E2 80 xx. A program that reads these as
Greek (ISO 8859-7 or Windows-1253) gets a β first, and then either two more characters or two control characters. The
next program drops the control characters, so that a lone β is left. Programs that replace unreadable characters leave
a � in the same places. In a text without any other Greek letter, such a stand-in is

- a dash between spaces or between two words;
- an apostrophe between a letter and an English ending (“itβs”);
- an ellipsis before “¦”;
- a quotation mark if it touches a word on one side only.

Next to “=”, digits and the like it stays, because it may be a letter of a formula.
"""

from __future__ import annotations

import re
from functools import partial

READ_AS_GREEK = re.compile("β[\x80€]([^\\s])")
OTHER_GREEK = re.compile("[Ͱ-αγ-ώἀ-῿]")
STAND_IN = "[β\N{REPLACEMENT CHARACTER}]"
FORMULA = re.compile(rf"[=≈≠<>≤≥+*/^]\s*{STAND_IN}|{STAND_IN}\s*[=≈≠<>≤≥+*/^\d]")
RULES = (
    (re.compile(rf"{STAND_IN}¦"), "…"),
    (re.compile(rf"(?<=\w){STAND_IN}(?=(?:s|t|d|m|re|ve|ll)\b)", re.IGNORECASE), "’"),
    (re.compile(rf"(?<=\s){STAND_IN}(?=\s)"), "–"),
    (re.compile(rf"(?<=\w){STAND_IN}(?=\w)"), "—"),
    (re.compile(rf"(?:(?<=[\s(\[])|^){STAND_IN}(?=\w)", re.MULTILINE), "“"),
    (re.compile(rf"(?<=[^\s(\[]){STAND_IN}(?=[\s.,;:!?)\]]|$)", re.MULTILINE), "”"),
)


def decode(data: bytes) -> str:
    """Return the text of a file in any encoding, repaired, with "\\n" as line ends."""
    import ftfy

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text, _ = ftfy.guess_bytes(data)
    return repair(text)


def repair(text: str) -> str:
    """Return `text` with the damage of wrong encodings repaired, as far as it can be recognised."""
    import ftfy

    # A place at which a word may be divided is no part of it.
    text = text.replace("\u00ad", "")
    text = READ_AS_GREEK.sub(_decode_again, text)
    text = ftfy.fix_text(text, uncurl_quotes=False, unescape_html=False)
    if OTHER_GREEK.search(text):
        return text
    for pattern, sign in RULES:
        text = pattern.sub(partial(_replace_unless_formula, sign), text)
    return text


def _decode_again(match: re.Match[str]) -> str:
    last_byte = match[1].encode("cp1253", "ignore") or match[1].encode("latin-1", "ignore")
    try:
        return (b"\xe2\x80" + last_byte).decode("utf-8")
    except UnicodeDecodeError:
        return match[0]


def _replace_unless_formula(sign: str, match: re.Match[str]) -> str:
    context = match.string[max(0, match.start() - 2) : match.end() + 2]
    return match[0] if FORMULA.search(context) else sign
