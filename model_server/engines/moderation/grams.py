"""What a text is made of: its words, pairs of words and pieces of words, each as a numbered column.

Which number something has follows from its spelling (feature hashing: Weinberger et al., 2009), so that there is no
list of them. Pieces of words are what words of one stem, of other languages or with typing errors have in common.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COLUMNS = 1 << 14
PIECES = (3, 4, 5)
"""Letters of a piece; where a word begins and ends counts as one."""
WORD = re.compile(r"\w+")


def columns(text: str) -> list[int]:
    """The columns of `text`, each once, in order; accents and capitals do not count."""
    plain = unicodedata.normalize("NFKD", text.lower())
    words = WORD.findall("".join(letter for letter in plain if unicodedata.category(letter) != "Mn"))
    return sorted({zlib.crc32(part.encode()) % COLUMNS for part in _parts(words)})


def _parts(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        yield f" {word}"
        marked = f"<{word}>"
        for size in PIECES:
            yield from (marked[start : start + size] for start in range(len(marked) - size + 1))
    yield from (f" {first} {second}" for first, second in pairwise(words))
