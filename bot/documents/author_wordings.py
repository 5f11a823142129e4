"""Reads further wordings of questions, which the author of a lesson may add to the file and no reader sees.

Pupils ask in words that no lesson has. A comment anywhere in a text, Markdown or HTML file lists them by heading:

    <!-- also asked
    What GANs are bad at: why do gans go crazy | what are the downsides of gans
        | why is it hard to train a gan
    -->

An indented line continues the line before.
"""

from __future__ import annotations

import re

COMMENT = re.compile(r"<!--\s*also asked\b:?(.*?)-->\n?", re.IGNORECASE | re.DOTALL)


def extract_wordings(text: str) -> tuple[str, dict[str, tuple[str, ...]]]:
    """Return `text` without such comments, and the wordings by heading."""
    closed, rest = split_after_last_comment(text)
    by_heading: dict[str, tuple[str, ...]] = {}
    for comment in COMMENT.findall(closed):
        for line in re.sub(r"\n[ \t]+", " ", comment).splitlines():
            heading, wordings = _split_line(line)
            if heading and wordings:
                by_heading[heading] = by_heading.get(heading, ()) + wordings
    return COMMENT.sub("", closed) + rest, by_heading


def split_after_last_comment(text: str) -> tuple[str, str]:
    """Return `text` up to the line end after its last comment, and the rest.

    A search for comments in the first part alone takes linear time: it never reads to the end of the text in vain, once
    for each comment that is not closed.
    """
    end = text.rfind("-->") + len("-->\n")
    return text[:end], text[end:]


def _split_line(line: str) -> tuple[str, tuple[str, ...]]:
    """Return the heading and the wordings of a line. The last colon before the first bar separates them."""
    first_part, *others = line.split("|")
    heading, _, first = first_part.rpartition(":")
    return heading.strip(), tuple(wording.strip() for wording in (first, *others) if wording.strip())
