"""From bytes to text, with what wrong encodings did to it undone.

ftfy undoes what can be told from the text itself, such as “â€“” for a dash. It cannot know what was lost on the way, so
one rule is ours. UTF-8 writes dashes, quotes and the ellipsis in three bytes, E2 80 xx. Whoever reads these as Greek
(ISO 8859-7 or Windows-1253) sees a β first, and then either two more signs or two control characters, which the next
program drops: a lone β is left. A � is left in the same places by programs that replace what they cannot read. In a
text that has no other Greek letter, such a stand-in is

- a dash, where it stands between spaces or joins two words;
- an apostrophe, where an English ending follows a letter and it (“itβs”);
- an ellipsis, where “¦” follows;
- a quotation mark, where it touches a word on one side only.

Beside “=”, digits and the like it stays, since it may be the letter that a formula means.
"""

from __future__ import annotations

import re
from functools import partial

GREEK_READ = re.compile("β[\x80€]([^\\s])")
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


def decoded(data: bytes) -> str:
    """The text of a file in whatever encoding, repaired, with plain line ends."""
    import ftfy

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text, _ = ftfy.guess_bytes(data)
    return repaired(text)


def repaired(text: str) -> str:
    """`text` with the damage of wrong encodings undone, as far as this can be known."""
    import ftfy

    text = GREEK_READ.sub(_reread, text)
    text = ftfy.fix_text(text, uncurl_quotes=False, unescape_html=False)
    if OTHER_GREEK.search(text):
        return text
    for pattern, sign in RULES:
        text = pattern.sub(partial(_unless_formula, sign), text)
    return text


def _reread(found: re.Match[str]) -> str:
    last = found[1].encode("cp1253", "ignore") or found[1].encode("latin-1", "ignore")
    try:
        return (b"\xe2\x80" + last).decode("utf-8")
    except UnicodeDecodeError:
        return found[0]


def _unless_formula(sign: str, found: re.Match[str]) -> str:
    around = found.string[max(0, found.start() - 2) : found.end() + 2]
    return found[0] if FORMULA.search(around) else sign
