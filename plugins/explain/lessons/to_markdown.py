"""Text as Markdown that shows just this text, and the way back, for search.

Only signs that could act are escaped: a terminal shows the backslashes. Code between backticks stays code, and bold
that is marked in a text without other marks stays bold.
"""

from __future__ import annotations

import re

CODE = re.compile(r"(?<![`\\])`[^`\n]+`(?!`)")
"""Code inside of running text."""
PUNCTUATION = r"[!-/:-@\[-`{-~]"
SIGNS = re.compile(
    rf"(?P<kept>{CODE.pattern}|(?<!\w)\*\*[^\s*`](?:[^*`\n]*[^\s*`])?\*\*)"
    rf"|(?<=\S)\*|\*(?=\S)|(?<![^\W_])_|_(?![^\W_])|`|\\(?={PUNCTUATION})|\](?=[(:])|<(?=[a-zA-Z/!?@#:])"
    r"|~(?=~)|(?<=~)~|\|(?=\|)|(?<=\|)\||&(?=#?\w{1,32};)"
)
FIRST = re.compile(r"^([^\S\n]*)([-+*=#](?=[\s#=-]|$)|>|\d{1,9}(?=[.)](?:\s|$)))", re.MULTILINE)
FENCE = re.compile(r"^`{3,}.*\n?", re.MULTILINE)


def escaped(text: str) -> str:
    """`text` as Markdown."""
    return FIRST.sub(first_escaped, SIGNS.sub(lambda found: found["kept"] or f"\\{found[0]}", text))


def first_escaped(found: re.Match[str]) -> str:
    """A blank or none and the sign of a list, a number among them, that begins a line."""
    # A number's point is escaped, since a backslash before a digit would be shown.
    return f"{found[1]}\\{found[2]}" if not found[2][0].isdigit() else f"{found[1]}{found[2]}\\"


def fenced(code: str) -> str:
    """Lines of code as Markdown."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
    return f"{fence}\n{code}\n{fence}"


def plain(markdown: str) -> str:
    """The text of what `escaped` and `fenced` made."""
    bare = CODE.sub(lambda found: found[0][1:-1], FENCE.sub("", markdown))
    return re.sub(rf"\\({PUNCTUATION})", r"\1", bare)
