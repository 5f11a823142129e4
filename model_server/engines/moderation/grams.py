"""Hashed words, pairs of words and character n-grams of a text, each as the number of a column.

The number follows from the spelling (feature hashing: Weinberger et al., arXiv 0902.2206), so that no vocabulary is
stored. N-grams are shared by words of one stem, by related words of other languages, and by words with typing errors.
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
NGRAM_SIZES = (3, 4, 5)
"""Lengths of n-grams in characters; the marks at both ends of a word count as one each."""
WORD = re.compile(r"\w+")


def columns(text: str) -> list[int]:
    """Return the columns of `text` in ascending order, each once. Accents and capitals are ignored."""
    plain = unicodedata.normalize("NFKD", text.lower())
    words = WORD.findall("".join(letter for letter in plain if unicodedata.category(letter) != "Mn"))
    return sorted({zlib.crc32(part.encode()) % COLUMNS for part in _features_of(words)})


def _features_of(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        yield f" {word}"
        marked = f"<{word}>"
        for size in NGRAM_SIZES:
            yield from (marked[start : start + size] for start in range(len(marked) - size + 1))
    yield from (f" {first} {second}" for first, second in pairwise(words))
