"""The texts of a passage that are embedded, and the keys under which their embeddings are stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from plugins.explain.lessons.passages import Passage, split_sentences

TEXT_GROUPS = 4
"""The number of groups that `text_groups` returns."""


def text_groups(passage: Passage) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return the texts whose embeddings stand for a passage, in four groups, none of them empty.

    They are the whole passage; each sentence with its heading; each sentence alone; and the questions that the passage
    is known to answer, or the whole passage again if there are none.
    """
    path = " › ".join(passage.path) or passage.lesson_title
    if passage.kind == "overview":
        headings = (line.partition(":")[0].removeprefix("- ") for line in passage.plain_text.splitlines())
        whole = [f"{passage.lesson_title} {path}: {', '.join(headings)}."]
        return whole, whole, whole, known_questions(passage) or whole
    text = passage.plain_text
    whole = [f"{path}. {text}"]
    sentences = split_sentences(text) or whole
    with_heading = [f"{passage.heading}: {sentence}" for sentence in sentences]
    return whole, with_heading, sentences, known_questions(passage) or whole


def known_questions(passage: Passage) -> list[str]:
    """Return the questions that a passage is known to answer: its further wordings, and its heading if it asks."""
    # A lesson's title may be a question, but the text right below it only introduces the lesson.
    return [*passage.wordings, *([passage.question] if passage.question and passage.path else [])]


def texts_of(passages: Iterable[Passage]) -> Iterator[str]:
    """Yield the texts of the passages' `text_groups`, in order."""
    return (text for passage in passages for group in text_groups(passage) for text in group)


def key_of(model: str, text: str) -> str:
    """Return the key of a text's embedding: a hash of model and text in hexadecimal digits."""
    return hashlib.sha256(f"{model}\0{text}".encode()).hexdigest()
