"""The texts of a passage that are embedded, and the keys under which their embeddings are kept."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from plugins.explain.lessons.passages import sentences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from plugins.explain.lessons.passages import Passage


def units(passage: Passage) -> tuple[list[str], list[str], list[str], list[str]]:
    """The texts whose embeddings stand for a passage, in four parts, none of them empty.

    They are the whole; each sentence with its heading; each without; the questions that it is known to answer, or the
    whole once more where there are none.
    """
    path = " › ".join(passage.path) or passage.lesson
    if passage.kind == "overview":
        below = (line.partition(":")[0].removeprefix("- ") for line in passage.plain.splitlines())
        whole = [f"{passage.lesson} {path}: {', '.join(below)}."]
        return whole, whole, whole, asked(passage) or whole
    said = passage.plain
    whole = [f"{path}. {said}"]
    parts = sentences(said) or whole
    return whole, [f"{passage.heading}: {part}" for part in parts], parts, asked(passage) or whole


def asked(passage: Passage) -> list[str]:
    # The lesson's own title may be a question, but what stands right below it says only what is to come.
    return [*passage.asked, *([passage.question] if passage.question and passage.path else [])]


def texts_of(passages: Iterable[Passage]) -> Iterator[str]:
    """The texts whose embeddings stand for the passages, in order."""
    return (text for passage in passages for part in units(passage) for text in part)


def key_of(model: str, text: str) -> str:
    """Under what the embedding of a text is kept: a hash in hexadecimal digits."""
    return hashlib.sha256(f"{model}\0{text}".encode()).hexdigest()
