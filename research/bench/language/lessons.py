"""Questions with the passage of a lesson, in the form in which /ask gives them to the model."""

from __future__ import annotations

from pathlib import Path

FILE = Path(__file__).with_name("lessons.txt")
"""Passages of the default lesson, each with a question in its last line."""
SEPARATOR, QUESTION_MARK = "\n%%\n", "\n?? "
SYSTEM_PROMPT = (
    "You are Tempera, a friendly assistant in a chat room. Answer briefly, in plain words, and in the language "
    "of the question. If you are not sure, say so."
)
FORM = "The lesson says:\n\n{passage}\n\nAnswer in your own words, by what the lesson says.\n\nQuestion: {question}"


def lesson_messages() -> list[list[dict[str, str]]]:
    """Return the messages of one chat for each question."""
    parts = (part.split(QUESTION_MARK) for part in FILE.read_text("utf-8").strip().split(SEPARATOR))
    return [
        [
            {"role": "system", "content": SYSTEM_PROMPT},
            {"role": "user", "content": FORM.format(passage=passage, question=question)},
        ]
        for passage, question in parts
    ]
