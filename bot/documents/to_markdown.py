"""Escapes text as Markdown that shows exactly this text, and converts such Markdown back to text.

Only characters that Markdown would interpret are escaped, because a terminal shows the backslashes. Code between
backticks stays code, and text between two asterisks on each side stays bold.
"""

from __future__ import annotations

import re

CODE = re.compile(r"(?<![`\\])`[^`\n]+`(?!`)")
"""Code within running text."""
PUNCTUATION = r"[!-/:-@\[-`{-~]"
SIGNS = re.compile(
    rf"(?P<kept>{CODE.pattern}|(?<!\w)\*\*[^\s*`](?:[^*`\n]*[^\s*`])?\*\*)"
    rf"|(?<=\S)\*|\*(?=\S)|(?<![^\W_])_|_(?![^\W_])|`|\\(?={PUNCTUATION})|\](?=[(:])|<(?=[a-zA-Z/!?@#:])"
    r"|~(?=~)|(?<=~)~|\|(?=\|)|(?<=\|)\||&(?=#?\w{1,32};)"
)
LINE_START_SIGN = re.compile(r"^([^\S\n]*)([-+*=#](?=[\s#=-]|$)|>|\d{1,9}(?=[.)](?:\s|$)))", re.MULTILINE)
FENCE = re.compile(r"^`{3,}.*\n?", re.MULTILINE)


def escape(text: str) -> str:
    """Return `text` as Markdown that shows it unchanged."""
    return LINE_START_SIGN.sub(escape_line_start, SIGNS.sub(lambda match: match["kept"] or f"\\{match[0]}", text))


def escape_line_start(match: re.Match[str]) -> str:
    """Return an escaped sign at the beginning of a line. Group 1 are the blanks before it, group 2 is the sign."""
    # After a number, its point is escaped, since a backslash before a digit would be shown.
    return f"{match[1]}\\{match[2]}" if not match[2][0].isdigit() else f"{match[1]}{match[2]}\\"


def fence(code: str) -> str:
    """Return lines of code as a fenced block of Markdown."""
    ticks = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
    return f"{ticks}\n{code}\n{ticks}"


def to_plain(markdown: str) -> str:
    """Return the text of Markdown that `escape` and `fence` made."""
    return re.sub(rf"\\({PUNCTUATION})", r"\1", unwrap_code(FENCE.sub("", markdown)))


def unwrap_code(text: str) -> str:
    """Return `text` without the backticks around code."""
    return CODE.sub(lambda match: match[0][1:-1], text)
