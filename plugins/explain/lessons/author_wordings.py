"""Further wordings of what a lesson answers, which its author may add to the file and no reader sees.

Pupils ask in words that no lesson has. A comment anywhere in a text, Markdown or HTML file takes them in, by heading:

    <!-- also asked
    What GANs are bad at: why do gans go crazy | what are the downsides of gans
        | why is it hard to train a gan
    -->

A line that is indented goes on with the one before.
"""

from __future__ import annotations

import re

COMMENT = re.compile(r"<!--\s*also asked\b:?(.*?)-->\n?", re.IGNORECASE | re.DOTALL)


def taken(text: str) -> tuple[str, dict[str, tuple[str, ...]]]:
    """`text` without such comments, and the wordings by heading."""
    closed, rest = parted(text)
    found: dict[str, tuple[str, ...]] = {}
    for comment in COMMENT.findall(closed):
        for line in re.sub(r"\n[ \t]+", " ", comment).splitlines():
            heading, _, wordings = _divided(line)
            said = tuple(wording.strip() for wording in wordings.split("|") if wording.strip())
            if heading and said:
                found[heading] = found.get(heading, ()) + said
    return COMMENT.sub("", closed) + rest, found


def parted(text: str) -> tuple[str, str]:
    """`text` up to the line end after its last comment, where every comment has its end; and what is left.

    Whoever looks for comments in the first part alone never reads on in vain to the end of the text, once for each
    comment that is not closed.
    """
    end = text.rfind("-->") + len("-->\n")
    return text[:end], text[end:]


def _divided(line: str) -> tuple[str, str, str]:
    """A heading, which may hold a colon itself, and the wordings after the last colon before the first bar."""
    before, bar, after = line.partition("|")
    heading, colon, first = before.rpartition(":")
    return heading.strip(), colon, f"{first}{bar}{after}"
